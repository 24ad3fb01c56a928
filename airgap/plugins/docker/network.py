"""docker.Network and docker.Volume."""

import time
from typing import Any

import docker
import docker.errors
import docker.types

from airgap.plugins.base.provider import Request
from airgap.plugins.docker.kind import Kind, Values, label_list, label_pairs, without_notes

# A container that is going away keeps its endpoint for a moment.
_ENDPOINT_SECONDS = 30.0


def _create_network(client: docker.APIClient, inputs: Values) -> str:
    pools = [docker.types.IPAMPool(**one) for one in inputs.get("ipamConfigs") or []]
    made = client.create_network(
        inputs["name"],
        driver=inputs.get("driver"),
        ipam=docker.types.IPAMConfig(pool_configs=pools) if pools else None,
        check_duplicate=True,
        labels=label_pairs(inputs),
    )
    return str(made["Id"])


def _network_outputs(inputs: Values, live: Values) -> Values:
    ipam: Any = live.get("IPAM", {})
    return {
        **without_notes(inputs),
        "attachable": live.get("Attachable", False),
        "driver": live["Driver"],
        "ingress": live.get("Ingress", False),
        "internal": live.get("Internal", False),
        "ipamConfigs": [
            {
                "auxAddress": one.get("AuxiliaryAddresses") or {},
                "gateway": one.get("Gateway", ""),
                "ipRange": one.get("IPRange", ""),
                "subnet": one.get("Subnet", ""),
            }
            for one in ipam.get("Config") or []
        ],
        "ipamDriver": ipam.get("Driver", "default"),
        "ipv6": live.get("EnableIPv6", False),
        "labels": label_list((live.get("Labels") or {}).items()),
        "name": live["Name"],
        "options": live.get("Options") or {},
        "scope": live.get("Scope", "local"),
    }


def _remove_network(client: docker.APIClient, request: Request) -> None:
    deadline = time.monotonic() + _ENDPOINT_SECONDS
    while True:
        try:
            client.remove_network(request.id)
        except docker.errors.APIError as error:
            if "active endpoints" not in str(error) or time.monotonic() >= deadline:
                raise
            time.sleep(0.5)
        else:
            return


NETWORK = Kind(
    token="docker:index/network:Network",  # noqa: S106 a type token
    arguments=("name", "driver", "ipamConfigs", "labels"),
    defaults={"ipamDriver": "default"},
    members={"ipamConfigs": ("subnet", "gateway"), "labels": ("label", "value")},
    sets=("ipamConfigs", "labels"),
    computed=("driver", "scope", "ipamConfigs", "options", "internal"),
    create=_create_network,
    inspect=lambda client, id_: dict(client.inspect_network(id_)),
    outputs=_network_outputs,
    remove=_remove_network,
)


def _create_volume(client: docker.APIClient, inputs: Values) -> str:
    return str(client.create_volume(inputs["name"], labels=label_pairs(inputs))["Name"])


def _volume_outputs(inputs: Values, live: Values) -> Values:
    return {
        **without_notes(inputs),
        "driver": live["Driver"],
        "labels": label_list((live.get("Labels") or {}).items()),
        "mountpoint": live.get("Mountpoint", ""),
        "name": live["Name"],
    }


VOLUME = Kind(
    token="docker:index/volume:Volume",  # noqa: S106 a type token
    arguments=("name", "labels"),
    members={"labels": ("label", "value")},
    sets=("labels",),
    computed=("driver", "mountpoint"),
    create=_create_volume,
    inspect=lambda client, id_: dict(client.inspect_volume(id_)),
    outputs=_volume_outputs,
    remove=lambda client, request: client.remove_volume(request.id, force=True),
)
