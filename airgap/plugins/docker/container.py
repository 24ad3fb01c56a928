"""docker.Container: an image, its command, files, volumes, networks and published ports."""

import io
import tarfile
import time
from typing import Any

import docker
import docker.errors

from airgap.plugins.base.provider import ProviderError, Values
from airgap.plugins.docker.kind import Kind, bare, label_list, label_pairs, without_note

_MIB = 1 << 20
_FILE_MODE = 0o644
_DEFAULTS = {
    "attach": False,
    "containerReadRefreshTimeoutMilliseconds": 15000,
    "logs": False,
    "mustRun": True,
    "networkMode": "bridge",
    "readOnly": False,
    "removeVolumes": True,
    "restart": "no",
    "rm": False,
    "start": True,
    "stdinOpen": False,
    "tty": False,
    "wait": False,
    "waitTimeout": 60,
}


def _create(client: docker.DockerClient, inputs: Values) -> Any:
    """Make the container, connect its networks, put its files in, start it."""
    _require_image(client, inputs["image"])
    ports: Any = {}
    for port in inputs.get("ports") or []:
        port_and_protocol = f"{port['internal']}/{port['protocol']}"
        ports.setdefault(port_and_protocol, []).append((port["ip"], port.get("external")))
    container = client.containers.create(
        inputs["image"],
        inputs.get("command"),
        name=inputs["name"],
        labels=label_pairs(inputs),
        network_mode=inputs["networkMode"],
        ports=ports,
        restart_policy=_restart_policy(inputs),
        volumes=[f"{one['volumeName']}:{one['containerPath']}:rw" for one in inputs.get("volumes") or []],
    )
    try:
        networks = inputs.get("networksAdvanced") or []
        if networks:
            client.networks.get("bridge").disconnect(container, force=True)
        for network in networks:
            client.networks.get(network["name"]).connect(container)
        for upload in inputs.get("uploads") or []:
            container.put_archive("/", _archive(upload["file"], upload["content"]))
        container.start()
    except docker.errors.APIError as error:
        # A container that never ran is worth nothing: leave its name and ports free for the next run.
        container.remove(force=True, v=True)
        raise ProviderError(f"Unable to start container: {error.explanation or error}") from error
    return container


def _require_image(client: docker.DockerClient, image: str) -> None:
    try:
        client.images.get(image)
    except docker.errors.ImageNotFound:
        try:
            client.images.pull(image)
        except docker.errors.APIError as error:
            raise ProviderError(
                f"Unable to create container with image {image}: cannot find or pull it: {error.explanation}"
            ) from error


def _restart_policy(inputs: Values) -> Any:
    return {"Name": inputs["restart"], "MaximumRetryCount": 0}


def _archive(path: str, content: str) -> bytes:
    data, buffer = content.encode(), io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo(path.lstrip("/"))
        member.size, member.mode, member.mtime = len(data), _FILE_MODE, int(time.time())
        archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def _outputs(inputs: Values, live: Values) -> Values:
    config, host, running = live["Config"], live["HostConfig"], bool(live["State"].get("Running"))
    filled = {
        "command": config.get("Cmd") or [],
        "entrypoints": config.get("Entrypoint") or [],
        "hostname": config.get("Hostname", ""),
        "ipcMode": host.get("IpcMode", ""),
        "logDriver": (host.get("LogConfig") or {}).get("Type", ""),
        "runtime": host.get("Runtime", ""),
        "securityOpts": host.get("SecurityOpt") or [],
        "shmSize": (host.get("ShmSize") or 0) // _MIB,
        "stopSignal": config.get("StopSignal") or "",
        "stopTimeout": config.get("StopTimeout") or 0,
    }
    return {
        **filled,
        **without_note(inputs),
        "bridge": "",
        "exitCode": 0 if running else int(live["State"].get("ExitCode") or 0),
        "labels": label_list(label_pairs(bare(inputs))),
        "mustRun": running,
        "networkDatas": [
            {
                "gateway": network.get("Gateway", ""),
                "globalIpv6Address": network.get("GlobalIPv6Address", ""),
                "globalIpv6PrefixLength": network.get("GlobalIPv6PrefixLen", 0),
                "ipAddress": network.get("IPAddress", ""),
                "ipPrefixLength": network.get("IPPrefixLen", 0),
                "ipv6Gateway": network.get("IPv6Gateway", ""),
                "macAddress": network.get("MacAddress", ""),
                "networkName": name,
            }
            for name, network in sorted((live["NetworkSettings"].get("Networks") or {}).items())
        ],
    }


def as_it_runs(inputs: Values, outputs: Values) -> Values:
    """Inputs for a refresh: a container that has stopped has no ports and need not run."""
    if outputs["mustRun"] or not bare(inputs).get("mustRun", True):
        return inputs
    return {key: item for key, item in inputs.items() if key != "ports"} | {"mustRun": False}


CONTAINER = Kind(
    token="docker:index/container:Container",  # noqa: S106 a type token
    collection="containers",
    arguments=(
        *("name", "image", "command", "labels", "networksAdvanced", "ports"),
        *("restart", "uploads", "volumes"),
    ),
    defaults=_DEFAULTS,
    members={
        "labels": ("label", "value"),
        "networksAdvanced": ("name",),
        "ports": ("internal", "external", "ip", "protocol"),
        "uploads": ("file", "content"),
        "volumes": ("containerPath", "volumeName"),
    },
    member_defaults={
        "ports": {"ip": "0.0.0.0", "protocol": "tcp"},  # noqa: S104 the official plugin's default
        "uploads": {"executable": False},
    },
    sets=("labels", "networksAdvanced", "uploads", "volumes"),
    in_place=("mustRun", "restart"),
    as_it_is=as_it_runs,
    create=_create,
    update=lambda container, inputs: container.update(restart_policy=_restart_policy(inputs)),
    outputs=_outputs,
    remove_options={"force": True, "v": True},
)
