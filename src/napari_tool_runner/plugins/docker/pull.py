"""Pulling an image: what it would take, progress, words for what goes wrong, a way out."""

from __future__ import annotations

import contextlib
import json
import shutil
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import docker.auth
import docker.errors
import docker.types
import requests

from napari_tool_runner import settings
from napari_tool_runner.errors import JobCancelledError, PreparationError
from napari_tool_runner.names import size_text
from napari_tool_runner.plugins.contract import Fetch, Plan
from napari_tool_runner.plugins.docker.client import ENGINE_ERRORS, Engine
from napari_tool_runner.plugins.docker.containers import close_quietly
from napari_tool_runner.plugins.docker.images import Image, find_image
from napari_tool_runner.plugins.docker.registry import RegistryError, ask_manifest
from napari_tool_runner.plugins.docker.storage import note_image
from napari_tool_runner.plugins.docker.words import LONGEST_LINE, lines_of, said_by, why_no_image
from napari_tool_runner.plugins.process import ExecContext, OutputLine, Progress

if TYPE_CHECKING:
    from napari_tool_runner.plugins.docker.images import Reference

__all__ = ["ensure_image", "plan_image"]

_UNPACKED = 2.5
"""How many times larger layers become, about, when they are unpacked."""

_TOLD = 8
"""Platforms of an image that are named."""

_REPORT_EVERY = 0.1
_pulls: dict[tuple[str, str], threading.Lock] = {}
_pulls_lock = threading.Lock()


def plan_image(engine: Engine, reference: Reference, config: Mapping[str, object]) -> Plan:
    """Return what a run of the image `reference` would need on `engine`."""
    platform = settings.PLATFORM.of(config) or engine.platform
    problems: list[str] = []
    remarks: list[str] = []
    fetches: tuple[Fetch, ...] = ()
    image = find_image(engine, reference)
    if image is None:
        size: int | None = None
        try:
            manifest = ask_manifest(engine, reference, platform)
        except RegistryError as error:
            if error.status == 404:
                problems.append(f"{error.message} Check the name and the tag.")
            else:
                remarks.append(f"{error.message} So the size of the image is unknown.")
        else:
            size = manifest.size or None
            if not manifest.chosen:
                problems.append(
                    f"The image {reference} is made for {_some(manifest.platforms)}, this "
                    f"computer is {platform}. Ask its authors, or set “platform” of the runner "
                    "to have it emulated."
                )
        fetches = (Fetch(f"container image {reference}", size),)
        _judge_disk(engine, size, problems, remarks)
    else:
        remarks.append(f"The image {reference} is here ({size_text(image.size)}).")
        if remark := image.emulation_remark(platform):
            remarks.append(remark)
    if settings.GPUS.of(config) and not _has_gpu(engine):
        problems.append(
            f"A GPU is asked for, but {engine.name} here cannot give one. "
            "Install the NVIDIA Container Toolkit, or ask for no GPU."
        )
    return Plan(fetches, tuple(problems), tuple(remarks))


def _some(platforms: Sequence[str]) -> str:
    more = len(platforms) - _TOLD
    return ", ".join(platforms[:_TOLD]) + (f" and {more} more" if more > 0 else "")


def _has_gpu(engine: Engine) -> bool:
    """Say whether the engine knows how to give a GPU to a container."""
    runtimes = engine.info.get("Runtimes") or {}
    return bool(
        "nvidia" in runtimes
        or engine.info.get("DiscoveredDevices")
        or (engine.endpoint.local and shutil.which("nvidia-container-runtime-hook"))
    )


def _judge_disk(engine: Engine, size: int | None, problems: list[str], remarks: list[str]) -> None:
    place = engine.root_dir
    virtual = "desktop" in str(engine.info.get("OperatingSystem", "")).lower()
    if not engine.endpoint.local or virtual or not place.is_dir():
        return
    free = shutil.disk_usage(place).free
    if size is not None and size * _UNPACKED > free:
        problems.append(
            f"The image needs about {size_text(size * _UNPACKED)} in {place}, where only "
            f"{size_text(free)} are free. Free some space first (`napari-tool-runner clean`)."
        )
    else:
        remarks.append(f"{size_text(free)} are free for images.")


def ensure_image(
    engine: Engine, reference: Reference, context: ExecContext, platform: str | None = None
) -> Image:
    """Return the image, pulled first when it is missing.

    Raises
    ------
    PreparationError
        It cannot be had; says why in plain words.
    JobCancelledError
    """
    with _pulls_lock:
        lock = _pulls.setdefault((engine.id, str(reference)), threading.Lock())
    while not lock.acquire(timeout=0.2):
        _stop_if_cancelled(context, reference)
    try:
        image = find_image(engine, reference)
        if image is not None and platform and not platform.startswith(image.platform):
            # the one that is here is for another platform than the one asked for
            image = None
        if image is None:
            _stop_if_cancelled(context, reference)
            _Pull(engine, reference, context, platform).run()
            image = find_image(engine, reference)
            if image is not None:
                _note(engine, image, context)
    finally:
        lock.release()
    if image is None:
        raise PreparationError(
            f"The container engine pulled the image {reference}, but does not have it now.",
            hint="Try again; if it stays so, pull it by hand and look at what is said.",
        )
    return image


def _note(engine: Engine, image: Image, context: ExecContext) -> None:
    try:
        note_image(engine.id, str(image.reference), image.id)
    except (OSError, ValueError) as error:
        context.say(
            f"It could not be noted that the image was pulled ({error}), so `clean` will "
            "not offer to remove it."
        )


class _Pull:
    """One pull: a request whose answer is a stream of events."""

    def __init__(
        self, engine: Engine, reference: Reference, context: ExecContext, platform: str | None
    ) -> None:
        self.engine = engine
        self.reference = reference
        self.context = context
        self.platform = platform
        self.layers: dict[str, _Layer] = {}
        self.credentials_problem = ""
        self.sizes: dict[str, int] | None = None  # until the registry has answered
        self._reported = 0.0

    def run(self) -> None:
        self.context.say(f"Pulling image {self.reference}")
        self._report(force=True)
        threading.Thread(target=self._ask_sizes, name="docker-sizes", daemon=True).start()
        try:
            response = self._request()
        except ENGINE_ERRORS as error:
            raise self._failed(error) from error
        stream = docker.types.CancellableStream(iter(()), response)
        # closing the connection is what ends a pull; where that is not possible (ssh), the
        # next event ends it
        remove = self.context.cancel.on_cancel(lambda: close_quietly(stream))
        try:
            for line in lines_of(response):
                if not line.strip():
                    continue
                if len(line) > LONGEST_LINE:  # an error that somebody filled up
                    raise self._explain(line.decode(errors="replace"))
                event = json.loads(line)
                if "error" in event:
                    raise self._explain(str(event["error"]))
                self._take(event)
                _stop_if_cancelled(self.context, self.reference)
            _stop_if_cancelled(self.context, self.reference)
        except (requests.exceptions.RequestException, OSError, ValueError) as error:
            _stop_if_cancelled(self.context, self.reference)
            raise self._failed(error) from error
        finally:
            remove()
            response.close()
        self._report(force=True, finished=True)

    def _request(self) -> requests.Response:
        """Return the engine's answer, which may wait for the registry's; cancel does not wait."""
        answer, wake = Future[requests.Response](), threading.Event()

        def ask() -> None:
            try:
                answer.set_result(self._post())
            except Exception as error:  # noqa: BLE001 - the job that waits raises it
                answer.set_exception(error)
            wake.set()

        threading.Thread(target=ask, name="docker-pull", daemon=True).start()
        remove = self.context.cancel.on_cancel(wake.set)
        wake.wait()
        remove()
        if not answer.done():
            # nothing ends a request that is not answered; when it is, this ends the pull
            answer.add_done_callback(_close_late)
            _stop_if_cancelled(self.context, self.reference)
        return answer.result()

    def _post(self) -> requests.Response:
        api = self.engine.client.api
        parameters = {"fromImage": self.reference.name, "tag": self.reference.version}
        if self.platform:
            parameters["platform"] = self.platform
        response: requests.Response = api.post(
            f"{api.base_url}/v{api.api_version}/images/create",
            params=parameters,
            headers=self._credentials(),
            stream=True,
            # a big layer is silent while it is unpacked
            timeout=(30, None),
        )
        if response.status_code >= 400:
            with response:
                body: bytes = response.raw.read(LONGEST_LINE, decode_content=True)
            message = body.decode(errors="replace")
            with contextlib.suppress(ValueError, KeyError, TypeError):
                message = str(json.loads(body)["message"])
            raise self._explain(message or str(response.reason))
        return response

    def _credentials(self) -> dict[str, str | bytes]:
        api = self.engine.client.api
        try:
            api.reload_config()
            header = docker.auth.get_config_header(api, self.reference.registry)
        except (docker.errors.DockerException, OSError, ValueError) as error:
            # public images need none, so go on, and say it
            self.credentials_problem = str(error)
            self.context.say(
                f"The credentials for {self.reference.registry} could not be read, so the "
                f"image is pulled without any: {error}"
            )
            return {}
        return {"X-Registry-Auth": header} if header else {}

    def _ask_sizes(self) -> None:
        """Learn how large the layers are before the engine has come to each of them."""
        layers: Mapping[str, int] = {}
        with contextlib.suppress(RegistryError):
            platform = self.platform or self.engine.platform
            layers = ask_manifest(self.engine, self.reference, platform).layers
        # the engine names layers by the first digits of their digests
        self.sizes = {digest.partition(":")[2][:12]: size for digest, size in layers.items()}

    def _take(self, event: Mapping[str, Any]) -> None:
        status = str(event.get("status", ""))
        name = str(event.get("id", ""))
        if status.startswith(("Pulling from", "Digest:", "Status:")) or not name:
            return
        layer = self.layers.setdefault(name, _Layer())
        layer.take(status, event.get("progressDetail") or {})
        self._report()

    def _report(self, *, force: bool = False, finished: bool = False) -> None:
        now = time.monotonic()
        if not force and now - self._reported < _REPORT_EVERY:
            return
        self._reported = now
        sizes = self.sizes or {}
        for name, layer in self.layers.items():
            layer.total = sizes.get(name, layer.total)
        layers = [layer for layer in self.layers.values() if not layer.present]
        total = sum(layer.total or 0 for layer in layers)
        done = sum((layer.total or 0) if layer.fetched else layer.done for layer in layers)
        # until it is known which layers there are, and how large each is, the end is not known;
        # a layer so small that its progress was never told has the size seen
        listed = self.sizes is not None and sizes.keys() <= self.layers.keys()
        foreign = self.sizes is not None and sizes.keys().isdisjoint(self.layers)
        known = bool(layers) and (listed or foreign or finished)
        known = known and all(layer.fetched or layer.total is not None for layer in layers)
        phase = f"Pulling image {self.reference}"
        if layers and not finished:
            complete = sum(layer.complete for layer in layers)
            phase += f" ({complete} of {len(layers)} layers)"
        if finished:
            done = total
        self.context.report(Progress(phase, done, total if known else None, "bytes"))

    def _failed(self, error: BaseException) -> PreparationError:
        if not isinstance(error, docker.errors.APIError):
            return PreparationError(
                f"The container engine went away while it pulled the image {self.reference}.",
                hint="Start it again and try again; layers that are complete are kept.",
            )
        return self._explain(said_by(error))

    def _explain(self, said: str) -> PreparationError:
        """Return the error for what the engine said."""
        said = said_by(said)
        message, hint = why_no_image(said)
        platform = self.platform or self.engine.platform
        names = {
            "image": str(self.reference),
            "registry": self.reference.registry,
            "platform": platform,
        }
        hint = hint.format(**names)
        if self.credentials_problem:
            hint += f" The stored credentials could not be read: {self.credentials_problem}."
        if "{said}" not in message:
            self.context.report(OutputLine(f"The engine said: {said}", "runner"))
        return PreparationError(message.format(**names, said=said), hint=hint)


class _Layer:
    """What is known about one layer of a pull."""

    def __init__(self) -> None:
        self.total: int | None = None
        self.done = 0
        self.present = False
        self.fetched = False
        self.complete = False

    def take(self, status: str, detail: Mapping[str, Any]) -> None:
        total = detail.get("total")
        if status == "Already exists":
            self.present = True
        elif status == "Downloading" and isinstance(total, int) and total > 0:
            self.total = total
            self.done = min(int(detail.get("current", 0)), total)
        elif status in ("Verifying Checksum", "Download complete", "Pull complete"):
            self.fetched = True
            self.complete = self.complete or status == "Pull complete"


def _close_late(answer: Future[requests.Response]) -> None:
    if answer.exception() is None:
        close_quietly(answer.result())


def _stop_if_cancelled(context: ExecContext, reference: Reference) -> None:
    if context.cancel.requested:
        raise JobCancelledError(f"Cancelled while the image {reference} was pulled.")
