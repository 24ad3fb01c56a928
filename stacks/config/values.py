"""Single values of the settings, and the base of the objects that hold them.

Bounds are those of what takes a value in the end: Kubernetes, the CRDs (proxy/crds), k3d, Dapr.
"""

from __future__ import annotations

import ipaddress
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr
from pydantic.alias_generators import to_camel


def _network(text: str) -> str:
    network = ipaddress.IPv4Network(text)
    if network.prefixlen > 28:
        raise ValueError("too small for the clusters' nodes; use /28 or wider")
    return text


def _inside(text: str) -> str:
    if ipaddress.IPv4Network(text).prefixlen > 24:
        raise ValueError("too small for a node; use /24 or wider")
    return text


def _range(text: str) -> str:
    ipaddress.ip_network(text)
    return text


def _host(text: str) -> str:
    if text.replace(".", "").isdigit():
        ipaddress.IPv4Address(text)
    if text in ("localhost", "0.0.0.0") or text.startswith("127."):  # noqa: S104 - refused, not listened on
        raise ValueError("is this machine itself, wherever it is asked for")
    return text


def _address(text: str) -> str:
    ipaddress.IPv4Address(text)
    return text


def _password(secret: SecretStr) -> SecretStr | None:
    text = secret.get_secret_value()
    if not text:
        return None  # Pulumi cannot declare an optional secret: an empty default says "not set"
    if len(text) < 8 or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("needs 8 or more printable ASCII characters without spaces")
    return secret


DnsLabel = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]
# Services and what is named like them: a letter first (RFC 1035).
ServiceName = Annotated[str, Field(pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$", max_length=63)]
# k3d prefixes its containers with "k3d-" and appends "-server-0": 32 keeps every host name within 63.
ClusterName = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=32)]
HostName = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+$",
        max_length=253,
    ),
]
GrantedHost = Annotated[
    str,
    Field(
        pattern=r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+$",
        max_length=253,
    ),
]
KeyPart = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$", max_length=63)]
ClusterKey = Annotated[str, Field(pattern=r"^[^/\s]+/[^/\s]+/[^/\s]+/[^/\s]+$")]
# Dapr makes a Service `<app-id>-dapr` of it.
AppId = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=58)]
AccountName = Annotated[str, Field(pattern=r"^(\*|[a-z0-9]([-a-z0-9.]*[a-z0-9])?)$", max_length=253)]
Version = Annotated[str, Field(pattern=r"^[0-9]+\.[0-9]+\.[0-9]+")]
# What FSM's admission and ours take: a DNS name or an IPv4 address.
Host = Annotated[
    str,
    Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$", max_length=253),
    AfterValidator(_host),
]
Url = Annotated[str, Field(pattern=r"^https://[^/\s?#]+(/[^\s?#]*)?$")]
ReceiverUrl = Annotated[
    str,
    Field(
        pattern=r"^https?://([A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])"
        r"(:[1-9][0-9]{0,4})?(/[-A-Za-z0-9._~%/]*)?$",
        max_length=2048,
    ),
]
# Of Gateway API (GEP-2257).
Duration = Annotated[str, Field(pattern=r"^([0-9]{1,5}(h|ms|m|s)){1,4}$")]
# Of their own type only: "yes", 1 and "81" are mistakes, whoever reads them kindly.
Flag = Annotated[bool, Field(strict=True)]
Number = Annotated[int, Field(strict=True)]
HeaderName = Annotated[str, Field(pattern=r"^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$", max_length=256)]
# What a request's field can hold, without the spaces around it.
HeaderValue = Annotated[str, Field(pattern=r"^[!-~]([ -~]*[!-~])?$", max_length=1024)]
Weight = Annotated[Number, Field(ge=0, le=1_000_000)]
Port = Annotated[Number, Field(ge=1, le=65535)]
Subnet = Annotated[str, AfterValidator(_network)]
InsideRange = Annotated[str, AfterValidator(_inside)]
Address = Annotated[str, AfterValidator(_address)]
AddressRange = Annotated[str, AfterValidator(_range)]
# Of --limit; the gateway knows which there are, and a test compares.
LimitName = Annotated[str, Field(pattern=r"^[a-z]+(_[a-z]+)*$")]
Password = Annotated[SecretStr, AfterValidator(_password)]


class Section(BaseModel):
    """Frozen, closed, written in camel case."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)
