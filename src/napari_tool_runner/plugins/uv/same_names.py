"""Conda packages that PyPI has, too: what a tool of Galaxy may take from there on request.

Named one by one: under the same name PyPI may have a package of somebody else.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from napari_tool_runner.tools.model import PackageRequirement, PythonRequirement

__all__ = ["from_pypi"]

_OTHERWISE = {
    "dask-core": "dask",
    "imagecodecs-lite": "imagecodecs",
    "matplotlib-base": "matplotlib",
    "opencv": "opencv-python-headless",
    "py-opencv": "opencv-python-headless",
    "pytables": "tables",
    "pytorch": "torch",
    "pytorch-cpu": "torch",
}
_SAME = frozenset(
    [
        "aicsimageio",
        "bioio",
        "btrack",
        "cellpose",
        "colorcet",
        "csbdeep",
        "dask",
        "edt",
        "fonttools",
        "h5py",
        "imagecodecs",
        "imageio",
        "instanseg-torch",
        "joblib",
        "laptrack",
        "mahotas",
        "matplotlib",
        "napari",
        "networkx",
        "nibabel",
        "numba",
        "numcodecs",
        "numpy",
        "ome-types",
        "ome-zarr",
        "omero-py",
        "pandas",
        "pillow",
        "plotly",
        "pyclesperanto",
        "pydicom",
        "pynrrd",
        "pystackreg",
        "pywavelets",
        "pyyaml",
        "scikit-image",
        "scikit-learn",
        "scipy",
        "seaborn",
        "shapely",
        "simpleitk",
        "spotiflow",
        "stardist",
        "statsmodels",
        "tensorflow",
        "tifffile",
        "torch",
        "torchvision",
        "tqdm",
        "trackastra",
        "trackpy",
        "trimesh",
        "xarray",
        "zarr",
    ]
)


def from_pypi(packages: Sequence[PackageRequirement]) -> PythonRequirement | None:
    """Return the same packages of PyPI; None where one of them is not known to be there."""
    wanted: list[str] = []
    python = ""
    for one in packages:
        version = re.fullmatch(r"(\d+(?:\.\w+)*)(?:\.\*)?", one.version)
        if one.text or (one.version and not version):
            return None
        if one.name == "python":
            python = f"=={version[1]}.*" if version else ""
            continue
        name = one.name.lower()
        name = _OTHERWISE.get(name, name if name in _SAME else "")
        if not name:
            return None
        wanted.append(f"{name}=={one.version}" if one.version else name)
    return PythonRequirement(requirements=tuple(wanted), python=python) if wanted else None
