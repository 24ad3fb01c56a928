"""Command line of the gateway image: argument parsing and dispatch only."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from gateway import __version__
from gateway.core.scan import is_native
from gateway.options import (
    add_data_plane,
    add_dialling,
    add_hosts,
    add_log_level,
    add_mutual_tls_mode,
    add_viewpoint,
    add_what_if,
    cluster_key,
    lifetime,
)

DESCRIPTION = """\
Carries HTTP between Kubernetes clusters by ServiceExport, ServiceImport and GlobalTrafficPolicy objects.

  run      the gateway of a cluster; follows the objects in its Kubernetes API
  control  the controller of a cluster: writes the Services and conditions that its gateways need
  hub      the control plane's part: brings the exports of every member cluster to the others as imports
  serve    the gateway without Kubernetes; follows the same objects in YAML files
  check    says what YAML objects route where and what is wrong with them; exit 1 if anything is
  what-if  says who would serve whom by the YAML objects of several clusters, also while one is lost
  sbom     lists what is installed here, as a CycloneDX document
"""


def version() -> str:
    """Of the package, and by which twin it reads heads (see `core.scan`)."""
    return f"gateway {__version__}, heads read by {'C' if is_native() else 'Python'}"


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gateway", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=version())
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="gateway of a Kubernetes cluster")
    add_data_plane(run)
    run.set_defaults(drain_delay=3.0, reuse_port=False)
    run.add_argument(
        "--cache-dir",
        default="/var/cache/gateway",
        metavar="DIR",
        help="where the last good objects are kept for a restart without the API server",
    )

    control = commands.add_parser("control", help="controller of a Kubernetes cluster")
    add_viewpoint(control)
    add_dialling(control, files=False)
    add_hosts(control, files=False)
    control.add_argument("--admin", metavar="HOST:PORT", help="serves /livez, /readyz and /metrics")
    control.add_argument(
        "--east-west-port",
        type=int,
        default=15080,
        metavar="PORT",
        help="where the gateways' pods listen for imported services (default: %(default)s)",
    )

    add_mutual_tls_mode(control)
    control.add_argument(
        "--certificate-hours",
        type=lifetime,
        default=24,
        metavar="HOURS",
        help="how long certificates of the cluster's gateways count; they are renewed at half of it "
        "(default: %(default)s)",
    )
    control.add_argument(
        "--root-days",
        type=lifetime,
        default=3650,
        metavar="DAYS",
        help="how long the roots that issue them count; at half of it another one follows (default: "
        "%(default)s)",
    )

    hub = commands.add_parser("hub", help="hub of the control plane")
    hub.add_argument("--admin", metavar="HOST:PORT", help="serves /livez, /readyz and /metrics")
    hub.add_argument(
        "--cluster-key",
        type=cluster_key,
        default="default/default/default/control-plane",
        metavar="REGION/ZONE/GROUP/NAME",
        help="key of the hub's own cluster while no Cluster object with isInCluster names it "
        "(default: %(default)s)",
    )

    add_mutual_tls_mode(hub)
    hub.add_argument(
        "--paths",
        default="[]",
        metavar="JSON",
        help="paths of the front door that are delegated: a list of prefix, namespaces and clusters (keys; "
        "none: any); / belongs to nobody else",
    )
    add_hosts(hub, files=False)
    hub.add_argument(
        "--elect",
        action="store_true",
        help="share the work with other hubs: the holder of a Lease writes, the others stand by",
    )

    serve = commands.add_parser("serve", help="gateway on YAML files, no Kubernetes")
    serve.add_argument(
        "--objects",
        required=True,
        metavar="PATH",
        help="a YAML file or a folder of them; followed as they change",
    )
    add_data_plane(serve, files=True)
    serve.add_argument(
        "--reuse-port",
        action="store_true",
        help="share the ports of --listen and --east-west with other processes (SO_REUSEPORT); each needs an "
        "--admin of its own",
    )

    for command in (run, control, hub, serve):
        add_log_level(command)

    check = commands.add_parser("check", help="say what YAML objects route where, and what is wrong")
    check.add_argument("--objects", required=True, metavar="PATH", help="a YAML file or a folder of them")
    check.add_argument(
        "--cluster-key",
        type=cluster_key,
        default="default/default/default/local",
        metavar="REGION/ZONE/GROUP/NAME",
        help="the cluster to look from (default: %(default)s)",
    )
    check.add_argument("--front-door", action="store_true", help="as for serve")
    add_hosts(check, files=True)

    what_if = commands.add_parser("what-if", help="say who would serve whom, also while a cluster is lost")
    add_what_if(what_if)

    commands.add_parser("sbom", help="list the packages of this installation (CycloneDX, JSON)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    # Imported late on purpose: a gateway without Kubernetes must not need, load or wait for its client.
    if args.command == "run":
        from gateway.kube import run  # noqa: PLC0415

        return run.main(args)
    if args.command == "control":
        from gateway.kube import control  # noqa: PLC0415

        return control.main(args)
    if args.command == "hub":
        from gateway.kube import hub  # noqa: PLC0415

        return hub.main(args)
    if args.command == "what-if":
        from gateway import what_if  # noqa: PLC0415

        return what_if.main(args)
    if args.command == "sbom":
        from gateway import sbom  # noqa: PLC0415

        return sbom.main()
    from gateway import serve  # noqa: PLC0415

    return serve.check(args) if args.command == "check" else serve.main(args)


if __name__ == "__main__":
    sys.exit(main())
