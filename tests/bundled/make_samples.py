"""Makes the sample images: a small simulation of fluorescence microscopy.

In the folder ``tests``: ``python -m bundled.make_samples [FOLDER]``. The same scenes come
out every time (the random numbers are seeded), so each function can also be used as
ground truth: it returns what was drawn together with the picture.

Every picture goes through the same chain as a camera image: a scene in photons, blur by
the optics, out-of-focus haze, uneven illumination, photon noise, offset and read noise of
the camera.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy import ndimage

from support import REPOSITORY

__all__ = ["cells_2d", "drifted_pair", "moving_spots", "nuclei_3d", "spots_2d", "write_all"]

SAMPLE_FOLDER = REPOSITORY / "src" / "napari_tool_runner" / "sample_data"

_OFFSET = 100.0
_READ_NOISE = 1.6


def cells_2d() -> tuple[np.ndarray, np.ndarray]:
    """Return cells with stained nuclei and stained cytoplasm, and the nuclei drawn.

    Returns
    -------
    image : ndarray of uint16, shape (2, 512, 512), axes CYX
        Channel 0: nuclei; channel 1: cytoplasm. One pixel is 0.32 µm.
    labels : ndarray of int32, shape (512, 512)
        The nuclei, numbered from 1.
    """
    rng = np.random.default_rng(20260101)
    shape = (512, 512)
    nuclei, photons = _draw_nuclei(rng, shape, count=78, radius=17.0)
    cytoplasm = _draw_cytoplasm(rng, nuclei)
    light = _illumination(shape, centre=(0.36, 0.62), falloff=0.6)
    first = _camera(rng, (_optics(photons, 1.2, haze=0.3) + 28.0) * light)
    second = _camera(rng, (_optics(cytoplasm, 1.3, haze=0.2) + 9.0) * light)
    return np.stack([first, second]), nuclei


def nuclei_3d() -> tuple[np.ndarray, np.ndarray]:
    """Return a stack of nuclei in a tissue, and the nuclei drawn.

    Returns
    -------
    image : ndarray of uint16, shape (24, 160, 160), axes ZYX
        One voxel is 1 µm deep and 0.25 µm wide: four times deeper than wide.
    labels : ndarray of int32, shape (24, 160, 160)
    """
    rng = np.random.default_rng(20260102)
    depth, height, width = 24, 160, 160
    size = np.array([1.0, 0.25, 0.25])
    extent = size * (depth, height, width)
    grid = np.stack(
        np.meshgrid(
            *[np.arange(n) * s for n, s in zip((24, 160, 160), size, strict=True)], indexing="ij"
        )
    )
    labels = np.zeros((depth, height, width), np.int32)
    photons = np.zeros((depth, height, width))
    centres: list[np.ndarray] = []
    for _ in range(3000):
        if len(centres) == 30:
            break
        centre = rng.uniform((3.0, 2.0, 2.0), extent - (4.0, 2.0, 2.0))
        if centres and min(np.linalg.norm(centre - other) for other in centres) < 8.0:
            continue
        centres.append(centre)
        radii = rng.uniform((3.2, 3.7, 3.7), (4.2, 5.0, 5.0))
        turn = _rotation(rng.uniform(0, np.pi))
        local = np.tensordot(turn, grid - centre[:, None, None, None], axes=1)
        radius = np.sqrt(sum((local[i] / radii[i]) ** 2 for i in range(3)))
        texture = _texture(rng, labels.shape, (1.2, 4.0, 4.0))
        inside = (radius < 1.0) & (labels == 0)
        labels[inside] = len(centres)
        bright = rng.uniform(60.0, 130.0) * (1.0 + 0.3 * texture)
        photons[inside] = (bright * np.clip(1.25 - 0.35 * radius, 0, None))[inside]
    photons = ndimage.gaussian_filter(photons, (1.3, 1.1, 1.1))
    photons = photons + 0.3 * ndimage.gaussian_filter(photons, (4.0, 10.0, 10.0))
    # light is lost on the way down into the tissue
    attenuation = np.exp(-np.arange(depth) / 38.0)[:, None, None]
    light = _illumination((height, width), centre=(0.5, 0.45), falloff=0.25)
    return _camera(rng, (photons + 6.0) * attenuation * light), labels


def moving_spots() -> tuple[np.ndarray, np.ndarray]:
    """Return vesicles that move in a cell, and their true tracks.

    Returns
    -------
    image : ndarray of uint16, shape (15, 128, 128), axes TYX
        One frame every 2 s; one pixel is 0.108 µm.
    tracks : ndarray of float, shape (n, 4)
        Track number, frame, y, x. No two vesicles ever come closer than 7 pixels.
    """
    rng = np.random.default_rng(20260103)
    frames, side = 15, 128
    body = _cell_body(rng, side)
    paths = _walks(rng, frames, body > 0.3, count=22, apart=7.0)
    brightness = rng.uniform(140.0, 340.0, len(paths))
    movie = np.empty((frames, side, side), np.uint16)
    rows, columns = np.mgrid[:side, :side]
    for frame in range(frames):
        scene = 26.0 * body
        for path, bright in zip(paths, brightness, strict=True):
            y, x = path[frame]
            spot = np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * 1.5**2))
            scene = scene + bright * 0.45 * spot * rng.uniform(0.88, 1.0)
        bleaching = np.exp(-frame / 45.0)
        movie[frame] = _camera(rng, scene * bleaching + 7.0)
    number = np.repeat(np.arange(len(paths)), frames)
    time = np.tile(np.arange(frames), len(paths))
    return movie, np.column_stack([number, time, np.concatenate(paths)])


def drifted_pair() -> tuple[np.ndarray, np.ndarray, tuple[float, float, float]]:
    """Return the same cells twice, before and after the stage moved and turned.

    Returns
    -------
    fixed, moving : ndarray of uint16, shape (256, 256), axes YX
        One pixel is 0.32 µm.
    motion : tuple of float
        How far the picture moved along y and x (pixels), and how far it turned
        (degrees): ``moving[R (p - c) + c + (y, x)] = fixed[p]``, c the centre.
    """
    rng = np.random.default_rng(20260104)
    side, margin = 256, 64
    whole = side + 2 * margin
    _, photons = _draw_nuclei(rng, (whole, whole), count=52, radius=15.0)
    shift, degrees = np.array([9.4, -13.7]), 4.0
    turn = np.deg2rad(degrees)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    centre = np.full(2, (whole - 1) / 2)
    # affine_transform asks where each output pixel comes from: the inverse motion
    moved = ndimage.affine_transform(
        photons, matrix.T, centre - matrix.T @ (centre + shift), order=3, mode="nearest"
    )
    light = _illumination((side, side), centre=(0.5, 0.5), falloff=0.3)
    pictures = []
    for scene in (photons, np.clip(moved, 0, None) * 0.85):
        field = scene[margin:-margin, margin:-margin]
        pictures.append(_camera(rng, _optics(field, 1.2, haze=0.2) * light + 12.0))
    return pictures[0], pictures[1], (float(shift[0]), float(shift[1]), degrees)


def spots_2d() -> tuple[np.ndarray, np.ndarray]:
    """Return single molecules (as in RNA-FISH) in two cells, and where they are.

    Returns
    -------
    image : ndarray of uint16, shape (256, 256), axes YX
        One pixel is 0.108 µm.
    positions : ndarray of float, shape (n, 2)
        y and x of each molecule, in pixels.
    """
    rng = np.random.default_rng(20260105)
    side = 256
    body = _cell_body(rng, side)
    chance = np.where(body > 0.35, body, 0.0)
    positions: list[np.ndarray] = []
    while len(positions) < 130:
        spot = rng.uniform(6, side - 6, 2)
        if rng.random() > chance[int(spot[0]), int(spot[1])]:
            continue
        if positions and min(np.linalg.norm(spot - other) for other in positions) < 5.5:
            continue
        positions.append(spot)
    rows, columns = np.mgrid[:side, :side]
    scene = 20.0 * body + 8.0
    for y, x in positions:
        bright = np.clip(rng.lognormal(4.2, 0.3), 45.0, 160.0)
        scene = scene + bright * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * 1.4**2))
    return _camera(rng, scene), np.array(positions)


def write_all(folder: Path) -> list[Path]:
    """Write every sample as a compressed OME-TIFF into `folder`; return the files."""
    cells, _ = cells_2d()
    stack, _ = nuclei_3d()
    movie, _ = moving_spots()
    fixed, moving, _ = drifted_pair()
    spots, _ = spots_2d()
    return [
        _write(folder / "cells_2d.ome.tif", cells, "CYX", (0.32,), ("Nuclei", "Cytoplasm")),
        _write(folder / "nuclei_3d.ome.tif", stack, "ZYX", (0.25, 1.0), ("Nuclei",)),
        _write(folder / "moving_spots.ome.tif", movie, "TYX", (0.108,), ("Vesicles",), 2.0),
        _write(
            folder / "drifted_pair.ome.tif",
            np.stack([fixed, moving]),
            "CYX",
            (0.32,),
            ("Before", "After"),
        ),
        _write(folder / "spots_2d.ome.tif", spots, "YX", (0.108,), ("RNA",)),
    ]


# -- what is drawn -------------------------------------------------------------------


def _draw_nuclei(
    rng: np.random.Generator, shape: tuple[int, int], count: int, radius: float
) -> tuple[np.ndarray, np.ndarray]:
    """Draw lobed ellipses with a chromatin texture; some touch. Return labels, photons."""
    labels = np.zeros(shape, np.int32)
    photons = np.zeros(shape)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    centres: list[np.ndarray] = []
    tries = 0
    while len(centres) < count and tries < 4000:
        tries += 1
        if centres and rng.random() < 0.45:  # cells like company
            angle = rng.uniform(0, 2 * np.pi)
            mate = centres[rng.integers(len(centres))]
            centre = mate + rng.uniform(1.8, 2.1) * radius * np.array(
                [np.sin(angle), np.cos(angle)]
            )
        else:
            centre = rng.uniform((0, 0), shape)
        if np.any(centre < 0) or np.any(centre >= shape):
            continue
        if centres and min(np.linalg.norm(centre - other) for other in centres) < 1.75 * radius:
            continue
        centres.append(centre)
        y, x = rows - centre[0], columns - centre[1]
        turn = rng.uniform(0, np.pi)
        along = x * np.cos(turn) + y * np.sin(turn)
        across = -x * np.sin(turn) + y * np.cos(turn)
        size = radius * rng.uniform(0.8, 1.08)
        stretch = rng.uniform(1.0, 1.28)
        angle = np.arctan2(across, along)
        lobes = 1.0
        for order in (2, 3, 4):
            lobes = lobes + rng.normal(0, 0.06 / order) * np.cos(
                order * angle + rng.uniform(0, 2 * np.pi)
            )
        distance = np.hypot(along / stretch, across * stretch**0.5) / (size * lobes)
        inside = (distance < 1.0) & (labels == 0)
        labels[inside] = len(centres)
        profile = np.clip(1.0 - distance**6, 0, 1) ** 0.5
        chromatin = 1.0 + 0.22 * _texture(rng, shape, (2.2, 2.2))
        for _ in range(rng.integers(1, 5)):  # nucleoli hold little DNA
            hole = rng.uniform(-0.5, 0.5, 2) * size
            spot = np.exp(-((y - hole[0]) ** 2 + (x - hole[1]) ** 2) / (2 * (0.13 * size) ** 2))
            chromatin = chromatin - 0.45 * spot
        bright = rng.lognormal(4.75, 0.28)
        photons[inside] = (bright * profile * np.clip(chromatin, 0.1, None))[inside]
    return labels, photons


def _draw_cytoplasm(rng: np.random.Generator, nuclei: np.ndarray) -> np.ndarray:
    """Draw a body with fibres around each nucleus."""
    shape = nuclei.shape
    distance, nearest = ndimage.distance_transform_edt(nuclei == 0, return_indices=True)
    owner = nuclei[nearest[0], nearest[1]]
    wobble = 10.0 * _texture(rng, shape, (9.0, 9.0))
    reach = rng.uniform(20.0, 46.0, owner.max() + 1)[owner]
    body = 1.0 / (1.0 + np.exp((distance + wobble - reach) / 2.0))
    border = ndimage.maximum_filter(owner, 3) != ndimage.minimum_filter(owner, 3)
    gap = ndimage.gaussian_filter(border.astype(float), 1.5)
    body = body * (1.0 - np.clip(1.6 * gap, 0, 0.75))
    fibres = np.zeros(shape)
    number = owner.max() + 1
    chosen = rng.integers(0, 6, number)[owner]
    for index in range(6):
        turn = np.pi * index / 6 + rng.uniform(0, 0.3)
        noise = rng.normal(size=shape)
        streak = ndimage.rotate(noise, np.rad2deg(turn), reshape=False, mode="wrap", order=1)
        streak = ndimage.gaussian_filter(streak, (0.9, 14.0), mode="wrap")
        streak = ndimage.rotate(streak, -np.rad2deg(turn), reshape=False, mode="wrap", order=1)
        streak = np.clip(streak / streak.std(), 0.2, None)
        fibres = np.where(chosen == index, streak, fibres)
    bright = rng.lognormal(3.7, 0.3, number)[owner]
    falling = 0.45 + 0.55 * np.exp(-distance / 18.0)
    scene = bright * body * falling * (0.55 + 0.45 * fibres)
    photons: np.ndarray = np.where(nuclei > 0, scene * 0.55, scene)
    return photons


def _cell_body(rng: np.random.Generator, side: int) -> np.ndarray:
    """Return the autofluorescence (0 to 1) of two cells, dark where a nucleus is."""
    rows, columns = np.mgrid[:side, :side] / side
    body = np.zeros((side, side))
    wobble = 0.07 * _texture(rng, (side, side), (side / 9, side / 9))
    for y, x, height, width in ((0.36, 0.34, 0.31, 0.33), (0.72, 0.7, 0.25, 0.3)):
        distance = np.hypot((rows - y) / height, (columns - x) / width) + wobble
        cell = 1.0 / (1.0 + np.exp((distance - 1.0) / 0.05))
        core = np.hypot((rows - y) / (0.42 * height), (columns - x) / (0.42 * width)) + wobble
        cell = cell * (1.0 - 0.45 / (1.0 + np.exp((core - 1.0) / 0.05)))
        body = np.maximum(body, cell)
    grain = _texture(rng, (side, side), (2.5, 2.5))
    light: np.ndarray = body * (1.0 + 0.18 * grain).clip(0.3, None)
    return light


def _walks(
    rng: np.random.Generator, frames: int, inside: np.ndarray, count: int, apart: float
) -> list[np.ndarray]:
    """Draw paths (frames, 2) with a drift of their own that keep apart and inside."""
    side = len(inside)
    paths: list[np.ndarray] = []
    while len(paths) < count:
        start = rng.uniform(10, side - 10, 2)
        angle, speed = rng.uniform(0, 2 * np.pi), rng.uniform(0.2, 2.6)
        drift = speed * np.array([np.sin(angle), np.cos(angle)])
        steps = drift + rng.normal(0, 0.5, (frames - 1, 2))
        path = np.vstack([start, start + np.cumsum(steps, axis=0)])
        if path.min() < 6 or path.max() > side - 7:
            continue
        if not inside[tuple(np.rint(path).astype(int).T)].all():
            continue
        if any(np.linalg.norm(path - other, axis=1).min() < apart for other in paths):
            continue
        paths.append(path)
    return paths


def _texture(
    rng: np.random.Generator, shape: tuple[int, ...], grain: tuple[float, ...]
) -> np.ndarray:
    """Return smooth noise of mean 0 and deviation 1."""
    noise: np.ndarray = ndimage.gaussian_filter(rng.normal(size=shape), grain)
    noise /= noise.std()
    return noise


def _rotation(turn: float) -> np.ndarray:
    """Return a rotation about z, for (z, y, x)."""
    cosine, sine = np.cos(turn), np.sin(turn)
    return np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])


# -- what the microscope does ----------------------------------------------------------


def _optics(scene: np.ndarray, sigma: float, haze: float) -> np.ndarray:
    """Blur by the point-spread function and add light from out of focus."""
    sharp: np.ndarray = ndimage.gaussian_filter(scene, sigma)
    sharp += haze * ndimage.gaussian_filter(scene, 22.0)
    return sharp


def _illumination(
    shape: tuple[int, int], centre: tuple[float, float], falloff: float
) -> np.ndarray:
    """Return how much light each pixel gets, at most 1."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    distance = np.hypot(rows / shape[0] - centre[0], columns / shape[1] - centre[1])
    light: np.ndarray = 1.0 / (1.0 + falloff * (distance / 0.5) ** 2)
    return light


def _camera(rng: np.random.Generator, photons: np.ndarray) -> np.ndarray:
    """Count photons and return what a 16-bit camera writes."""
    counts = rng.poisson(np.clip(photons, 0, None)) + rng.normal(
        _OFFSET, _READ_NOISE, photons.shape
    )
    written: np.ndarray = np.clip(np.rint(counts), 0, 65535).astype(np.uint16)
    return written


def _write(
    path: Path,
    image: np.ndarray,
    axes: str,
    size: tuple[float, ...],
    channels: tuple[str, ...],
    seconds: float | None = None,
) -> Path:
    # a sample needs no colours of its own; sizes and names are what travels
    import tifffile

    metadata: dict[str, object] = {
        "axes": axes,
        "PhysicalSizeX": size[0],
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeY": size[0],
        "PhysicalSizeYUnit": "µm",
        "Channel": {"Name": list(channels)},
    }
    if len(size) > 1:
        metadata |= {"PhysicalSizeZ": size[1], "PhysicalSizeZUnit": "µm"}
    if seconds is not None:
        metadata |= {"TimeIncrement": seconds, "TimeIncrementUnit": "s"}
    tifffile.imwrite(
        path,
        image,
        ome=True,
        photometric="minisblack",
        compression="zlib",
        compressionargs={"level": 9},
        rowsperstrip=image.shape[-2],
        metadata=metadata,
    )
    return path


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write the sample images.")
    parser.add_argument("folder", type=Path, nargs="?", default=SAMPLE_FOLDER)
    write_all(parser.parse_args().folder)
