"""What real Galaxy makes of the ``<tests>`` of descriptors: one JSON line each.

Run by the Python of an environment that holds Galaxy (``galaxy_oracle`` does that): nothing of
this project is imported. Galaxy's own code does everything: its test reader the values, its upload
the datatypes and metadata, its tool action the outputs, its evaluator the texts. Only paths are
those of the test files, and the database lies in memory.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import galaxy.config
from galaxy import model
from galaxy.app_unittest_utils.galaxy_mock import MockApp
from galaxy.datatypes.registry import Registry
from galaxy.datatypes.upload_util import handle_upload
from galaxy.exceptions import MessageException
from galaxy.job_execution.compute_environment import ComputeEnvironment, SimpleComputeEnvironment
from galaxy.managers.collections import DatasetCollectionManager
from galaxy.tool_util.parser import get_tool_source
from galaxy.tool_util.verify.interactor import TestCollectionDef
from galaxy.tools import create_tool_from_source
from galaxy.tools.evaluation import ToolEvaluator, ToolTemplatingException
from galaxy.work.context import WorkRequestContext

REFUSALS = (MessageException, ToolTemplatingException, ValueError, subprocess.CalledProcessError)


class Place(SimpleComputeEnvironment, ComputeEnvironment):
    """Where the job would run: `paths` of its datasets by their number."""

    def __init__(self, root, tool, paths):
        super().__init__()
        self.root, self.tool, self.paths = root, tool, paths
        self.materialized_objects = {}

    def input_path_rewrite(self, dataset):
        return self.paths[dataset.dataset.id]

    output_path_rewrite = input_path_rewrite

    def input_extra_files_rewrite(self, dataset):
        return f"{self.paths[dataset.dataset.id]}_files"

    output_extra_files_rewrite = input_extra_files_rewrite

    def output_names(self):
        return list(self.paths.values())

    def working_directory(self):
        return self.root

    env_config_directory = working_directory

    def new_file_path(self):
        return f"{self.root}/working"

    def tool_directory(self):
        return str(Path(self.tool.tool_dir).absolute())

    def version_path(self):
        return f"{self.root}/version"

    def galaxy_url(self):
        return ""

    def get_file_sources_dict(self):
        return {}

    def input_metadata_rewrite(self, dataset, metadata_value):
        return None

    def unstructured_path_rewrite(self, path):
        return None

    def home_directory(self):
        return None

    tmp_directory = home_directory


def application():
    app = MockApp()
    app.config.log_events = app.config.log_actions = app.config.interactivetools_enable = False
    app.config.admin_users_list = []
    registry = Registry()
    known = Path(galaxy.config.__file__).parent / "sample" / "datatypes_conf.xml.sample"
    registry.load_datatypes("/", str(known))
    model.set_datatypes_registry(registry)
    registry.set_external_metadata_tool = app.datatypes_registry.set_external_metadata_tool
    app.datatypes_registry = registry
    app.dataset_collection_manager = app[DatasetCollectionManager]
    return app


class Asked:
    """One descriptor."""

    def __init__(self, app, path, folder):
        self.app, self.path, self.folder = app, path, folder
        self.tool = create_tool_from_source(app, get_tool_source(str(path)), config_file=str(path))
        self.encode, self.session = app.security.encode_id, app.model.session
        self.paths = {}  # of datasets, by their number
        self.stored = {}  # where Galaxy keeps what was uploaded -> the test file

    def test_file(self, name):
        for parent in list(self.path.parents)[:4]:
            if (parent / "test-data" / name).exists():
                return parent / "test-data" / name
        raise LookupError(f"the test file {name} is missing")

    def upload(self, trans, data):
        if data["composite_data"]:
            raise LookupError("a composite dataset is uploaded")
        if not data["fname"]:
            raise LookupError(f"{data['location']} would be fetched")
        original = self.test_file(data["fname"])
        there = Path(tempfile.mkdtemp(dir=self.folder)) / original.name
        kind = data["ftype"]
        if original.is_dir():
            there.touch()
        else:
            shutil.copyfile(original, there)
            done = handle_upload(  # as the test driver asks: lines and archives are converted
                self.app.datatypes_registry, str(there), kind, original.name, "d",
                str(there.parent), True, False, False, True, True, False,
            )  # fmt: skip
            kind, there = done.ext, Path(done.converted_path or there)
        made = model.HistoryDatasetAssociation(
            name=original.name, extension=kind, history=trans.history, create_dataset=True,
            sa_session=self.session,
        )  # fmt: skip
        made.dataset.external_filename, made.dataset.state = str(there), "ok"
        if original.is_dir():
            made.dataset.external_extra_files_path = str(original)
        made.dbkey = data["dbkey"]
        trans.history.add_dataset(made)
        self.session.add(made)
        self.session.commit()
        made.init_meta()
        try:
            made.set_meta()
        except Exception as error:  # noqa: BLE001 - as on a server: the dataset stays without
            print(f"{self.path.name}, {original.name}: metadata: {error}", file=sys.stderr)
        for name, value in (data["metadata"] or {}).items():
            setattr(made.metadata, name, value)
        self.session.commit()
        for value in made.metadata.values():
            if isinstance(value, model.MetadataFile):
                path = value.get_file_name()
                self.stored[path] = f"list {Path(path).read_text(errors='replace')}"
        self.paths[made.dataset.id] = self.stored[str(there)] = str(original)
        return made

    def elements(self, made, collection):
        for element in collection.elements:
            inner = element["element_definition"]
            found = {"name": element["element_identifier"], "src": "new_collection"}
            if isinstance(inner, TestCollectionDef):
                found["collection_type"] = inner.collection_type
                found["element_identifiers"] = list(self.elements(made, inner))
            else:
                found |= {"src": "hda", "id": made[inner["value"]].id}
            yield found

    def incoming(self, trans, test):
        """Return what the test driver sends for a test."""
        made = {data["fname"]: self.upload(trans, data) for data in test.test_data()}

        def one(value):
            if isinstance(value, TestCollectionDef):
                new = self.app.dataset_collection_manager.create(
                    trans, trans.history, value.name, value.collection_type,
                    element_identifiers=list(self.elements(made, value)), fields=value.fields,
                )  # fmt: skip
                return {"src": "hdca", "id": self.encode(new.id)}
            if isinstance(value, str) and value in made:
                return {"src": "hda", "id": self.encode(made[value].id)}
            return value

        sent = {}
        for name, values in test.inputs.items():
            new = [one(value) for value in (values if isinstance(values, list) else [values])]
            sent[name] = new[0] if len(new) == 1 else new
        return sent

    def parts(self, collection):
        """Yield the datasets of an output collection that are known before the job runs."""
        for element in collection.elements:
            if element.child_collection:
                for name, data in self.parts(element.child_collection):
                    yield f"{element.element_identifier}/{name}", data
            elif element.hda:
                yield element.element_identifier, element.hda

    def ask(self, test):
        if test.error:
            raise ValueError(test.exception)
        user = model.User(email=f"{self.path}{test.test_index}@example.org", password="none")
        history = model.History(name="tests", user=user)
        self.session.add_all([user, history])
        self.session.commit()
        trans = WorkRequestContext(app=self.app, user=user, history=history)
        done = self.tool.handle_input(trans, self.incoming(trans, test), history=history)
        if len(done["jobs"]) != 1:
            raise LookupError(f"it makes {len(done['jobs'])} jobs: a collection is mapped over")
        root = tempfile.mkdtemp(dir=self.folder)
        for name in ("working", "outputs"):
            os.mkdir(f"{root}/{name}")
        job = done["jobs"][0]
        job.user = job.history.user = None  # whose names we do not know, either
        _, single, collections = job.io_dicts()
        made = {name: data for name, data in single.items() if "|__part__|" not in name}
        for name, collection in collections.items():
            made |= {f"{name}/{inner}": data for inner, data in self.parts(collection.collection)}
        names = {f"{root}/outputs/{name}": name for name in made}
        self.paths |= {data.dataset.id: f"{root}/outputs/{name}" for name, data in made.items()}
        evaluator = ToolEvaluator(self.app, self.tool, job, root)
        evaluator.set_compute_environment(Place(root, self.tool, self.paths))
        command, _, written, variables, _ = evaluator.build()
        asked = [file.name or file.filename for file in self.tool.config_files]
        configs = dict(zip(asked, written, strict=False))
        found = {
            "root": root,
            "command": command or "",
            "strict": bool(self.tool.strict_shell),
            "configs": {name: Path(path).read_text() for name, path in configs.items()},
            "linked": sorted(
                str(path.relative_to(f"{root}/working"))
                for path in Path(root, "working").rglob("*")
                if path.is_file()
            ),
            "env": {
                one["name"]: Path(one["job_directory_path"]).read_text().rstrip("\n")
                for one in variables
            },
            "outputs": {name: data.ext for name, data in made.items()},
            "names": names
            | self.stored
            | {path: f"config {name}" for name, path in configs.items()},
        }
        known = {one["job_directory_path"] for one in variables}
        for path in Path(root).glob("*"):
            if path.is_file() and str(path) not in known:  # a file that lists paths
                found["names"][str(path)] = f"list {path.read_text()}"
        if self.tool.tool_type == "expression":
            here = Path(sys.executable).parent
            subprocess.run(
                ["bash", "-c", found["command"]], cwd=f"{root}/working", check=True,
                env=os.environ | {"PATH": f"{here}:{os.environ['PATH']}"} | found["env"],
            )  # fmt: skip
            found |= {"command": "", "env": {}, "configs": {}}
            found["results"] = {
                name: json.loads(Path(path).read_text()) for path, name in names.items()
            }
        return found


def main():
    logging.disable(logging.CRITICAL)
    app = application()
    with tempfile.TemporaryDirectory() as folder:
        for path in map(Path, sys.argv[1:]):
            try:
                asked = Asked(app, path.absolute(), folder)
            except Exception as error:  # noqa: BLE001 - told, and the next one is asked
                print(
                    json.dumps({"tool": str(path), "unasked": f"{type(error).__name__}: {error}"})
                )
                continue
            for number, test in enumerate(asked.tool.tests or []):
                row = {"tool": str(path), "test": number}
                try:
                    row |= asked.ask(test)
                except REFUSALS as error:
                    row["refused"] = f"{error} {error.__cause__ or ''}".strip()
                except Exception as error:  # noqa: BLE001 - told, and the next one is asked
                    row["unasked"] = f"{type(error).__name__}: {error}"
                print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
