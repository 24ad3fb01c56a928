"""What a gateway dials, and what never: nothing that leads back into itself or its machine.

Whoever writes EndpointSlices or ServiceImports says whom gateways dial, and what they are told there comes
back to whoever asks. A slice that names a gateway's own pod would publish its admin pages and its east-west
listeners; a link-local address the cloud's credentials. So an address is looked at before it is an endpoint,
whatever form it is written in, and the other endpoints of the same object go on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from gateway.core.fields import FieldError
from gateway.core.objects import SYSTEM_NAMESPACE, Key, Object, is_hub_import, key_of
from gateway.core.route import Endpoint
from gateway.core.services import Service

REASON = "AddressRefused"
LOOPBACK = "is a loopback address"
THIS_NETWORK = IPv4Network("0.0.0.0/8")
"""RFC 791, section 3.2: no destination. Linux takes 0.0.0.0 for itself."""
BROADCAST = IPv4Address("255.255.255.255")
COMPATIBLE = IPv6Network("::/96")
"""RFC 4291, section 2.5.5.1: an IPv4 address in the last four bytes, as in `::ffff:0:0/96`."""
TRANSLATED = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"), IPv6Network("::ffff:0:0:0/96"))
"""RFC 6052, 8215 and 2765: likewise, for translators (NAT64, SIIT)."""
METADATA = frozenset(
    map(ip_address, ("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254"))
)
"""Where clouds tell machines their credentials, beside link-local: Alibaba, Azure, Oracle, AWS, Google."""
NOWHERE: Mapping[str, str] = {}
NAMED = 3
"""Of the refused endpoints of one Service so many are named; the message has an end."""


@dataclass(frozen=True, slots=True)
class Dialling:
    """What may be dialled from where this is.

    `own`: addresses of the pod or machine it runs on, as Python's ipaddress writes them.
    """

    loopback: bool = False
    """Everything stands on one machine."""
    foreign_imports: bool = False
    """Imports count whoever made them, not those of the hub alone."""
    own: frozenset[str] = frozenset()

    def takes(self, imported: Object) -> bool:
        """Whether an import counts here."""
        return self.foreign_imports or is_hub_import(imported)

    def check_import(self, imported: Object) -> None:
        """FieldError for an import that does not count."""
        if not self.takes(imported):
            message = (
                f"ServiceImport {'/'.join(key_of(imported))} is not the hub's, and others do not count: have "
                "the other cluster export the Service, or allow such imports (--foreign-imports, "
                "gateway.foreignImports)"
            )
            raise FieldError("NotFromHub", message)

    def refusal(self, address: str, elsewhere: Mapping[str, str] = NOWHERE) -> str:
        """Why an IP address is never dialled; empty when it may be.

        `elsewhere`: why some are not, by address.
        """
        form, reason = _look(address)
        if reason:
            return "" if self.loopback and reason == LOOPBACK else reason
        return "is an address of this gateway" if form in self.own else elsewhere.get(form, "")

    def check_target(self, address: str, where: str, system: Mapping[str, str]) -> None:
        """FieldError for an address that is no other cluster's gateway. `system`: as `of_system` gives it."""
        if reason := self.refusal(address, system):
            message = (
                f"{where} {address!r} {reason}, which is never dialled: give the other cluster's gateway"
            )
            raise FieldError(REASON, message)

    def screen(
        self, services: Mapping[Key, Service], system: Mapping[str, str], gateways: Mapping[str, str]
    ) -> Iterator[tuple[Key, FieldError]]:
        """Take endpoints that are never dialled out of the Services, and say of which and why.

        `gateways`: those of other clusters, as `of_gateways` gives them.
        """
        tenants = {**gateways, **system}
        for key, service in services.items():
            elsewhere = gateways if key[0] == SYSTEM_NAMESPACE else tenants
            refused: dict[Endpoint, str] = {}
            for by_port in (service.ready, service.terminating):
                for port, endpoints in by_port.items():
                    kept = []
                    for endpoint in endpoints:
                        if reason := self.refusal(endpoint.host, elsewhere):
                            refused[endpoint] = reason
                        else:
                            kept.append(endpoint)
                    by_port[port] = kept
            if refused:
                yield key, _refused(key, refused)


STRICT = Dialling()
"""For objects that others than the operator write."""
FILES = Dialling(loopback=True, foreign_imports=True)
"""For objects that only the operator writes."""


def of_system(addresses: Iterable[str]) -> dict[str, str]:
    """Addresses of the system's own pods and Services, which are nobody's endpoints, and why."""
    return dict.fromkeys(map(_plain, addresses), f"is one of namespace {SYSTEM_NAMESPACE}")


def of_gateways(addresses: Iterable[str]) -> dict[str, str]:
    """Addresses of other clusters' gateways, and why no Service of this one is there.

    On one machine all of them are the host's, with everything that is published there.
    """
    return dict.fromkeys(map(_plain, addresses), "is where another cluster's gateway is")


def _refused(key: Key, refused: Mapping[Endpoint, str]) -> FieldError:
    named = sorted(f"{endpoint} {reason}" for endpoint, reason in refused.items())
    more = f" and {len(named) - NAMED} more" if len(named) > NAMED else ""
    message = (
        f"endpoints of Service {'/'.join(key)} are left out: {', '.join(named[:NAMED])}{more}; "
        "such are never dialled: have its EndpointSlices list the application's pods"
    )
    return FieldError(REASON, message)


def _plain(address: str) -> str:
    """The one form of an address by which it is compared; text that is no address stays as it is."""
    try:
        return _look(address)[0]
    except ValueError:
        return address


@lru_cache(maxsize=65536)
def _look(address: str) -> tuple[str, str]:
    """The one form of an address, and what speaks against it whoever asks. ValueError when it is none."""
    found = ip_address(address)
    if isinstance(found, IPv4Address):
        return str(found), _against(found)
    if found.scope_id is not None:
        return str(found), "has a zone, as only link-local addresses need"
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped), _against(found.ipv4_mapped)
    inner = _inner(found)
    return str(found), _against(found) or ("" if inner is None else _against(inner))


def _against(found: IPv4Address | IPv6Address) -> str:
    if found.is_loopback:
        return LOOPBACK
    if found.is_unspecified or found in THIS_NETWORK:
        return "is unspecified"
    if found.is_link_local:
        return "is a link-local address"
    if found.is_multicast or found == BROADCAST:
        return "is one of many hosts at once"
    return "is where a cloud tells its machines' credentials" if found in METADATA else ""


def _inner(found: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that is reached by an IPv6 address where somebody translates."""
    if any(found in network for network in (COMPATIBLE, *TRANSLATED)):
        return IPv4Address(int(found) & 0xFFFFFFFF)
    return found.sixtofour or (found.teredo[1] if found.teredo is not None else None)
