"""Comparing a test's outcome with what it expects, by Galaxy's own verification."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from napari_tool_runner.names import count_text, walked
from napari_tool_runner.tools.dialect import CollectedFile, CollectedOutput, DataFile, TestOutcome
from napari_tool_runner.tools.galaxy.judge import messages
from napari_tool_runner.tools.galaxy.metadata import dataset_metadata, unique_values
from napari_tool_runner.tools.galaxy.output_plan import extra_files_folder
from napari_tool_runner.tools.model import CollectionOutput

if TYPE_CHECKING:
    from galaxy.tool_util.parser.interface import ToolSourceTest

    from napari_tool_runner.tools.galaxy.source import GalaxySource
    from napari_tool_runner.tools.model import ToolTest

__all__ = ["verify"]


def verify(source: GalaxySource, test: ToolTest, outcome: TestOutcome) -> list[str]:
    """Return the differences between a test's outcome and what it expects; none: passed."""
    expected = cast("ToolSourceTest", test.extra["galaxy"])
    check = _Verification(source, expected, outcome)
    check.run()
    if expected["expect_test_failure"]:
        return [] if check.problems else ["The test was expected to miss something, and met all."]
    return check.problems


class _Verification:
    def __init__(self, source: GalaxySource, test: ToolSourceTest, outcome: TestOutcome) -> None:
        self.source = source
        self.test = test
        self.outcome = outcome
        self.problems: list[str] = []

    def run(self) -> None:
        outcome, test = self.outcome, self.test
        if test["expect_failure"]:
            if not outcome.failed:
                self.problems.append("The run was expected to fail, but it succeeded.")
            if test["outputs"]:
                self.problems.append("A test that expects failure cannot compare outputs.")
        elif outcome.failed:
            tail = outcome.stderr.strip().splitlines()[-1:] or [""]
            self.problems.append(
                f"The run failed (exit code {outcome.exit_code}). {tail[0]}".strip()
            )
        wanted = test.get("expect_exit_code")
        if wanted is not None and str(wanted) != str(outcome.exit_code):
            self.problems.append(f"The exit code is {outcome.exit_code}, not {wanted}.")
        self.count()
        self.streams()
        if outcome.failed:
            return
        for index, output in enumerate(test["outputs"]):
            self.output(output["name"], output["value"], dict(output["attributes"]), index)
        for collection in test["output_collections"]:
            self.collection(dict(collection))

    def count(self) -> None:
        wanted = self.test.get("expect_num_outputs")
        if wanted is None or self.outcome.failed:
            return
        names = []
        for name, collected in self.outcome.outputs.items():
            names.append(name)
            # Galaxy counts the elements that stand in the descriptor, none that are found
            if isinstance(collected.output, CollectionOutput):
                if collected.output.structured_like:
                    continue
                names += [f"{name}/{element.name}" for element in collected.output.elements]
        found = len(names)
        if int(wanted) != found:
            listed = ", ".join(names) or "none"
            self.problems.append(f"It has {count_text(found, 'output')} ({listed}), not {wanted}.")

    def streams(self) -> None:
        from galaxy.tool_util.verify import verify_job_metadata

        outcome = self.outcome
        said = messages(self.source, outcome.exit_code, outcome.stdout, outcome.stderr)
        run = {
            "stdout": outcome.stdout,
            "stderr": outcome.stderr,
            "command_line": outcome.command,
            "command_version": outcome.version,
            "job_messages": said,
        }
        for stream in ("stdout", "stderr", "command", "command_version"):
            arguments: dict[str, Any] = {f"{stream}_assertions": dict(self.test).get(stream)}
            try:
                verify_job_metadata(run, **arguments)
            except AssertionError as error:
                self.problems.append(f"{stream}: {error}")

    # -- datasets ----------------------------------------------------------------------

    def output(self, name: str, file: str | None, attributes: dict[str, Any], index: int) -> None:
        collected = self.outcome.outputs.get(name)
        if collected is None:
            # as in Galaxy, a renamed output is found by its place
            in_order = list(self.outcome.outputs.values())
            if name not in self.source.rules and index < len(in_order):
                collected = in_order[index]
        if collected is None:
            self.problems.append(f"The output “{name}” was not written.")
            return
        if not collected.files:
            self.unwritten(name, collected, file, attributes)
            return
        files = list(collected.files)
        primary = self.primary(name, files)
        wanted = file is not None or any(
            attributes.get(key)
            for key in ("assert_list", "md5", "checksum", "ftype", "extra_files")
        )
        if primary is not None:
            self.dataset(f"Output “{name}”", primary, file, attributes)
        elif wanted or "object" in attributes:
            self.problems.append(f"The output “{name}” was not written.")
        # the output itself counts, written or not
        self.limits(f"Output “{name}”", len(files) + (primary is None), attributes)
        for designation, (inner_file, inner) in attributes.get("primary_datasets", {}).items():
            others = [entry for entry in files if entry.name == designation]
            if not others and len(files) == 1 and not files[0].name:
                others = files  # a single file keeps no name on its way here
            if not others:
                self.problems.append(f"Output “{name}” has no dataset “{designation}”.")
                continue
            self.dataset(f"Output “{name}”, “{designation}”", others[0], inner_file, dict(inner))

    def unwritten(
        self, name: str, collected: CollectedOutput, file: str | None, attributes: dict[str, Any]
    ) -> None:
        """Compare an output that the tool did not write: to Galaxy it is an empty file."""
        before = len(self.problems)
        nothing = CollectedFile(Path(os.devnull), collected.output.format)
        self.dataset(f"Output “{name}”", nothing, file, attributes)
        self.limits(f"Output “{name}”", 1, attributes)
        if attributes.get("primary_datasets") or len(self.problems) > before:
            self.problems[before:] = [f"The output “{name}” was not written."]

    def primary(self, name: str, files: Sequence[CollectedFile]) -> CollectedFile | None:
        """Return the file of the output itself, None when only discovered ones exist."""
        rule = self.source.rules.get(name)
        if rule is None or not rule.collectors:
            return files[0]
        if any(entry.assign_primary_output for entry in rule.collectors):
            return files[0]
        first = files[0].name
        return files[0] if first in ("", "0") else None

    def dataset(
        self, label: str, collected: CollectedFile, file: str | None, attributes: dict[str, Any]
    ) -> None:
        try:
            content = b"" if collected.path.is_dir() else collected.path.read_bytes()
        except OSError as error:
            self.problems.append(f"{label} cannot be read: {error}")
            return
        if "object" in attributes:
            file = None
        try:
            if file and collected.path.is_dir():
                self.folder(label, collected.path, file, attributes)
            else:
                self.compare(label, content, file, attributes, collected)
        except Exception as error:  # noqa: BLE001 - comparisons raise whatever their libraries do
            self.problems.append(f"{label}: {error}" if label not in str(error) else str(error))
        self.metadata(label, collected, attributes)

    def reference(self, name: str) -> str:
        path = self.source.test_file(name)
        if path is None:
            raise AssertionError(f"the reference file “{name}” is missing")
        return str(path)

    def folder(self, label: str, folder: Path, name: str, attributes: dict[str, Any]) -> None:
        """Compare a directory dataset with a reference folder, file by file."""
        reference = Path(self.reference(name))
        wanted = {str(path.relative_to(reference)) for path in _files(reference)}
        found = {str(path.relative_to(folder)) for path in _files(folder)}
        if wanted != found:
            difference = ", ".join(sorted(wanted ^ found)[:5])
            raise AssertionError(f"{label}: the folders differ in {difference}")
        for entry in sorted(wanted):
            content = (folder / entry).read_bytes()
            self.compare(f"{label}, {entry}", content, str(reference / entry), attributes)

    def compare(
        self,
        label: str,
        content: bytes,
        file: str | None,
        attributes: dict[str, Any],
        whole: CollectedFile | None = None,
    ) -> None:
        """Have Galaxy compare a file; `whole`: the dataset that it is, with its extra files."""
        from galaxy.tool_util.verify import verify as galaxy_verify

        if whole is None:
            attributes = {key: entry for key, entry in attributes.items() if key != "extra_files"}
        galaxy_verify(
            label,
            content,
            attributes=attributes,
            filename=file,
            get_filename=self.reference,
            verify_extra_files=partial(self.extra_files, label, whole) if whole else None,
        )

    def extra_files(
        self, label: str, collected: CollectedFile, extra: Sequence[Mapping[str, Any]]
    ) -> None:
        folder = _extra_files(collected)
        for entry in extra:
            attributes = dict(entry["attributes"])
            if entry["type"] == "directory":
                reference = Path(self.reference(str(entry["value"])))
                for file in _files(reference):
                    name = str(file.relative_to(reference))
                    content = (folder / name).read_bytes()
                    self.compare(f"{label}, {name}", content, str(file), attributes)
                continue
            path = folder / str(entry["name"])
            if not path.is_file():
                raise AssertionError(f"{label} has no extra file “{entry['name']}”")
            self.compare(
                f"{label}, {entry['name']}", path.read_bytes(), entry["value"], attributes
            )

    def metadata(self, label: str, collected: CollectedFile, attributes: dict[str, Any]) -> None:
        formats, wanted = self.source.formats, attributes.get("ftype")
        if wanted not in (None, collected.format) and not formats.is_of_type(
            collected.format, wanted
        ):
            self.problems.append(f"{label} is “{collected.format}”, not “{wanted}”.")
        expected = attributes.get("metadata") or {}
        if not expected:
            return
        file = DataFile(collected.path, collected.format, collected.name)
        found = dataset_metadata(file, formats)
        for key, value in expected.items():
            if key in ("name", "info", "tags", "dbkey", "created_from_basename"):
                continue  # of the history item, not of the file
            actual = unique_values(file, formats) if key == "num_unique_values" else found.get(key)
            text = ",".join(map(str, actual)) if isinstance(actual, list) else str(actual)
            if text != str(value):
                self.problems.append(f"{label}: the metadata “{key}” is {text}, not {value}.")

    def limits(self, label: str, found: int, attributes: Mapping[str, Any]) -> None:
        count, low, high = (attributes.get(key) for key in ("count", "min", "max"))
        if count is not None and found != int(count):
            self.problems.append(f"{label} has {found} datasets, not {count}.")
        if low is not None and found < int(low):
            self.problems.append(f"{label} has {found} datasets, fewer than {low}.")
        if high is not None and found > int(high):
            self.problems.append(f"{label} has {found} datasets, more than {high}.")

    # -- collections -------------------------------------------------------------------

    def collection(self, expected: Mapping[str, Any]) -> None:
        from galaxy.tool_util.parser.interface import TestCollectionOutputDef
        from galaxy.tool_util.verify.interactor import verify_collection

        definition = TestCollectionOutputDef.from_dict(dict(expected))
        collected = self.outcome.outputs.get(definition.name)
        if collected is None:
            self.problems.append(f"The output collection “{definition.name}” was not made.")
            return
        assert isinstance(collected.output, CollectionOutput)

        def check(element: Mapping[str, Any], attributes: Any, file: str | None) -> None:
            label = f"Collection “{definition.name}”, “{element['element_identifier']}”"
            self.dataset(label, element["object"], file, dict(attributes))

        try:
            verify_collection(definition, _as_galaxy(collected), check)
        except Exception as error:  # noqa: BLE001 - Galaxy's own checks raise bare exceptions
            self.problems.append(str(error))


def _as_galaxy(collected: CollectedOutput) -> dict[str, Any]:
    """The collection as Galaxy's interface would describe it."""
    assert isinstance(collected.output, CollectionOutput)
    root: dict[str, Any] = {}
    for file in collected.files:
        depth = collected.output.collection_type.count(":")
        named = tuple(file.name.split("/", depth))
        told = file.metadata.get("identifiers")
        identifiers = tuple(map(str, told)) if isinstance(told, tuple) and told else named
        place = root
        for part in identifiers[:-1]:
            place = place.setdefault(part, {})
        place[identifiers[-1]] = file
    if not collected.output.structured_like:
        for element in collected.output.elements:
            # to Galaxy, an element that the tool did not write is an empty file
            root.setdefault(element.name, CollectedFile(Path(os.devnull), element.format))

    def elements(level: Mapping[str, Any]) -> list[dict[str, Any]]:
        return [
            {
                "element_identifier": name,
                "element_type": "dataset_collection" if isinstance(entry, dict) else "hda",
                "object": {"elements": elements(entry)} if isinstance(entry, dict) else entry,
            }
            for name, entry in level.items()
        ]

    return {"collection_type": collected.output.collection_type, "elements": elements(root)}


def _extra_files(collected: CollectedFile) -> Path:
    """Return the folder of a dataset's extra files, also when only its path is known."""
    known = collected.metadata.get("extra_files_path")
    if known:
        return Path(str(known))
    beside = extra_files_folder(collected.path)
    if collected.path.is_dir() and not beside.is_dir():
        # nothing but extra files, or a store among them
        own = collected.path.name.endswith("_files")
        return collected.path if own else collected.path.parent
    return beside


def _files(folder: Path) -> list[Path]:
    return [Path(root) / name for root, _, names in walked(folder) for name in names]
