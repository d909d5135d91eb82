"""What the scripts of deep-learning tools do themselves, without the packages of their methods."""

from __future__ import annotations

import importlib.util
import zipfile

import pytest

from bundled import direct


def script(name):
    path = direct.TOOLS / name / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"bundled_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_instanseg_takes_channels_by_their_numbers():
    numbers = script("instanseg_cells").numbers
    assert numbers("", 3) == [0, 1, 2]
    assert numbers("3, 1", 3) == [2, 0]
    for wrong in ("0", "4", "red"):
        with pytest.raises(SystemExit, match="from 1 to 3"):
            numbers(wrong, 3)


def test_instanseg_knows_a_package_from_a_model(tmp_path):
    given = script("instanseg_cells").given
    for name, inside in (("model", "cells/constants.pkl"), ("package", "cells/instanseg.pt")):
        with zipfile.ZipFile(tmp_path / name, "w") as file:
            file.writestr(inside, "x")
    assert given(tmp_path / "model") == tmp_path / "model"
    assert given(tmp_path / "package").name == "instanseg.pt"
    (tmp_path / "other").write_text("no zip")
    with pytest.raises(SystemExit, match="cannot be read as a zipped model of InstanSeg"):
        given(tmp_path / "other")
