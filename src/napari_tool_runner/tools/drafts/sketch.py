"""What is known of a tool that is to be described: the same for every language that writes one."""

from __future__ import annotations

from typing import Literal

from napari_tool_runner.data_classes import dataclass

__all__ = ["Role", "Sketch", "SketchedArgument"]

Role = Literal["data", "output", "integer", "float", "text", "choice", "switch", "folder"]
"""What an argument is: ``output`` is a file that the script writes, others come from the form."""


@dataclass(frozen=True, slots=True)
class SketchedArgument:
    """One argument of a script.

    Parameters
    ----------
    name : str
        A word without spaces, unique among the arguments.
    role : Role
    flag : str
        As ``--sigma``; empty: it stands in its place.
    default : str or None
        As it is written on a command line; None: there is none.
    on, off : str
        Of a switch: what is passed then, perhaps nothing.
    format, layer : str
        Of data: names of a format and of a kind of layer.
    part : int
        Which of the values of one flag it is, from 0.
    """

    name: str
    role: Role
    flag: str = ""
    help: str = ""
    default: str | None = None
    required: bool = False
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    on: str = ""
    off: str = ""
    format: str = ""
    layer: str = ""
    multiple: bool = False
    part: int = 0


@dataclass(frozen=True, slots=True)
class Sketch:
    """A tool to be described.

    Parameters
    ----------
    script : str
        Name of the program beside the descriptor.
    words : tuple of str
        Of a program with commands, the words that choose one.
    before : tuple of SketchedArgument
        What stands before these words.
    conda, image : str
        Packages (``-c conda-forge python=3.12 scipy``) or the image that it runs in.
    """

    id: str
    name: str
    script: str
    description: str = ""
    help: str = ""
    words: tuple[str, ...] = ()
    before: tuple[SketchedArgument, ...] = ()
    arguments: tuple[SketchedArgument, ...] = ()
    conda: str = ""
    image: str = ""

    @property
    def every(self) -> tuple[SketchedArgument, ...]:
        """All arguments."""
        return (*self.before, *self.arguments)
