"""How programs start in a container whose imports were done while it waited."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from napari_tool_runner.plugins.docker.ahead import ContainerServer, Wanted
from napari_tool_runner.plugins.warm.asked import asked_by, handed
from napari_tool_runner.plugins.warm.handing import Handing
from napari_tool_runner.plugins.warm.interpreter import by_name, calls_python
from napari_tool_runner.plugins.warm.pool import fail, fails, tell, using

if TYPE_CHECKING:
    from napari_tool_runner.plugins.docker.images import Image
    from napari_tool_runner.plugins.docker.kept import WarmContainer
    from napari_tool_runner.plugins.process import ExecContext
    from napari_tool_runner.plugins.warm.warm_interpreter import Interpreter
    from napari_tool_runner.tools.model import Tool

__all__ = ["handing_in"]

_pythons: dict[str, Interpreter] = {}  # of images, as they told in this session


@contextmanager
def handing_in(
    warm: WarmContainer,
    image: Image,
    tool: Tool,
    args: Sequence[str],
    context: ExecContext,
    config: Mapping[str, object],
    environment: Mapping[str, str],
    end: Callable[[], object],
) -> Iterator[Handing]:
    """Give how a job's program is started in `warm`, so that calls of its Python start warm.

    Parameters
    ----------
    config : mapping
        The ``runner`` section.
    environment : mapping
        The variables that the program has besides those of the image.
    end : callable
        Ends the container, if the program does nothing any more.
    """
    asked = asked_by(tool, args, context, config, environment) if warm.spec.ahead else None
    server = None if asked is None else _server(warm, Wanted(image, asked), context)
    if server is None or asked is None:
        yield Handing(list(args), environment)
        return
    variables = {**environment, "PATH": server.path}
    with using(server):
        how = None
        try:
            with handed(server, by_name(args, server.found), variables, asked, end) as how:
                how.begin(None)  # the container is the enclosure
                yield how
        finally:
            if how is not None:
                tell(how, server, context)


def _server(warm: WarmContainer, wanted: Wanted, context: ExecContext) -> ContainerServer | None:
    """Return what forks in a container for such a job, begun now where that was not done ahead."""
    warm.wanted, image, args = None, wanted.image, wanted.asked.args
    if fails(image.id) or fails(wanted.kind):
        return None
    if image.id in _pythons and not calls_python(args, _pythons[image.id]):
        return None
    if warm.server is None and not warm.frozen:
        why = warm.begin(wanted)
        if why and warm.running():
            fail(image.id)
            context.say(f"Programs in {image.reference} start without imports ahead: {why}.")
            return None
    server = warm.server
    if server is not None:
        _pythons[image.id] = server.found
        if not calls_python(args, server.found):
            return None
    warm.wanted = wanted
    if server is None or server.outdated or server.kind != wanted.kind:
        return None
    return server
