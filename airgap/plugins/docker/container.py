"""docker.Container: an image, its command, files, volumes, networks and published ports."""

import io
import tarfile
import time
from typing import Any

import docker
import docker.errors

from airgap.plugins.base.provider import ProviderError, Request
from airgap.plugins.docker.kind import Kind, Values, bare, label_list, label_pairs, without_notes

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


def _create(client: docker.APIClient, inputs: Values) -> str:
    """Make the container, connect its networks, put its files in, start it."""
    _require_image(client, inputs["image"])
    id_ = str(client.create_container_from_config(_config(client, inputs), inputs["name"])["Id"])  # type: ignore[no-untyped-call]
    try:
        networks = inputs.get("networksAdvanced") or []
        if networks:
            client.disconnect_container_from_network(id_, "bridge", force=True)
        for network in networks:
            client.connect_container_to_network(id_, network["name"])
        for upload in inputs.get("uploads") or []:
            client.put_archive(id_, "/", _archive(upload["file"], upload["content"]))
        client.start(id_)
    except docker.errors.APIError as error:
        # A container that never ran is worth nothing: leave its name and ports free for the next run.
        client.remove_container(id_, force=True, v=True)
        raise ProviderError(f"Unable to start container: {error.explanation or error}") from error
    return id_


def _require_image(client: docker.APIClient, image: str) -> None:
    try:
        client.inspect_image(image)  # type: ignore[no-untyped-call]
    except docker.errors.ImageNotFound:
        try:
            client.pull(image)
        except docker.errors.APIError as error:
            raise ProviderError(
                f"Unable to create container with image {image}: cannot find or pull it: {error.explanation}"
            ) from error


def _config(client: docker.APIClient, inputs: Values) -> Values:
    """The Engine's create body."""
    bindings: dict[str, list[dict[str, str]]] = {}
    for port in inputs.get("ports") or []:
        external = str(port["external"]) if port.get("external") else ""
        host = {"HostIp": port["ip"], "HostPort": external}
        bindings.setdefault(f"{port['internal']}/{port['protocol']}", []).append(host)
    volumes = inputs.get("volumes") or []
    host_config = client.create_host_config() | {
        "Binds": [f"{one['volumeName']}:{one['containerPath']}:rw" for one in volumes],
        "NetworkMode": inputs["networkMode"],
        "PortBindings": bindings,
        "RestartPolicy": {"Name": inputs["restart"], "MaximumRetryCount": 0},
    }
    return {
        "ExposedPorts": {key: {} for key in bindings},
        "HostConfig": host_config,
        "Image": inputs["image"],
        "Labels": label_pairs(inputs),
        **({"Cmd": inputs["command"]} if "command" in inputs else {}),
    }


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
        **without_notes(inputs),
        "bridge": "",
        "exitCode": 0 if running else int(live["State"].get("ExitCode") or 0),
        "labels": label_list(label_pairs(bare(inputs)).items()),
        "mustRun": running,
        "name": live["Name"].lstrip("/"),
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


def update(client: docker.APIClient, request: Request) -> None:
    """Apply what can change on a living container: its restart policy."""
    inputs: Any = bare(request.inputs)
    client.update_container(request.id, restart_policy={"Name": inputs["restart"], "MaximumRetryCount": 0})


def _remove(client: docker.APIClient, request: Request) -> None:
    try:
        client.remove_container(request.id, v=True, force=True)
    except docker.errors.APIError as error:
        if "already in progress" not in str(error):
            raise


CONTAINER = Kind(
    token="docker:index/container:Container",  # noqa: S106 a type token
    arguments=(
        *("name", "image", "command", "labels", "networksAdvanced", "ports"),
        *("restart", "uploads", "volumes"),
    ),
    required=("image",),
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
    computed=(
        *("bridge", "containerLogs", "exitCode", "networkDatas"),
        *("hostname", "entrypoints", "command"),
    ),
    in_place=("mustRun", "restart"),
    always_delete_first=True,
    create=_create,
    inspect=lambda client, id_: dict(client.inspect_container(id_)),
    outputs=_outputs,
    remove=_remove,
)
