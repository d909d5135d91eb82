"""The guards of conftest.py hold: a guard that never fires is worth nothing."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import platformdirs
import pytest

TESTS = Path(__file__).resolve().parent


def run_pytest(tmp_path: Path, text: str) -> subprocess.CompletedProcess[str]:
    """Run one test module under this repository's conftest, in a process of its own."""
    folder = tmp_path / "suite"
    folder.mkdir()
    (folder / "test_it.py").write_text(textwrap.dedent(text), encoding="utf-8")
    for name in ("conftest.py", "support.py"):
        (folder / name).write_text((TESTS / name).read_text(encoding="utf-8"), encoding="utf-8")
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "--no-xvfb",
            "-W",
            "ignore",
            ".",
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_user_folders_are_temporary(user_dirs: Path) -> None:
    for place in (
        platformdirs.user_config_path("x"),
        platformdirs.user_data_path("x"),
        platformdirs.user_cache_path("x"),
    ):
        assert user_dirs in place.parents
    assert Path(os.environ["NAPARI_CONFIG"]).parts[-1] == "settings.yaml"
    assert Path.home() not in Path(os.environ["NAPARI_CONFIG"]).parents


@pytest.mark.parametrize("address", [("192.0.2.1", 80), ("example.invalid", 443)])
def test_sockets_stay_on_this_computer(address: tuple[str, int]) -> None:
    with socket.socket() as sock, pytest.raises(OSError, match="reach this computer only"):
        sock.connect(address)


def test_loopback_works() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()[:2], timeout=5),
    ):
        connection, _ = server.accept()
        connection.close()


def test_process_left_behind_fails_its_test(tmp_path: Path) -> None:
    done = run_pytest(
        tmp_path,
        """
        import subprocess, sys

        def test_leaves_a_grandchild():
            # the middle process ends at once: the sleeper is nobody's child any more
            code = (
                "import subprocess, sys;"
                "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])"
            )
            subprocess.run([sys.executable, "-c", code], check=True)

        def test_is_tidy():
            subprocess.run([sys.executable, "-c", "pass"], check=True)
        """,
    )
    assert "left processes behind" in done.stdout
    outcome = done.stdout.splitlines()[-1]
    assert "2 passed" in outcome, outcome
    assert "1 error" in outcome, outcome
    assert "time.sleep(60)" in done.stdout


def test_part_that_must_run_is_no_skip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NTR_MUST_RUN", "docker")
    done = run_pytest(
        tmp_path,
        """
        import pytest

        @pytest.fixture
        def engine():
            pytest.skip("no engine")

        @pytest.mark.docker
        def test_needs_it(engine): ...

        @pytest.mark.docker
        @pytest.mark.may_skip
        def test_may_skip(engine): ...

        def test_not_marked(engine): ...
        """,
    )
    outcome = done.stdout.splitlines()[-1]
    assert "1 error" in outcome or "1 failed" in outcome, done.stdout
    assert "2 skipped" in outcome
    assert "no engine" in done.stdout
