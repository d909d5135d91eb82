"""Makes a namespace of users within that of an enclosure, in which the user has his own number.

Run as ``python -IS inner_users.py DESCRIPTOR UID GID``: the descriptor is of the enclosure's
namespace of users, in which the user is root. It prints the number of a process that is in the new
one, and waits for the end of its input.
"""

from __future__ import annotations

import ctypes
import os
import sys

_NEW_USERS = 0x10000000


def main() -> None:
    """Make it, and tell which process is in it; an error ends with its traceback."""
    libc = ctypes.CDLL(None, use_errno=True)
    around, user, group = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    if libc.setns(around, _NEW_USERS):
        raise OSError(ctypes.get_errno(), "the enclosure's users cannot be entered")
    ready, made = os.pipe()
    wait, end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(end)
        failed = libc.unshare(_NEW_USERS)
        os.write(made, b"" if failed else b"x")
        os.close(made)
        os.read(wait, 1)
        os._exit(0)
    os.close(made)
    if os.read(ready, 1) != b"x":
        raise OSError("a namespace of users cannot be made within another one")
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} 0 1"),
        ("gid_map", f"{group} 0 1"),
    ):
        with open(f"/proc/{child}/{name}", "w", encoding="ascii") as file:
            file.write(text)
    print(child, flush=True)  # noqa: T201 (the answer)
    sys.stdin.read()


if __name__ == "__main__":
    main()
