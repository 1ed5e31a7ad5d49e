"""``littoral``: the roles of its own processes first, everything else is the command line."""

import sys


def main() -> int:
    """Run what the first word asks for; returns the exit status.

    Only that is imported: a node has no use for the command line, nor it for them. ``node`` alone
    is the role; with a further word it is a command.
    """
    match sys.argv[1:]:
        case ["control", *_]:
            from littoral.app.role.control import main as role  # noqa: PLC0415  see above
        case ["node"]:
            from littoral.app.role.node import main as role  # noqa: PLC0415  see above
        case ["gateway", *_]:
            from littoral.app.role.gateway import main as role  # noqa: PLC0415  see above
        case ["engine", *_]:
            from littoral.app.role.engine import main as role  # noqa: PLC0415  see above
        case ["screen", *_]:
            from littoral.app.role.screen import main as role  # noqa: PLC0415  see above
        case ["bench-worker", *_]:
            from littoral.app.bench.wire.worker import main as role  # noqa: PLC0415  see above
        case _:
            from littoral.app.command.root import main as role  # noqa: PLC0415  see above
    return role()


if __name__ == "__main__":
    sys.exit(main())
