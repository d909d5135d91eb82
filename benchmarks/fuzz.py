"""Fuzz targets: whatever a file, a message or a text says, its reader gives a sentence.

``python -m benchmarks.fuzz [TARGET...] [--minutes N]`` changes seeds (files that ship, and what
`fuzz_targets` makes) again and again. What a reader breaks on is written to
``.ci-work/fuzz/TARGET``; put it into ``tests/fuzz/TARGET`` when it is mended: everything there
is tried first, here and in the tests. Exit 1 when something was found. With ``--atheris``,
libFuzzer looks for it by coverage, where atheris is installed.

The oracle is the same everywhere: errors of ours or notes only, in bounded time and memory.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import random
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

__all__ = ["Target", "broken", "changed", "kept", "tried"]

HERE = Path(__file__).resolve().parent.parent
SECONDS = 5.0
"""Processor time that a reader may take for an input of a few kilobytes."""
MEMORY = 6 << 30
_MOST = 200_000

Check = Callable[[bytes, Path], None]
TOKENS = [
    *(b"0", b"-1", b"1e999", b"NaN", b"9" * 400, b"2147483648", b"18446744073709551616"),
    *(b"null", b"true", b"[]", b"{}", b'""', b"[" * 300, b'{"a":' * 300, b"../", b"/etc/passwd"),
    *(b"\0", b"\xff\xfe", b"\xed\xa0\x80", b"\r", b"\n", b"\x1b[2J", b"\\", b'"', b"'", b"${x}"),
    *(b"&amp;", b"&x;", b"<!--", b"]]>", b"<a>", b"</a>", b"<", b"%", b"$(id)", b";", b"`id`"),
    *("é".encode(), "‮".encode(), "／".encode(), b"." * 50, b" " * 500, b"(a+)+$"),
]


@dataclass(frozen=True, slots=True)
class Target:
    """A reader: what it is given first, and what has to hold (else `check` raises)."""

    seeds: Callable[[], Sequence[bytes]]
    check: Check


def kept(name: str) -> list[bytes]:
    """Return what this target broke on in the past."""
    folder = HERE / "tests" / "fuzz" / name
    return [path.read_bytes() for path in sorted(folder.glob("*"))]


def changed(seeds: Sequence[bytes], chance: random.Random) -> bytes:
    """Return one of the seeds with a few changes."""
    data = bytearray(chance.choice(seeds))
    for _ in range(chance.choice((1, 1, 2, 3, 6))):
        at = chance.randrange(len(data) + 1)
        end = min(len(data), at + chance.choice((0, 1, 2, 4, 8, 40, 400)))
        match chance.randrange(7):
            case 0:
                data[at:end] = chance.choice(TOKENS)
            case 1:
                data[at:at] = chance.choice(TOKENS)
            case 2:
                del data[at:end]
            case 3:
                data[at:at] = data[at:end] * chance.choice((1, 2, 30))
            case 4 if at < len(data):
                data[at] ^= 1 << chance.randrange(8)
            case 5:  # a piece of another
                other = chance.choice(seeds)
                start = chance.randrange(len(other) + 1)
                data[at:end] = other[start : start + chance.choice((4, 30, 300))]
            case _:  # a number, in text or in bytes
                size = chance.choice((1, 2, 4, 8))
                number = chance.choice((0, 1, 2, 127, 128, 255, 2**15, 2**31 - 1, 2**32 - 1))
                data[at : at + size] = (number % 256**size).to_bytes(size, "little")
    return bytes(data[:_MOST])


def broken(check: Check, data: bytes) -> str:
    """Return what `check` breaks on with `data` (where, and its traceback); empty: nothing."""
    begun = time.process_time()
    if signal.getsignal(signal.SIGPROF) is _late:
        signal.setitimer(signal.ITIMER_PROF, 4 * SECONDS)
    try:
        with tempfile.TemporaryDirectory() as folder:
            check(data, Path(folder))
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        frames = traceback.extract_tb(error.__traceback__)
        ours = [one for one in frames if "napari_tool_runner" in one.filename] or frames
        place = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}"
        told = "".join(traceback.format_exception(error)[-6:])
        return f"{type(error).__name__} at {place}\n{told[-3000:]}"
    spent = time.process_time() - begun
    return f"slow\n{spent:.1f} s of processor time" if spent > SECONDS else ""


def tried(
    name: str, target: Target, seconds: float, seed: int = 0, most: int = sys.maxsize
) -> Iterator[tuple[bytes, str]]:
    """Yield inputs that break the target and how, one of each kind; at the end b"" and a count."""
    chance = random.Random(seed)
    old = kept(name)
    seeds = [*target.seeds(), *old]
    known: set[str] = set()
    count, until = 0, time.monotonic() + seconds
    # one change at least, however slow
    while count < most and (count <= len(seeds) or time.monotonic() < until):
        data = seeds[count] if count < len(seeds) else changed(seeds, chance)
        found = broken(target.check, data)
        count += 1
        kind = found.partition("\n")[0]
        if found and kind not in known:
            known.add(kind)
            yield data, found
    yield b"", str(count)


def _limit() -> None:
    import resource

    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    signal.signal(signal.SIGPROF, _late)


def _late(*_: object) -> None:
    raise TimeoutError("it does not end")


def _with_atheris(target: Target, folder: Path, seconds: float) -> None:
    atheris = importlib.import_module("atheris")
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds()):
        (folder / f"seed{number}").write_bytes(seed)

    def one(data: bytes) -> None:
        found = broken(target.check, data)
        if found:
            raise AssertionError(found)

    atheris.Setup([sys.argv[0], f"-max_total_time={seconds:.0f}", str(folder)], one)
    atheris.Fuzz()


def main() -> int:
    """Run it from the command line."""
    if "--atheris" in sys.argv:  # what is imported before cannot be followed
        with importlib.import_module("atheris").instrument_imports(["napari_tool_runner"]):
            importlib.import_module("benchmarks.fuzz_targets")
    from benchmarks.fuzz_targets import TARGETS

    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--minutes", type=float, default=1.0, help="for each target")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--atheris", action="store_true", help="one target, by coverage")
    options = parser.parse_args()
    if unknown := set(options.targets) - set(TARGETS):
        parser.error(f"no target {', '.join(unknown)}; there are {', '.join(TARGETS)}")
    _limit()
    out, number = HERE / ".ci-work" / "fuzz", 0
    for name in options.targets or TARGETS:
        if options.atheris:
            _with_atheris(TARGETS[name], out / f"{name}-atheris", 60 * options.minutes)
            continue
        for data, found in tried(name, TARGETS[name], 60 * options.minutes, options.seed):
            if not data and found.isdecimal():
                print(f"{name}: {found} inputs (seed {options.seed})", flush=True)
                continue
            number += 1
            (out / name).mkdir(parents=True, exist_ok=True)
            path = out / name / sha256(data).hexdigest()[:12]
            path.write_bytes(data)
            print(f"{name}: {path}\n{found}", flush=True)
    print(f"{number} kinds of faults found." if number else "Nothing was found.")
    return 1 if number else 0


if __name__ == "__main__":
    sys.exit(main())
