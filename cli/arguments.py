"""What ./stack accepts."""

from __future__ import annotations

import argparse

from cli.workbench import MODES

DESCRIPTION = """\
Stand up, check and take down a multi-cluster Dapr platform: four k3d clusters, Dapr, Redis,
a demo service, and the gateway that carries traffic between the clusters."""

EPILOG = """\
An environment is a Pulumi stack with its Pulumi.<env>.yaml. Every command can be interrupted and
run again. For plain Pulumi:  eval "$(./stack env)"; pulumi up"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        prog="./stack",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    up = commands.add_parser("up", help="prepare the machine and bring the environment up")
    _environment(up)
    _supply(up)

    preview = commands.add_parser("preview", help="show what `up` would change")
    _environment(preview)
    _supply(preview)
    preview.add_argument("--diff", action="store_true", help="show every changed property")

    demo = commands.add_parser("demo", help="walk the article and check every answer")
    _environment(demo)
    demo.add_argument("--json", metavar="FILE", help="also write the table as JSON")

    destroy = commands.add_parser("destroy", help="remove everything the environment made")
    _environment(destroy)

    env = commands.add_parser("env", help="print the environment for plain `pulumi` as shell exports")
    _environment(env)

    test = commands.add_parser("test", help="run the fast tests, or `test e2e` on real clusters")
    test.add_argument("suite", nargs="?", choices=["fast", "e2e"], default="fast", help="default: fast")
    test.add_argument("arguments", nargs=argparse.REMAINDER, help="passed on to pytest")

    commands.add_parser("check", help="format, lint, types, import layers")
    return top


def _environment(command: argparse.ArgumentParser) -> None:
    command.add_argument("environment", nargs="?", default="dev", help="default: dev (Pulumi.dev.yaml)")


def _supply(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--supply",
        choices=MODES,
        help="where images and tools come from: public registries, or built here from language registries; "
        "auto (default) asks whether the public registry answers",
    )
