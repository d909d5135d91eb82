"""What the EDAM terms of image-analysis tools are called.

Descriptors hold identifiers (``operation_3443``); people search for words. These are
the terms of EDAM 1.25 about imaging and the general ones beside them; others are found
by their identifier.
"""

from __future__ import annotations

import re

__all__ = ["EDAM_LABELS", "edam_label"]

EDAM_LABELS = {
    "operation_3434": "Conversion",
    "operation_3443": "Image analysis",
    "operation_3446": "Cell migration analysis",
    "operation_3450": "Neurite measurement",
    "operation_3457": "Single particle analysis",
    "operation_3458": "Single particle alignment and classification",
    "operation_3465": "Correlation",
    "operation_3659": "Regression analysis",
    "operation_3664": "Statistical modelling",
    "operation_3695": "Filtering",
    "topic_3382": "Imaging",
    "topic_3383": "Bioimaging",
    "topic_3384": "Medical imaging",
    "topic_3385": "Light microscopy",
    "topic_3452": "Tomography",
    "topic_3473": "Data mining",
    "topic_3474": "Machine learning",
}


def edam_label(term: str) -> str:
    """Return the label of `term`, which may be a whole address; unknown: `term`."""
    match = re.search(r"(operation|topic|data|format)_\d{4}$", term.strip())
    return EDAM_LABELS.get(match[0], term) if match else term
