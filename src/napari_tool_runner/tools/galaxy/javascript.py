"""Expression tools: JavaScript that turns values into values.

Galaxy runs them with Node.js; so does the script made here. The expression is the
body of a function of ``$job``; each output holds one part of its result, as JSON.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from napari_tool_runner.errors import TemplateError
from napari_tool_runner.tools.galaxy.context import inputs_json
from napari_tool_runner.tools.galaxy.dataset_values import DatasetValue

if TYPE_CHECKING:
    from napari_tool_runner.tools.dialect import PlannedOutput
    from napari_tool_runner.tools.galaxy.context import Context
    from napari_tool_runner.tools.galaxy.script import Rules
    from napari_tool_runner.tools.galaxy.source import GalaxySource
    from napari_tool_runner.tools.model import Tool
    from napari_tool_runner.tools.tree import BoundValues

__all__ = ["render_expression"]

_FIND_NODE = (
    "js=$(command -v node || command -v nodejs) || { echo 'Such a tool needs Node.js, which is"
    " not here: install it, or let CONDA run the tool.' >&2; exit 127; }"
)
_DRIVER = """\
"use strict";
const fs = require("fs");
// what the expression prints is marked: its lines are none of ours
const [tell, fail] = [process.stdout, process.stderr].map((stream) => {
  const write = stream.write.bind(stream);
  stream.write = (chunk, ...rest) => write(String(chunk).replace(/^(?=.)/gm, "| "), ...rest);
  return (line) => write(line + "\\n");
});
const fits = {
  integer: Number.isInteger, float: Number.isFinite,
  boolean: (value) => typeof value === "boolean", text: (value) => typeof value === "string",
};
const $job = %(job)s, $self = null;
const names = ["$job", "inputs", "$self", "$runtime", "$tmpdir", "$outdir"];
process.on("uncaughtException", (error) => {  // one line; Node.js ends with its own version
  fail("The expression failed: " + error);
  process.exit(1);
});
const result = new Function(...names, %(body)s)($job, $job, $self);
if (result !== null && typeof result === "object" && "__error_message" in result) {
  fail(result.__error_message);
  process.exit(1);
}
const outputs = %(outputs)s;
for (const output of outputs) {
  const known = result !== null && typeof result === "object" && output.key in result;
  let value;
  if (known) {
    value = result[output.key];
  } else if (outputs.length === 1 && (result === null || typeof result !== "object")) {
    value = result;
  } else {
    value = new Function("$self", "return (" + output.key + ");")(result);
  }
  if (value === undefined) value = null;
  const what = "The result “" + output.name + "” ";
  if (output.type in fits && value !== null && !fits[output.type](value))
    tell("warning: " + what + "is declared as " + output.type + ", and is none.");
  if (typeof value === "number" && !Number.isFinite(value)) value = null;
  if (output.type === "data" && value)
    value = (typeof value.src === "object" ? value.src : value).id || 0;
  const told = JSON.stringify(value);
  fs.writeFileSync(output.path, told);
  const start = told.length > 200 ? told.slice(0, 200) + "… (its file holds the rest)" : told;
  if (output.type !== "data") tell("note: " + what + "is " + start);
  else if (value === null) tell("note: " + what + "is null: the expression chose no dataset");
}
"""


def render_expression(
    tool: Tool,
    values: BoundValues,
    inputs: Context,
    outputs: Sequence[PlannedOutput],
    rules: Rules,
) -> str:
    """Write the JavaScript into ``rules.files`` and return the shell command.

    Raises
    ------
    TemplateError
        The expression is written in a language that is not known.
    """
    source = rules.source
    element = source.root.find("expression")
    text = ((element.text if element is not None else None) or "").strip()
    kind = element.get("type") if element is not None else None
    if not text or kind not in (None, "ecma5.1"):
        raise TemplateError(
            f"{source.path.name} holds no ECMAScript expression.",
            hint="Only expressions of the type “ecma5.1” can be run.",
        )
    job = json.loads(inputs_json(tool, values, inputs, source.profile, None))
    _add_datasets(job, inputs, source)
    script = _DRIVER % {
        "job": json.dumps(job),
        "body": json.dumps(
            '"use strict"; ' + (text if text.startswith("{") else f"return ({text});")
        ),
        "outputs": json.dumps(
            [
                {
                    "key": source.rules[entry.output.name].from_expression,
                    "path": str(entry.path),
                    "name": entry.output.name,
                    # of data, an input that is passed on, the number is enough
                    "type": source.rules[entry.output.name].element.get("type"),
                }
                for entry in outputs
            ]
        ),
    }
    path = rules.configs / "expression.js"
    rules.files[path] = script
    return f"{_FIND_NODE}\n$js {shlex.quote(str(path))}"


def _add_datasets(
    job: dict[str, object], context: Mapping[str, object], source: GalaxySource
) -> None:
    for name, value in context.items():
        if isinstance(value, DatasetValue):
            job[name] = _dataset(value, _load_contents(source, name)) if value else None
        elif isinstance(value, dict) and isinstance(job.get(name), dict):
            _add_datasets(job[name], value, source)  # type: ignore[arg-type]


def _load_contents(source: GalaxySource, name: str) -> int:
    for param in source.root.iter("param"):
        size = param.get("load_contents") or ""
        if param.get("name") == name and size.isdecimal():
            return int(size)
    return 0


def _dataset(value: DatasetValue, load_contents: int) -> dict[str, object]:
    metadata = {
        name: value.metadata.raw(name) for name in value.metadata.names() if name != "offsets"
    }
    found: dict[str, object] = {
        "file_ext": value.ext,
        "file_size": value.get_size(),
        "name": value.file.name if value.file else "",
        "element_identifier": value.element_identifier,
        "metadata": {key: entry for key, entry in metadata.items() if entry is not None},
        "src": {"src": "hda", "id": value.id},
    }
    if load_contents and value.file is not None:
        with value.file.path.open("rb") as stream:
            found["contents"] = stream.read(load_contents).decode("utf-8", errors="replace")
    return found
