"""TrackMate's model files (BioImageIT's ``trackmatemodel``), read as tracks."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from defusedxml import DefusedXmlException, ElementTree

from napari_tool_runner._lazy import np
from napari_tool_runner.errors import OutputError
from napari_tool_runner.exchange.model import Content
from napari_tool_runner.sealed import read_bytes

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

__all__ = ["read_trackmate"]

_STEPS = ("voxeldepth", "pixelheight", "pixelwidth")


def read_trackmate(path: Path, root: Path | None = None) -> Content:
    """Read the spots of all tracks: columns ``ID, T, Z, Y, X`` and the spots' quality.

    Positions are divided by the pixel size that the file states, so that they are
    data pixels. Splits and merges become the ``graph`` of the tracks layer.

    Raises
    ------
    OutputError
    """
    try:
        tree = ElementTree.parse(BytesIO(read_bytes(path, root))).getroot()
    except (ElementTree.ParseError, DefusedXmlException, ValueError) as error:
        raise OutputError(f"{path.name} is no TrackMate file: {error}") from error
    if tree is None or tree.find(".//AllSpots") is None:
        raise OutputError(
            f"{path.name} is no TrackMate model: it has no spots.",
            hint="Check that it is of the format that the descriptor declares for it.",
        )
    try:
        spots = {spot.attrib["ID"]: _spot(spot) for spot in tree.iterfind(".//AllSpots//Spot")}
        edges = [
            [(e.attrib["SPOT_SOURCE_ID"], e.attrib["SPOT_TARGET_ID"]) for e in track.iter("Edge")]
            for track in tree.iterfind(".//AllTracks/Track")
        ]
        rows, graph = _tracks(spots, edges)
        image = tree.find(".//ImageData")
        sizes = {} if image is None else image.attrib
        steps = [float(sizes.get(name) or 1) or 1.0 for name in _STEPS]
    except (KeyError, ValueError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else error
        raise OutputError(f"{path.name} is damaged: {what}.") from error
    table = np.array(rows, dtype=float).reshape(-1, 6)
    table[:, 2:5] /= steps
    columns = dict(zip(("ID", "T", "Z", "Y", "X", "quality"), table.T, strict=True))
    columns["ID"] = columns["ID"].astype(np.int64)
    if not np.any(columns["Z"]):
        del columns["Z"]
    return Content(columns, attributes={"graph": graph} if graph else {})


def _spot(spot: Element) -> tuple[float, ...]:
    position = [float(spot.attrib[f"POSITION_{axis}"]) for axis in "ZYX"]
    return (float(spot.attrib["FRAME"]), *position, float(spot.attrib.get("QUALITY", "nan")))


def _tracks(
    spots: dict[str, tuple[float, ...]], tracks: list[list[tuple[str, str]]]
) -> tuple[list[tuple[float, ...]], dict[int, list[int]]]:
    """Cut tracks at splits and merges; return rows and who descends from whom."""
    rows: list[tuple[float, ...]] = []
    graph: dict[int, list[int]] = {}
    number = 0
    for edges in tracks:
        after: dict[str, list[str]] = {}
        before: dict[str, list[str]] = {}
        for one, other in edges:
            early, late = sorted((one, other), key=lambda spot: spots[spot][0])
            after.setdefault(early, []).append(late)
            before.setdefault(late, []).append(early)
        linked = {spot for edge in edges for spot in edge}
        members = sorted((s for s in spots if s in linked), key=lambda s: spots[s][0])
        piece: dict[str, int] = {}
        for spot in members:
            parents = before.get(spot, [])
            if len(parents) == 1 and len(after[parents[0]]) == 1:
                piece[spot] = piece[parents[0]]
            else:
                number += 1
                piece[spot] = number
                if parents:
                    graph[number] = [piece[parent] for parent in parents]
            rows.append((float(piece[spot]), *spots[spot]))
    return rows, graph
