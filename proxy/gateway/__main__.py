"""Command line of the gateway image: argument parsing and dispatch only."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

DESCRIPTION = """\
Carries HTTP between Kubernetes clusters by ServiceExport, ServiceImport and GlobalTrafficPolicy objects.

  run    the gateway of a cluster; follows the objects in its Kubernetes API
  hub    the control plane's part: brings the exports of every member cluster to the others as imports
  serve  the gateway without Kubernetes; follows the same objects in YAML files
  check  says what YAML objects route where and what is wrong with them; exit 1 if anything is
"""


def _cluster_key(text: str) -> str:
    parts = text.split("/")
    if len(parts) != 4 or not all(parts):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a cluster key: give region/zone/group/name, "
            "for example default/default/default/cluster-1"
        )
    return text


def _add_data_plane(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--cluster-key",
        required=True,
        type=_cluster_key,
        metavar="REGION/ZONE/GROUP/NAME",
        help="which cluster this gateway stands in",
    )
    parser.add_argument(
        "--listen",
        required=True,
        metavar="HOST:PORT",
        help="north-south: serves the paths this cluster exports",
    )
    parser.add_argument(
        "--east-west", metavar="HOST:PORT", help="serves imported services by Host name, as their policy says"
    )
    parser.add_argument("--admin", metavar="HOST:PORT", help="serves /livez, /readyz, /metrics and /config")
    parser.add_argument(
        "--front-door",
        action="store_true",
        help="also serve imported paths north-south, by any cluster that exports them",
    )
    parser.add_argument(
        "--access-log",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="one JSON line per request on standard output (default: on)",
    )
    parser.add_argument(
        "--drain-seconds",
        type=float,
        default=20.0,
        metavar="S",
        help="how long running requests may take after SIGTERM (default: 20, below Kubernetes' 30)",
    )
    parser.add_argument(
        "--drain-delay",
        type=float,
        default=0.0,
        metavar="S",
        help="after SIGTERM, how long to go on accepting, not ready, until everyone has stopped sending here "
        "(default: 0 for serve, 3 for run)",
    )


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gateway", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="gateway of a Kubernetes cluster")
    _add_data_plane(run)
    run.set_defaults(drain_delay=3.0)
    run.add_argument(
        "--cache-dir",
        default="/var/cache/gateway",
        metavar="DIR",
        help="where the last good objects are kept for a restart without the API server",
    )

    hub = commands.add_parser("hub", help="hub of the control plane")
    hub.add_argument("--admin", metavar="HOST:PORT", help="serves /livez, /readyz and /metrics")
    hub.add_argument(
        "--cluster-key",
        type=_cluster_key,
        default="default/default/default/control-plane",
        metavar="REGION/ZONE/GROUP/NAME",
        help="key of the hub's own cluster while no Cluster object with isInCluster names it "
        "(default: %(default)s)",
    )

    serve = commands.add_parser("serve", help="gateway on YAML files, no Kubernetes")
    serve.add_argument(
        "--objects",
        required=True,
        metavar="PATH",
        help="a YAML file or a folder of them; followed as they change",
    )
    _add_data_plane(serve)

    check = commands.add_parser("check", help="say what YAML objects route where, and what is wrong")
    check.add_argument("--objects", required=True, metavar="PATH", help="a YAML file or a folder of them")
    check.add_argument(
        "--cluster-key",
        type=_cluster_key,
        default="default/default/default/local",
        metavar="REGION/ZONE/GROUP/NAME",
        help="the cluster to look from (default: %(default)s)",
    )
    check.add_argument("--front-door", action="store_true", help="as for serve")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    # Imported late on purpose: a gateway without Kubernetes must not need, load or wait for its client.
    if args.command == "run":
        from gateway.kube import run  # noqa: PLC0415

        return run.main(args)
    if args.command == "hub":
        from gateway.kube import hub  # noqa: PLC0415

        return hub.main(args)
    from gateway import serve  # noqa: PLC0415

    return serve.check(args) if args.command == "check" else serve.main(args)


if __name__ == "__main__":
    sys.exit(main())
