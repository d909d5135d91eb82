"""Started by an environment's Python: notes what that has imported by itself, and serves."""

import sys


def main() -> None:
    """Serve; in a fork, run its script."""
    begun = frozenset(sys.modules)
    import warm_server  # type: ignore[import-not-found]

    warm_server.serve(begun)


if __name__ == "__main__":
    main()
