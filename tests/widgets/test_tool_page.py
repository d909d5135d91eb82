"""The page about a tool: safe help, citations, sample, command line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from qtpy.QtCore import QUrl
from qtpy.QtGui import QGuiApplication
from run_tools import invert_tool

from napari_tool_runner.jobs import JobManager
from napari_tool_runner.tools import load_toolbox
from napari_tool_runner.tools.model import Citation, ContainerRequirement, Link, PackageRequirement
from napari_tool_runner.widgets import tool_page
from napari_tool_runner.widgets.forms.presets import PresetStore
from napari_tool_runner.widgets.help_text import bibtex, help_html, safe_html, safe_link
from napari_tool_runner.widgets.tool_page import ToolPage, command_line, page_html
from napari_tool_runner.widgets.tool_widget import ToolWidget

RST = """
Title
=====

**Bold** and `a link <https://example.org/x>`_ and `bad <javascript:alert(1)>`_.

.. image:: https://example.org/pixel.png
   :alt: a picture

.. raw:: html

   <script>alert(1)</script>

.. include:: /etc/passwd

- one
- two
"""


@pytest.fixture
def tool(tmp_path):
    return invert_tool(tmp_path)


def test_rst(tool):
    text = help_html(replace(tool, help=RST, help_format="rst"))
    assert "<strong>Bold</strong>" in text
    assert 'href="https://example.org/x"' in text
    assert "<li>one</li>" in text
    assert "[a picture]" in text
    for bad in ("javascript", "<img", "<script", "root:"):
        assert bad not in text


def test_markdown(tool):
    source = (
        "# Head\n\n*very* [link](https://example.org) <script>x</script> ![pic](http://a/b.png)"
    )
    text = help_html(replace(tool, help=source, help_format="markdown"))
    assert "Head" in text
    assert 'href="https://example.org"' in text
    assert "<script" not in text
    assert "<img" not in text


def test_plain_and_address(tool):
    assert help_html(replace(tool, help="a < b\n\nc", help_format="plain")) == (
        "<p>a &lt; b</p><p>c</p>"
    )
    assert 'href="https://x.org/h"' in help_html(
        replace(tool, help="https://x.org/h", help_format="url")
    )
    assert "href" not in help_html(replace(tool, help="file:///etc/passwd", help_format="url"))
    assert help_html(replace(tool, help="  ")) == ""


def test_broken_rst_is_shown_as_it_is(tool):
    text = help_html(replace(tool, help="Title\n===\n\n*open\n\n.. nonsense::", help_format="rst"))
    assert "open" in text


@given(
    st.lists(
        st.sampled_from(
            ["<script>", "</script>", "<img src=http://a/b>", "<a href='javascript:x'>", "</a>",
             "<b onclick=go()>", "text", "<iframe src=x>", "<ScRiPt src=//e>", "<", ">", '"', " "]
        ),
        max_size=12,
    )
)  # fmt: skip
def test_nothing_acts_whatever_comes(parts):
    text = safe_html("".join(parts)).casefold()
    for bad in ("<script", "<img", "<iframe", "javascript:"):
        assert bad not in text


def test_links():
    assert safe_link("https://a.org/?a=1&amp;b=2") == "https://a.org/?a=1&b=2"
    for bad in ("javascript:alert(1)", "file:///x", "data:text/html,x", "//a", "x", "http://[x"):
        assert safe_link(bad) == ""


def test_bibtex():
    entry = bibtex(Citation("doi", "https://doi.org/10.1038/s41592-019-0582-9"))
    assert entry.startswith("@misc{doi_10_1038_s41592_019_0582_9,")
    assert "doi = {10.1038/s41592-019-0582-9}" in entry
    assert bibtex(Citation("bibtex", "@article{a}")) == "@article{a}"


def test_all_of_the_descriptor_is_on_the_page(tool):
    full = replace(
        tool,
        description="It <inverts>",
        citations=(Citation("doi", "10.1/x"),),
        links=(Link("Home", "https://example.org"), Link("Odd", "javascript:x")),
        requirements=(
            PackageRequirement(name="samtools", version="1.2"),
            ContainerRequirement(image="registry.example.org/a:1"),
        ),
        authors=("Ada",),
        license="MIT",
        categories=("Filters",),
    )
    text = page_html(full, ["The first run fetches 3 packages (120 MB)."])
    for words in (
        "It &lt;inverts&gt;", "@misc{doi_10_1_x", "https://example.org", "samtools 1.2",
        "registry.example.org/a:1", "Ada", "MIT", "Filters", "120 MB", full.version, full.uri,
        "none in the descriptor",
    ):  # fmt: skip
        assert words in text, words
    assert "javascript" not in text


@pytest.fixture
def page(shown, model_viewer, tmp_path):
    def make(tool) -> ToolWidget:
        return shown(
            ToolWidget(
                tool, model_viewer, manager=JobManager(), presets=PresetStore(tmp_path / "p")
            )
        )

    return make


def test_in_the_place_of_the_form_and_back(qtbot, page):
    widget = page(load_toolbox()["gaussian_filter"])
    widget.help_button.click()
    assert isinstance(widget.about, ToolPage)
    assert widget.form.isHidden()
    assert not widget.about.isHidden()
    qtbot.waitUntil(lambda: "It would run on" in widget.about.text.toPlainText(), timeout=30_000)
    widget.help_button.click()
    assert not widget.form.isHidden()
    assert widget.about.isHidden()


def test_notes_of_plugins_are_told_also_where_nothing_has_to_be_fetched(qtbot, page):
    widget = page(load_toolbox()["gaussian_filter"])
    widget.help_button.click()
    text = widget.about.text
    qtbot.waitUntil(lambda: "nothing has to be fetched" in text.toPlainText(), timeout=30_000)
    widget.service_lookup.services.notes = ("A plugin is of another version.",)
    widget.about.refresh()
    assert "A plugin is of another version." in text.toPlainText()


def test_load_sample_fills_the_form_and_it_runs(qtbot, page, model_viewer):
    box = load_toolbox()
    widget = page(box["gaussian_filter"])
    widget.help_button.click()
    widget.about.sample_button.click()
    assert not widget.form.isHidden()
    (layer,) = model_viewer.layers
    assert widget.form.values()["input"] is layer
    assert widget.form.problems() == []
    with qtbot.waitSignal(widget.job_finished, timeout=60_000):
        widget.run()
    assert len(model_viewer.layers) == 2


# which have none, `test_descriptor_is_complete` of the bundled tools says
@pytest.mark.parametrize("key", [key for key, tool in load_toolbox().items() if tool.tests])
def test_every_bundled_sample_can_be_loaded(key, model_viewer, form):
    tool = load_toolbox()[key]
    filled = form(tool)
    tool_page.load_sample(tool, model_viewer, filled)
    assert [problem.sentence for problem in filled.problems()] == []


def test_a_tool_without_a_sample_and_without_a_descriptor(tool, page, tmp_path):
    widget = page(tool)
    widget.help_button.click()
    assert not widget.about.sample_button.isEnabled()
    widget.about.load_sample()
    assert "no test" in widget.about.message.text()
    Path(tool.uri).unlink()
    widget.about.open_descriptor()
    assert "gone" in widget.about.message.text()


def test_copy(page, tool, model_viewer, cells):
    model_viewer.add_image(cells, name="my cells")
    cited = replace(tool, citations=(Citation("doi", "10.1/x"),))
    widget = page(cited)
    widget.help_button.click()
    widget.about.command_button.click()
    text = QGuiApplication.clipboard().text()
    assert text.startswith("napari-tool-runner run ")
    assert "i=MY_CELLS.tif" in text
    widget.about.follow_link(QUrl("copy:0"))
    assert QGuiApplication.clipboard().text().startswith("@misc{doi_10_1_x,")


def test_only_web_addresses_are_opened(page, tool, monkeypatch):
    opened = []
    monkeypatch.setattr(
        tool_page.QDesktopServices, "openUrl", lambda url: opened.append(url.toString())
    )
    widget = page(tool)
    widget.help_button.click()
    for address in ("file:///etc/passwd", "https://example.org", "javascript:x"):
        widget.about.follow_link(QUrl(address))
    assert opened == ["https://example.org"]


def test_the_copied_command_runs(tmp_path, capsys):
    import shlex

    import tifffile

    from napari_tool_runner.cli import main

    tifffile.imwrite(tmp_path / "in.tif", np.arange(64, dtype=np.uint8).reshape(8, 8))
    tool = load_toolbox()["gaussian_filter"]
    text = command_line(tool, {"input": tmp_path / "in.tif", "sigma": 1.5, "space": "planes"})
    assert main([*shlex.split(text)[1:], "--quiet"]) == 0
    assert "output: " in capsys.readouterr().out
