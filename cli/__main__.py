"""./stack: one command line for the whole platform."""

from __future__ import annotations

import sys

from cli.arguments import parser


def main() -> int:
    """Parse, run, and turn every expected failure into one message and an exit code."""
    arguments = parser().parse_args()
    # Only now: who asks for help, or mistypes, is answered before anything that acts is loaded.
    from airgap.report import Report, SupplyError  # noqa: PLC0415
    from cli import commands  # noqa: PLC0415
    from cli.errors import UserError  # noqa: PLC0415

    progress = Report()
    try:
        return commands.run(arguments, progress)
    except UserError as error:
        progress.note(f"stack: {error}")
        return error.code
    except SupplyError as error:
        progress.note(f"stack: {error}")
        return 1
    except KeyboardInterrupt:
        progress.note(
            "stack: interrupted. Nothing half-made is in the way: run the same command again to go on."
        )
        return 130
    except BrokenPipeError:
        return 141


if __name__ == "__main__":
    sys.exit(main())
