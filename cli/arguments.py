"""What ./stack accepts."""

from __future__ import annotations

import argparse
from typing import Any

from cli import product
from cli.choices import KINDS, MODES
from cli.help import HELP
from cli.paths import PROJECT, ROOT

DESCRIPTION = """\
Stand up, check and take down a multi-cluster Dapr platform: four k3d clusters, Dapr, Redis,
a demo service, and the gateway that carries traffic between the clusters."""

EPILOG = """\
An environment is a Pulumi stack with its Pulumi.<env>.yaml. Every command can be interrupted and
run again. For plain Pulumi:  eval "$(./stack env)"; pulumi up
./stack COMMAND --help says what a command does, what its exit codes mean, and how to call it."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        prog="./stack",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"{PROJECT} {product.version(ROOT)}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    _environment(_command(commands, "init"))

    up = _command(commands, "up")
    _environment(up)
    _supply(up)
    up.add_argument("--refresh", action="store_true", help="bring back what was changed or deleted by hand")

    preview = _command(commands, "preview")
    _environment(preview)
    _supply(preview)
    preview.add_argument("--diff", action="store_true", help="show every changed property")
    preview.add_argument(
        "--without", action="append", default=[], metavar="CLUSTER", help="as if this cluster were lost"
    )
    preview.add_argument(
        "--traffic", action="store_true", help="only who would serve whom: prepares nothing, runs no engine"
    )
    preview.add_argument("--json", action="store_true", help="print that as JSON, and nothing else")

    demo = _command(commands, "demo")
    _environment(demo)
    demo.add_argument("--json", metavar="FILE", help="also write the table as JSON")

    status = _command(commands, "status")
    _environment(status)
    _rows(status)
    shape = status.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_true", help="print JSON in place of tables")
    shape.add_argument("--watch", action="store_true", help="refresh every two seconds until Ctrl-C")

    _dashboard(_command(commands, "dashboard"))

    doctor = _command(commands, "doctor")
    _environment(doctor)
    doctor.add_argument("--json", action="store_true", help="print JSON in place of a list")

    _explain(_command(commands, "explain"))

    _drill(_command(commands, "drill"))

    gather = _command(commands, "gather")
    _environment(gather)
    gather.add_argument(
        "--output", metavar="FILE", help="default: multicluster-dapr-<env>-<time>.tar.gz in this folder"
    )

    graph = _command(commands, "graph")
    _environment(graph)
    graph.add_argument("--live", action="store_true", help="as the clusters are now")
    graph.add_argument(
        "--output", metavar="FILE", help="default: topology-<env>.html in this folder; - prints it"
    )

    destroy = _command(commands, "destroy")
    _environment(destroy)
    destroy.add_argument("--yes", action="store_true", help="do not ask for what others have made")

    _environment(_command(commands, "env"))

    test = _command(commands, "test")
    test.add_argument("suite", nargs="?", choices=["fast", "e2e"], default="fast", help="default: fast")
    test.add_argument("arguments", nargs=argparse.REMAINDER, help="passed on to pytest")

    _command(commands, "check")

    bench = _command(commands, "bench")
    bench.add_argument("sections", nargs="*", metavar="SECTION", help="what to measure (default: everything)")
    bench.add_argument("--quick", action="store_true", help="fewer cases and rounds: to see that it works")
    return top


def _rows(status: argparse.ArgumentParser) -> None:
    """Which rows: of an option that is given twice, either."""
    for option, metavar, about in (
        ("--cluster", "NAME", "rows of this cluster alone"),
        ("--namespace", "NAME", "rows of services of this namespace"),
        ("--service", "NAME", "rows of this service: name or namespace/name, * for any part"),
    ):
        status.add_argument(option, action="append", default=[], metavar=metavar, help=about)
    status.add_argument("--kind", action="append", default=[], choices=KINDS, help="rows of this kind")
    status.add_argument("--wrong", action="store_true", help="only what is not well")


def _explain(explain: argparse.ArgumentParser) -> None:
    explain.add_argument("target", nargs="?", metavar="URL|APP-ID", help="what callers say")
    explain.add_argument("--from", dest="source", metavar="CLUSTER", help="the cluster of the callers")
    explain.add_argument("--request-id", metavar="ID", help="a past request, by its X-Request-Id")
    explain.add_argument("--environment", default="dev", metavar="ENV", help="default: dev (Pulumi.dev.yaml)")
    explain.add_argument("--json", action="store_true", help="print JSON in place of lines")


def _drill(drill: argparse.ArgumentParser) -> None:
    _environment(drill)
    drill.add_argument(
        "--lose", metavar="WHAT", help="CLUSTER, gateway[:CLUSTER], app[:CLUSTER] or link[:CLUSTER:CLUSTER]"
    )
    drill.add_argument(
        "--for", dest="lasting", default="60s", metavar="TIME", help="how long it is away (default: 60s)"
    )
    drill.add_argument("--rate", default="50", metavar="N", help="calls a second, in all (default: 50)")
    drill.add_argument("--path", default="/", help="what is asked for, by GET (default: /)")
    drill.add_argument(
        "--service", action="append", default=[], metavar="NAMESPACE/NAME", help="call this one alone"
    )
    drill.add_argument(
        "--from",
        dest="source",
        action="append",
        default=[],
        metavar="CLUSTER",
        help="call from this one alone",
    )
    drill.add_argument("--json", action="store_true", help="print the report as JSON, and nothing else")
    drill.add_argument("--junit", metavar="FILE", help="also write the budget's results as JUnit's XML")
    drill.add_argument("--undo", action="store_true", help="only put back what a drill that was killed left")


def _command(commands: Any, name: str) -> argparse.ArgumentParser:
    line, _, about = HELP[name].partition("\n\n")
    added: argparse.ArgumentParser = commands.add_parser(
        name, help=line, description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    return added


def _environment(command: argparse.ArgumentParser) -> None:
    command.add_argument("environment", nargs="?", default="dev", help="default: dev (Pulumi.dev.yaml)")


def _dashboard(dashboard: argparse.ArgumentParser) -> None:
    _environment(dashboard)
    dashboard.add_argument("--port", type=_port, default=0, metavar="N", help="default: any that is free")


def _port(text: str) -> int:
    port = int(text) if text.isascii() and text.isdecimal() else 0
    if not 0 < port < 1 << 16:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: give one from 1 to 65535")
    return port


def _supply(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--supply",
        choices=MODES,
        help="where images and tools come from: public registries, or built here from language registries; "
        "auto (default) asks whether the public registry answers",
    )
