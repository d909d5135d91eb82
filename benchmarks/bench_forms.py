"""Opening a form, against making the same fields with magicgui alone."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from benchmarks.measure import Comparison, Unavailable, compare

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_tool_runner.tools.model import Tool

COUNT = 802


def run(*, quick: bool) -> Iterator[Comparison]:
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    try:
        from magicgui.widgets import Container, create_widget
        from qtpy.QtWidgets import QApplication
    except ImportError as error:
        raise Unavailable(f"Qt is not installed ({error})") from error
    from napari_tool_runner.widgets.forms.form import FormWidget

    application = QApplication.instance() or QApplication([])
    tool = long_tool()

    def ours() -> object:
        form = FormWidget(tool)
        form.resize(350, 700)
        form.show()
        application.processEvents()
        form.close()
        form.deleteLater()
        return form

    def bare() -> object:
        box = Container(scrollable=True)
        for parameter in tool.parameters():
            kind = {"float": float, "integer": int, "boolean": bool}.get(parameter.type, str)
            box.append(create_widget(annotation=kind, name=f"p_{parameter.name}"))
        box.native.resize(350, 700)
        box.show()
        application.processEvents()
        box.close()
        return box

    yield compare(
        f"a form of {COUNT} parameters on the screen (the same fields with magicgui)",
        ours,
        bare,
        aim=0.5,
        repeats=3 if quick else 7,
    )


def long_tool() -> Tool:
    """Return a tool with a flat list of parameters of four types."""
    from napari_tool_runner.tools.model import (
        BooleanParameter,
        FloatParameter,
        IntegerParameter,
        TextParameter,
        Tool,
    )

    kinds = (FloatParameter, IntegerParameter, BooleanParameter, TextParameter)
    inputs = tuple(
        kinds[number % 4](name=f"p{number}", label=f"Parameter {number}")
        for number in range(COUNT)
    )
    return Tool(id="long", name="Long", inputs=inputs)
