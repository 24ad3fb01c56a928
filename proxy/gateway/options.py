"""Command-line options of a gateway, and the server they describe."""

from __future__ import annotations

import argparse
import os
import re
from dataclasses import fields
from pathlib import Path

from gateway.addresses import own_addresses
from gateway.core.dialling import Dialling
from gateway.core.host_grants import HostGrant, HostGrants, granted_in, read_host_grants
from gateway.core.hosts import CLUSTER_DOMAIN
from gateway.core.limits import Limits, change_limits
from gateway.core.peers import MutualTls
from gateway.core.trust import TrustedProxies
from gateway.edge.accesslog import AccessLog
from gateway.edge.server import GatewayServer
from gateway.edge.tracer import Receiver, Tracer, parse_receiver
from gateway.memory import own_budget
from gateway.process import LOG_LEVELS

DAPR_TOKEN = "DAPR_API_TOKEN"  # noqa: S105  the name of a variable
"""Variable by which Dapr's own programs are told the API token of their sidecar."""

MOST_TIME = 100_000
"""Hours or days that a certificate may count."""

MAX_SERVICE_PORTS = 4096
"""Each is a listener with a descriptor of its own."""


def cluster_key(text: str) -> str:
    """region/zone/group/name, as argparse wants to have it checked."""
    parts = text.split("/")
    if len(parts) != 4 or not all(parts):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a cluster key: give region/zone/group/name, "
            "for example default/default/default/cluster-1"
        )
    return text


def _trusted(text: str) -> TrustedProxies:
    try:
        return TrustedProxies(part.strip() for part in text.split(",") if part.strip())
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def port_range(text: str) -> range:
    """`FIRST-LAST` as argparse wants to have it checked; nothing is no port."""
    match = re.fullmatch(r"([0-9]{1,5})-([0-9]{1,5})", text)
    found = range(int(match[1]), int(match[2]) + 1) if match else range(0)
    if text and not (0 < len(found) <= MAX_SERVICE_PORTS and found[0] > 0 and found[-1] < 65536):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a range of ports: give FIRST-LAST from 1 to 65535, at most {MAX_SERVICE_PORTS} "
            "ports, for example 20000-20255"
        )
    return found


def _cluster_domain(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a domain: give one such as {CLUSTER_DOMAIN}")
    return text


def _hosts(text: str) -> tuple[HostGrant, ...]:
    try:
        return read_host_grants(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of granted hosts: {error}") from error


def _limit(text: str) -> str:
    try:
        change_limits(Limits(), [text])
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def add_viewpoint(parser: argparse.ArgumentParser) -> None:
    """Which cluster the objects are read for."""
    parser.add_argument(
        "--cluster-key",
        required=True,
        type=cluster_key,
        metavar="REGION/ZONE/GROUP/NAME",
        help="which cluster this gateway stands in",
    )
    parser.add_argument(
        "--front-door",
        action="store_true",
        help="also serve imported paths north-south, by any cluster that exports them",
    )
    parser.add_argument(
        "--service-ports",
        type=port_range,
        default=range(0),
        metavar="FIRST-LAST",
        help="where gateways listen besides their --east-west port: each port stands for the Service that an "
        "EndpointSlice says, whatever the Host (default: nowhere)",
    )
    parser.add_argument(
        "--cluster-domain",
        type=_cluster_domain,
        default=CLUSTER_DOMAIN,
        metavar="DOMAIN",
        help="what the names of Services end with here, after .svc (default: %(default)s)",
    )


def _of_cluster(text: str) -> tuple[str, Path]:
    key, _, path = text.partition("=")
    if not path:
        raise argparse.ArgumentTypeError(f"{text!r} names no file: give REGION/ZONE/GROUP/NAME=PATH")
    return cluster_key(key), Path(path)


def add_what_if(parser: argparse.ArgumentParser) -> None:
    """Whose objects are read, and what is asked of them."""
    parser.add_argument(
        "--objects",
        action="append",
        required=True,
        type=_of_cluster,
        metavar="REGION/ZONE/GROUP/NAME=PATH",
        help="a cluster, and its objects in a YAML file or a folder of them; once for each cluster. Imports "
        "are made from the exports of all, as by the hub",
    )
    parser.add_argument(
        "--front-door",
        type=cluster_key,
        metavar="REGION/ZONE/GROUP/NAME",
        help="the cluster whose gateway serves the paths of all exporters (default: none)",
    )
    parser.add_argument(
        "--without",
        action="append",
        default=[],
        type=cluster_key,
        metavar="REGION/ZONE/GROUP/NAME",
        help="a cluster that is lost to begin with; may be given several times",
    )
    parser.add_argument(
        "--lose-each",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="also say what changes while each of the clusters is lost (default: on)",
    )
    parser.add_argument(
        "--paths", default="[]", metavar="JSON", help="delegated paths of the front door, as for hub"
    )
    add_hosts(parser, files=False)


def add_log_level(parser: argparse.ArgumentParser) -> None:
    """What is said on standard error, beside the access log."""
    parser.add_argument(
        "--log-level",
        choices=LOG_LEVELS,
        default="info",
        help="the least important messages that are written to standard error (default: %(default)s)",
    )


def add_dialling(parser: argparse.ArgumentParser, *, files: bool) -> None:
    """Whom gateways dial. `files`: only the operator writes the objects."""
    word = "on" if files else "off"
    parser.add_argument(
        "--dial-loopback",
        action=argparse.BooleanOptionalAction,
        default=files,
        help="endpoints may have loopback addresses, as where everything stands on one machine "
        f"(default: {word}); link-local, unspecified and multicast addresses are never dialled, nor the "
        "gateways' own by `run`",
    )
    parser.add_argument(
        "--foreign-imports",
        action=argparse.BooleanOptionalAction,
        default=files,
        help=f"ServiceImports count that the hub did not make (default: {word})",
    )


def add_hosts(parser: argparse.ArgumentParser, *, files: bool) -> None:
    """Which exports may have which hosts. `files`: only the operator writes the objects."""
    parser.add_argument(
        "--hosts",
        type=_hosts,
        default=None if files else (),
        metavar="JSON",
        help="hosts that exports may have: a list of host (*.NAME for all below a name), namespaces and "
        f"clusters (keys; none: any) (default: {'all' if files else 'none'})",
    )


def hosts(args: argparse.Namespace) -> HostGrants | None:
    """What is granted in the cluster, by the option of `add_hosts`. None: everything."""
    return None if args.hosts is None else granted_in(args.cluster_key, args.hosts)


def dialling(args: argparse.Namespace) -> Dialling:
    """What may be dialled in a cluster, by the options of `add_dialling`."""
    return Dialling(args.dial_loopback, args.foreign_imports, own_addresses())


def add_data_plane(parser: argparse.ArgumentParser, *, files: bool = False) -> None:
    """What `run` and `serve` have in common. `files`: it is `serve`."""
    add_viewpoint(parser)
    add_dialling(parser, files=files)
    add_hosts(parser, files=files)
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
    add_mutual_tls(parser)
    parser.add_argument(
        "--trusted-proxies",
        type=_trusted,
        default=TrustedProxies(),
        metavar="NETWORK[,NETWORK...]",
        help="proxies and gateways in front whose X-Forwarded-For, -Proto and -Host are believed and "
        "continued; anybody else's are replaced (default: nobody)",
    )
    parser.add_argument(
        "--peers-key-file",
        type=Path,
        metavar="PATH",
        help="the key that the gateways of all clusters share, by which they tell each other which Service a "
        "request is for: one per line, 32 bytes or more as hex or base64; the first signs, all are accepted; "
        "read again when it changes (default: none, requests between clusters go by the exports' paths)",
    )
    parser.add_argument(
        "--limit",
        action="append",
        default=[],
        type=_limit,
        metavar="NAME=NUMBER",
        help="change a bound; may be given several times. Names: "
        + ", ".join(field.name for field in fields(Limits)),
    )
    parser.add_argument(
        "--access-log",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="one JSON line per request on standard output (default: on)",
    )
    parser.add_argument(
        "--access-log-query",
        action="store_true",
        help="log the query of each target too; secrets like to stand there (default: the path alone)",
    )
    add_tracing(parser)
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


def _receiver(text: str) -> Receiver:
    try:
        return parse_receiver(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _part(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no part of all: give a number from 0 to 1")
    return number


def add_tracing(parser: argparse.ArgumentParser) -> None:
    """Which requests are recorded as spans, and who gets them."""
    parser.add_argument(
        "--tracing-endpoint",
        type=_receiver,
        metavar="URL",
        help="sends spans to the OpenTelemetry receiver there, by OTLP over HTTP: http:// or https://, host "
        "and port, to which /v1/traces is added (default: nothing is recorded, and traceparent is passed on)",
    )
    parser.add_argument(
        "--tracing-sampling",
        type=_part,
        default=0.01,
        metavar="PART",
        help="the part of traces that begin here which is recorded, from 0 to 1; those of a caller are "
        "recorded when he says so (default: %(default)s)",
    )


def add_mutual_tls_mode(parser: argparse.ArgumentParser) -> None:
    """How gateways of different clusters talk."""
    parser.add_argument(
        "--mutual-tls",
        type=MutualTls,
        choices=list(MutualTls),
        default=MutualTls.OFF,
        metavar="{off,accept,permissive,strict}",
        help="how gateways of different clusters talk: over plain HTTP; as the next, but no cluster says any "
        "more that it listens for TLS; over TLS with those of which a Peer object says where they listen for "
        "it, else over plain HTTP, which is taken no more here when the hub says that all others ask over "
        "TLS; or over TLS alone (default: off)",
    )


def add_mutual_tls(parser: argparse.ArgumentParser) -> None:
    """How gateways of different clusters prove to each other who they are."""
    add_mutual_tls_mode(parser)
    parser.add_argument(
        "--peers", metavar="HOST:PORT", help="serves gateways of other clusters, with mutual TLS"
    )
    parser.add_argument(
        "--certificate",
        type=Path,
        metavar="DIR",
        help="folder with tls.crt and tls.key, by which this gateway proves which cluster's it is; read "
        "again when they change",
    )


def lifetime(text: str) -> float:
    """A number above zero, as argparse wants to have it checked."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < MOST_TIME:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time: give a number above 0 and below {MOST_TIME:g}"
        )
    return number


def dapr_token() -> bytes:
    """Dapr's API token by the environment, empty for none. ValueError when no field can hold it."""
    token = os.environ.get(DAPR_TOKEN, "")
    if not token.isascii() or (token and (not token.isprintable() or " " in token)):
        raise ValueError(f"{DAPR_TOKEN} in the environment is not printable ASCII without spaces")
    return token.encode()


def make_server(args: argparse.Namespace) -> GatewayServer:
    """The server that options of `add_data_plane` describe. ValueError names what does not go together, or a
    bad address."""
    wanted = args.mutual_tls is not MutualTls.OFF
    if wanted != (args.peers is not None) or wanted != (args.certificate is not None):
        raise ValueError(
            f"--mutual-tls {args.mutual_tls.value} is given with --peers {args.peers} and --certificate "
            f"{args.certificate}: off needs none of them, any other both"
        )
    limits = change_limits(Limits(), args.limit)
    return GatewayServer(
        cluster_key=args.cluster_key,
        listen=args.listen,
        east_west=args.east_west,
        admin=args.admin,
        access_log=AccessLog(query=args.access_log_query) if args.access_log else None,
        limits=limits,
        trusted=args.trusted_proxies,
        reuse_port=args.reuse_port,
        service_ports=args.service_ports,
        budget=own_budget(limits.memory_bytes),
        peers=args.peers,
        tracer=(
            None
            if args.tracing_endpoint is None
            else Tracer(args.tracing_endpoint, args.tracing_sampling, args.cluster_key)
        ),
    )
