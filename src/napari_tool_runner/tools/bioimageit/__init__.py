"""The ``bioimageit`` dialect: flat parameters, a ``${name}`` command, an argv.

It is BioImageIT's own XML with what its readers left out mended; the rules that were
decided on are in docs/decisions (020 to 022).
"""
