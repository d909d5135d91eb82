"""The checks of this project, each in an environment of its own: ``nox -l`` lists them."""

from __future__ import annotations

import nox

nox.options.sessions = ["lint", "types", "tests-3.11", "docs"]
nox.options.reuse_existing_virtualenvs = True
nox.needs_version = ">=2024.4"


def _install(session: nox.Session, *groups: str) -> None:
    arguments = [part for group in groups for part in ("--group", group)]
    session.install("--upgrade", "pip>=25.1")
    session.install("--editable", ".[all]", *arguments)


@nox.session
def lint(session: nox.Session) -> None:
    """Style, format, and which room may import which."""
    _install(session, "dev")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("lint-imports")


@nox.session
def types(session: nox.Session) -> None:
    """Run mypy, strict."""
    _install(session, "dev")
    session.run("mypy")


@nox.session(python=["3.11", "3.12", "3.13", "3.14"])
def tests(session: nox.Session) -> None:
    """Run the tests with PyQt6."""
    _install(session, "test")
    session.run("pytest", *session.posargs)


@nox.session
def tests_pyside(session: nox.Session) -> None:
    """Run the viewer tests with PySide6."""
    _install(session, "test", "pyside")
    session.run("pytest", "-m", "viewer", *session.posargs, env={"QT_API": "pyside6"})


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation; a broken link fails."""
    _install(session, "docs")
    session.run("mkdocs", "build", "--strict", "--site-dir", f"{session.create_tmp()}/site")


@nox.session
def benchmarks(session: nox.Session) -> None:
    """Run the benchmarks, or those that are named after ``--``."""
    _install(session, "test")
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session
def lowest(session: nox.Session) -> None:
    """Run the engine's tests with the lowest versions that are promised to work."""
    _install(session, "dev")
    session.run("bash", ".ci/lowest", session.create_tmp(), external=True)


@nox.session
def package(session: nox.Session) -> None:
    """Build sdist and wheel and try the wheel where no napari is."""
    _install(session, "dev")
    session.run("bash", ".ci/package", session.create_tmp(), external=True)
