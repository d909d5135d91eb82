"""Small tools for forms: every type of parameter, and a very long one."""

from __future__ import annotations

from itertools import pairwise

from qtpy.QtCore import QPoint, QRect
from qtpy.QtWidgets import QDockWidget

from napari_tool_runner.tools.model import (
    BooleanParameter,
    Case,
    ColorParameter,
    Conditional,
    DataColumnParameter,
    DataParameter,
    DirectoryParameter,
    DrillDownOption,
    DrillDownParameter,
    FileParameter,
    FloatParameter,
    HiddenParameter,
    InputItem,
    IntegerParameter,
    LayerKind,
    Repeat,
    Section,
    SelectOption,
    SelectParameter,
    TextParameter,
    Tool,
)


def options(*pairs: tuple[str, str]) -> tuple[SelectOption, ...]:
    return tuple(SelectOption(label, value) for label, value in pairs)


def tool_of(*items: InputItem, **more) -> Tool:
    return Tool(id="small", name="Small tool", version="1.0", inputs=items, **more)


IMAGE = DataParameter(
    name="image", label="Image", kinds=(LayerKind.IMAGE,), formats=("imagetiff",)
)
LABELS = DataParameter(
    name="labels", label="Objects", kinds=(LayerKind.LABELS,), formats=("imagetiff",)
)
SIGMA = FloatParameter(
    name="sigma", label="Sigma", default=2.0, minimum=0, maximum=20, unit="px", help="Blur <first>"
)
METHOD = Conditional(
    name="cond",
    test=SelectParameter(
        name="method",
        label="Method",
        options=options(("Otsu", "otsu"), ("Manual", "manual")),
        default="otsu",
    ),
    cases=(
        Case("otsu", (IntegerParameter(name="bins", label="Bins", default=256),)),
        Case("manual", (FloatParameter(name="value", label="Value"),)),
    ),
)
SECTION = Section(
    name="post",
    label="Post-processing",
    items=(IntegerParameter(name="smallest", label="Smallest", default=20),),
)
REPEAT = Repeat(
    name="filters",
    label="Filter",
    items=(
        SelectParameter(
            name="what",
            label="Property",
            options=options(("Area", "a"), ("Mean", "m")),
            default="a",
        ),
        FloatParameter(name="low", label="At least", default=0.0),
    ),
    minimum=1,
    default=1,
    maximum=3,
)


def rich_tool() -> Tool:
    """One parameter of every type, and the three containers."""
    return Tool(
        id="rich",
        name="Rich tool",
        version="1.2",
        description="One of everything.",
        inputs=(
            IMAGE,
            SIGMA,
            FloatParameter(name="tiny", label="Tolerance", default=1e-6),
            IntegerParameter(name="count", label="Count", default=3, minimum=1),
            IntegerParameter(name="seed", label="Seed", optional=True),
            BooleanParameter(name="fill", label="Fill holes", default=True),
            TextParameter(name="prefix", label="Prefix", default="cell"),
            TextParameter(name="extra", label="Extra", multiline=True, optional=True),
            SelectParameter(
                name="mode",
                label="Mode",
                options=options(("Fast", "f"), ("Slow", "s")),
                default="f",
            ),
            SelectParameter(
                name="near",
                label="Neighbours",
                display="radio",
                options=options(("Four", "4"), ("Eight", "8")),
                default="4",
            ),
            SelectParameter(
                name="measure",
                label="Measure",
                multiple=True,
                options=options(("Area", "a"), ("Mean", "m"), ("Perimeter", "p")),
                default=("a",),
            ),
            ColorParameter(name="colour", label="Colour", default="#ff8800"),
            FileParameter(name="model", label="Model", optional=True),
            DirectoryParameter(name="folder", label="Folder", optional=True),
            DataColumnParameter(name="column", label="Column", data_ref="image"),
            DrillDownParameter(
                name="tree",
                label="Tree",
                multiple=True,
                options=(
                    DrillDownOption("Shape", "shape", children=(DrillDownOption("Area", "area"),)),
                    DrillDownOption("Colour", "colour"),
                ),
            ),
            HiddenParameter(name="secret", default="x"),
            METHOD,
            SECTION,
            REPEAT,
            IntegerParameter(name="threads", label="Threads", default=1, advanced=True),
        ),
    )


def long_tool(count: int) -> Tool:
    """A tool with `count` parameters, all in one flat list."""
    items: list[InputItem] = [IMAGE]
    for number in range(count - 1):
        label = f"Parameter number {number}"
        kind = number % 5
        if kind == 0:
            items.append(FloatParameter(name=f"p{number}", label=label, default=0.5, help="Help"))
        elif kind == 1:
            items.append(IntegerParameter(name=f"p{number}", label=label, default=number))
        elif kind == 2:
            items.append(
                SelectParameter(
                    name=f"p{number}",
                    label=f"{label} with a label that is longer than its column",
                    options=options(("One", "1"), ("Two", "2")),
                    default="1",
                )
            )
        elif kind == 3:
            items.append(BooleanParameter(name=f"p{number}", label=label))
        else:
            items.append(TextParameter(name=f"p{number}", label=label))
    return Tool(id="long", name="Long tool", inputs=tuple(items))


def opened(qtbot, dock, key: str):
    """Open a tool that was perhaps never read, and return its page."""
    qtbot.waitUntil(lambda: key in dock.toolbox, timeout=30_000)
    if dock.open_tool(key) is None:
        qtbot.waitUntil(lambda: not dock._wanted, timeout=30_000)
    assert dock.page is not None
    return dock.page


def begun(qtbot, page):
    """Run the tool of a page, whose folder may be looked through first; return the job."""
    with qtbot.waitSignal(page.job_started, timeout=30_000) as started:
        page.run()
    return started.args[0]


def around(widget) -> QDockWidget:
    """The dock that holds a widget."""
    while not isinstance(widget, QDockWidget):
        widget = widget.parentWidget()
    return widget


def _place(part, window) -> QRect:
    return QRect(part.mapTo(window, QPoint()), part.size())


def is_whole(page, room: QRect) -> bool:
    """Whether all of the run bar is seen in `room`, in its own height, and nothing over it."""
    bar, window = page.run_bar, page.window()
    told = [] if bar.message.isHidden() else [bar.message.label]
    told += bar.message.buttons
    pressed = bar.run_button, bar.cancel_button, bar.where
    parts = [*told, bar.phase, *pressed]
    high = all(part.height() >= part.minimumSizeHint().height() for part in parts)
    within = all(
        _place(part, page).intersected(page.rect()) == _place(part, page)
        and room.contains(QRect(part.mapToGlobal(QPoint()), part.size()))
        for part in parts
    )
    rows = [*told[:1], bar.phase, bar.run_button]
    apart = all(_place(a, window).bottom() < _place(b, window).top() for a, b in pairwise(rows))
    return high and within and apart
