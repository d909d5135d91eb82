"""What a table shows: rows, and whose objects they are; one row for each object, no background."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from napari_tool_runner.data_classes import dataclass, field
from napari_tool_runner.exchange import features_of, id_column

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Rows", "has_table", "rows_of_columns", "rows_of_layers"]

LAYER = "layer"
"""The column that says whose object a row is, where there are several layers."""


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """A table of objects.

    Parameters
    ----------
    title : str
        Of what it is.
    frame : DataFrame
        One row for each object.
    layers : tuple
        The layers whose objects they are; empty: they belong to none.
    owners : array of int, shape (N,)
        Whose object each row is, as a place in `layers`.
    numbers : array of int, shape (N,)
        Which object: the label, or the place among the points (shapes …).
    frames : array of int, shape (N,), or None
        Where along the first axis, where the same label is another object in each frame.
    """

    title: str
    frame: pd.DataFrame
    layers: tuple[object, ...] = ()
    owners: np.ndarray = field(default_factory=lambda: np.zeros(0, int))
    numbers: np.ndarray = field(default_factory=lambda: np.zeros(0, int))
    frames: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.frame)

    def of(self, layer: object, numbers: Sequence[int], frame: int | None = None) -> np.ndarray:
        """Return the rows of objects of `layer`; in one frame, where rows tell theirs."""
        place = next((i for i, one in enumerate(self.layers) if one is layer), -1)
        found = (self.owners == place) & np.isin(self.numbers, list(numbers))
        if self.frames is not None and frame is not None:
            found &= self.frames == frame
        return np.flatnonzero(found)


def has_table(layer: object) -> bool:
    """Whether a layer has objects with something known of them."""
    features = getattr(layer, "features", None)
    return features is not None and len(features) > 0 and len(features.columns) > 0


def rows_of_layers(layers: Sequence[object]) -> Rows:
    """Return the features of layers as one table, with a column of their names if several."""
    import pandas as pd

    names = [str(getattr(layer, "name", layer)) for layer in layers]
    parts = [features_of(layer) for layer in layers]
    frames = [frame for frame, _ in parts]
    if len(layers) > 1:
        frames = [_named(frame, name) for frame, name in zip(frames, names, strict=True)]
    counts = [len(frame) for frame in frames]
    return Rows(
        " + ".join(names),
        pd.concat(frames, ignore_index=True) if len(frames) != 1 else frames[0],
        tuple(layers),
        np.repeat(np.arange(len(layers)), counts),
        np.concatenate([numbers for _, numbers in parts]),
    )


def _named(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    made = frame.drop(columns=LAYER, errors="ignore")
    made.insert(0, LAYER, name)
    return made


def rows_of_columns(
    title: str, columns: Mapping[str, object], layer: object = None, key: str = ""
) -> Rows:
    """Return a table that is no layer's features.

    Parameters
    ----------
    layer : layer, optional
        Whose objects the rows are nevertheless: a label comes again in each frame.
    key : str
        The column with the numbers of the objects; empty: its name tells.
    """
    import pandas as pd

    frame = pd.DataFrame({name: _column(values) for name, values in columns.items()})
    key = key or id_column(frame) or ""
    if layer is None or key not in frame.columns:
        return Rows(title, frame)
    frames = next(
        (
            frame[name].to_numpy(int)
            for name in ("frame", "t", "z")
            if name in frame.columns and _counts(frame[name], layer)
        ),
        None,
    )
    owners, numbers = np.zeros(len(frame), int), frame[key].to_numpy(int)
    return Rows(title, frame, (layer,), owners, numbers, frames)


def _column(values: object) -> object:
    return values if isinstance(values, np.ndarray) else list(values)  # type: ignore[call-overload]


def _counts(column: pd.Series[float], layer: object) -> bool:
    """Whether a column tells places along the first axis of a layer."""
    shape: tuple[int, ...] = getattr(getattr(layer, "data", None), "shape", ())
    values = column.to_numpy()
    whole = values.dtype.kind in "iu" or (values.dtype.kind == "f" and not (values % 1).any())
    return (
        len(shape) > 2
        and whole
        and len(values) > 0
        and 0 <= values.min() <= values.max() < shape[0]
    )
