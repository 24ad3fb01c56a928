"""docker.Network and docker.Volume."""

from typing import Any

import docker
import docker.types

from airgap.plugins.base.provider import Values
from airgap.plugins.docker.kind import Kind, label_list, label_pairs, without_note


def _create_network(client: docker.DockerClient, inputs: Values) -> Any:
    pools = [docker.types.IPAMPool(**one) for one in inputs.get("ipamConfigs") or []]
    return client.networks.create(
        inputs["name"],
        driver=inputs.get("driver"),
        ipam=docker.types.IPAMConfig(pool_configs=pools) if pools else None,
        check_duplicate=True,
        labels=label_pairs(inputs),
    )


def _network_outputs(inputs: Values, live: Values) -> Values:
    ipam = live.get("IPAM", {})
    return {
        **without_note(inputs),
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
        "labels": label_list(live.get("Labels")),
        "options": live.get("Options") or {},
        "scope": live.get("Scope", "local"),
    }


NETWORK = Kind(
    token="docker:index/network:Network",  # noqa: S106 a type token
    collection="networks",
    arguments=("name", "driver", "ipamConfigs", "labels"),
    defaults={"ipamDriver": "default"},
    members={"ipamConfigs": ("subnet", "gateway"), "labels": ("label", "value")},
    sets=("ipamConfigs", "labels"),
    create=_create_network,
    outputs=_network_outputs,
)


def _volume_outputs(inputs: Values, live: Values) -> Values:
    return {
        **without_note(inputs),
        "driver": live["Driver"],
        "labels": label_list(live.get("Labels")),
        "mountpoint": live.get("Mountpoint", ""),
    }


VOLUME = Kind(
    token="docker:index/volume:Volume",  # noqa: S106 a type token
    collection="volumes",
    arguments=("name", "labels"),
    members={"labels": ("label", "value")},
    sets=("labels",),
    create=lambda client, inputs: client.volumes.create(inputs["name"], labels=label_pairs(inputs)),
    outputs=_volume_outputs,
    remove_options={"force": True},
)
