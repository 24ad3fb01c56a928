"""docker.Container; blocking calls."""

import base64
import io
import tarfile
import time
from pathlib import Path
from typing import Any

import docker
import docker.errors

from airgap.plugins.base.provider import InitFailedError, ProviderError, Request
from airgap.plugins.docker.schema import bare, label_list, label_pairs

_MIB = 1 << 20
_HEALTH_POLL_SECONDS = 0.3


def create_container(client: docker.APIClient, request: Request) -> tuple[str, dict[str, Any]]:
    """Make the container, connect its networks, put its files in, start it, wait for health when asked."""
    inputs = bare(request.inputs)
    _require_image(client, inputs["image"])
    made = client.create_container_from_config(_config(client, inputs), inputs["name"])  # type: ignore[no-untyped-call]
    id_ = made["Id"]
    try:
        _connect(client, id_, inputs)
        for upload in inputs.get("uploads") or []:
            _upload(client, id_, upload)
        if inputs.get("start", True):
            client.start(id_)
    except (docker.errors.APIError, OSError) as error:
        # A container that never ran is worth nothing: leave its name and ports free for the next run.
        client.remove_container(id_, force=True, v=True)
        raise ProviderError(
            f"Unable to start container: {getattr(error, 'explanation', None) or error}"
        ) from error
    if inputs.get("wait"):
        _wait_healthy(client, id_, request, inputs)
    return id_, container_outputs(request.inputs, client.inspect_container(id_))


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


def _config(client: docker.APIClient, inputs: dict[str, Any]) -> dict[str, Any]:
    """The Engine's create body."""
    ports = inputs.get("ports") or []
    bindings: dict[str, Any] = {}
    for port in ports:
        key = f"{int(port['internal'])}/{port.get('protocol') or 'tcp'}"
        host = {
            "HostIp": port.get("ip") or "",
            "HostPort": str(int(port["external"])) if port.get("external") else "",
        }
        bindings.setdefault(key, []).append(host)
    capabilities = inputs.get("capabilities") or {}
    limits: dict[str, Any] = {
        "CapAdd": capabilities.get("adds"),
        "CapDrop": capabilities.get("drops"),
        "CpuShares": inputs.get("cpuShares"),
        "CpusetCpus": inputs.get("cpuSet"),
        "Dns": inputs.get("dns"),
        "ExtraHosts": [f"{one['host']}:{one['ip']}" for one in inputs.get("hosts") or []] or None,
        "Init": inputs.get("init"),
        "Memory": _mebibytes(inputs.get("memory")),
        "MemoryReservation": _mebibytes(inputs.get("memoryReservation")),
        "MemorySwap": _mebibytes(inputs.get("memorySwap")),
        "Tmpfs": inputs.get("tmpfs"),
    }
    host_config = client.create_host_config()
    host_config.update({key: value for key, value in limits.items() if value is not None})
    host_config.update(
        {
            "AutoRemove": bool(inputs.get("rm")),
            "Binds": [
                _bind(volume) for volume in inputs.get("volumes") or [] if not volume.get("fromContainer")
            ],
            "NetworkMode": inputs.get("networkMode") or "bridge",
            "PortBindings": bindings,
            "Privileged": bool(inputs.get("privileged")),
            "ReadonlyRootfs": bool(inputs.get("readOnly")),
            "RestartPolicy": {
                "Name": inputs.get("restart") or "no",
                "MaximumRetryCount": int(inputs.get("maxRetryCount") or 0),
            },
            "VolumesFrom": [
                one["fromContainer"] for one in inputs.get("volumes") or [] if one.get("fromContainer")
            ],
        }
    )
    config = {
        "Cmd": inputs.get("command"),
        "Entrypoint": inputs.get("entrypoints"),
        "Env": inputs.get("envs"),
        "ExposedPorts": {key: {} for key in bindings},
        "Healthcheck": _healthcheck(inputs.get("healthcheck")),
        "HostConfig": host_config,
        "Hostname": inputs.get("hostname"),
        "Image": inputs["image"],
        "Labels": label_pairs(inputs),
        "User": inputs.get("user"),
        "WorkingDir": inputs.get("workingDir"),
    }
    return {key: value for key, value in config.items() if value is not None}


def _bind(volume: dict[str, Any]) -> str:
    source = volume.get("volumeName") or volume.get("hostPath") or ""
    mode = ":ro" if volume.get("readOnly") else ":rw"
    return f"{source}:{volume['containerPath']}{mode}" if source else str(volume["containerPath"])


def _mebibytes(value: Any) -> int | None:
    return None if value is None else int(value) * _MIB if value > 0 else int(value)


def _healthcheck(check: dict[str, Any] | None) -> dict[str, Any] | None:
    if not check:
        return None
    names = {"interval": "Interval", "timeout": "Timeout", "startPeriod": "StartPeriod"}
    times = {theirs: _nanoseconds(check.get(ours) or "0s") for ours, theirs in names.items()}
    return {"Test": check["tests"], "Retries": int(check.get("retries") or 0), **times}


def _nanoseconds(text: str) -> int:
    units = {"ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
    total, number, unit = 0.0, "", ""
    for char in text + " ":
        if char.isdigit() or char == ".":
            if unit:
                total += float(number) * units[unit]
                number, unit = "", ""
            number += char
        elif char != " ":
            unit += char
    if number and unit:
        total += float(number) * units[unit]
    return int(total)


def _connect(client: docker.APIClient, id_: str, inputs: dict[str, Any]) -> None:
    networks = inputs.get("networksAdvanced") or []
    if not networks:
        return
    if (inputs.get("networkMode") or "bridge") in ("bridge", "default"):
        client.disconnect_container_from_network(id_, "bridge", force=True)
    for network in networks:
        client.connect_container_to_network(
            id_,
            network["name"],
            aliases=network.get("aliases"),
            ipv4_address=network.get("ipv4Address") or None,
            ipv6_address=network.get("ipv6Address") or None,
        )


def _upload(client: docker.APIClient, id_: str, upload: dict[str, Any]) -> None:
    if upload.get("source"):
        data = Path(upload["source"]).read_bytes()
    elif upload.get("contentBase64"):
        data = base64.b64decode(upload["contentBase64"])
    else:
        data = str(upload.get("content") or "").encode()
    mode = (
        int(upload["permissions"], 8)
        if upload.get("permissions")
        else (0o744 if upload.get("executable") else 0o644)
    )
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo(upload["file"].lstrip("/"))
        member.size, member.mode, member.mtime = len(data), mode, int(time.time())
        archive.addfile(member, io.BytesIO(data))
    client.put_archive(id_, "/", buffer.getvalue())


def _wait_healthy(client: docker.APIClient, id_: str, request: Request, inputs: dict[str, Any]) -> None:
    deadline = time.monotonic() + float(inputs.get("waitTimeout") or 60)
    health = ""
    while time.monotonic() < deadline:
        live = client.inspect_container(id_)
        health = (live["State"].get("Health") or {}).get("Status", "")
        if health == "healthy":
            return
        if not health:
            problem = "container does not have a health check: `wait` needs one"
            break
        if health == "unhealthy":
            problem = "container is unhealthy"
            break
        time.sleep(_HEALTH_POLL_SECONDS)
    else:
        problem = f"timeout after waiting for a healthy container ({health or 'no health'})"
    outputs = container_outputs(request.inputs, client.inspect_container(id_))
    raise InitFailedError(id_, outputs, None, [problem])


def container_outputs(inputs: dict[str, Any], live: dict[str, Any]) -> dict[str, Any]:
    """Inputs and what the Engine filled in."""
    config, host, state = live["Config"], live["HostConfig"], live["State"]
    running = bool(state.get("Running"))
    outputs = {key: item for key, item in inputs.items() if key != "__defaults"}
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
    outputs = {**{key: value for key, value in filled.items() if key not in outputs}, **outputs}
    outputs |= {
        "bridge": "",
        "exitCode": 0 if running else int(state.get("ExitCode") or 0),
        "labels": label_list((key, value) for key, value in label_pairs(bare(inputs)).items()),
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
    return outputs


def read_container(
    client: docker.APIClient, id_: str, inputs: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Outputs and inputs of the live container, None when it is gone; a stopped one is not as asked."""
    try:
        live = client.inspect_container(id_)
    except docker.errors.NotFound:
        return None
    if not live["State"].get("Running") and bare(inputs).get("mustRun", True):
        inputs = {key: item for key, item in inputs.items() if key != "ports"} | {"mustRun": False}
    return container_outputs(inputs, live), inputs


def update_container(client: docker.APIClient, request: Request) -> dict[str, Any]:
    """Apply what can change on a living container; the rest is only remembered."""
    inputs = bare(request.inputs)
    changes: dict[str, Any] = {
        "cpu_shares": inputs.get("cpuShares"),
        "cpuset_cpus": inputs.get("cpuSet"),
        "mem_limit": _mebibytes(inputs.get("memory")),
        "mem_reservation": _mebibytes(inputs.get("memoryReservation")),
        "memswap_limit": _mebibytes(inputs.get("memorySwap")),
        "restart_policy": {
            "Name": inputs.get("restart") or "no",
            "MaximumRetryCount": int(inputs.get("maxRetryCount") or 0),
        },
    }
    client.update_container(request.id, **{key: value for key, value in changes.items() if value is not None})
    return container_outputs(request.inputs, client.inspect_container(request.id))


def delete_container(client: docker.APIClient, request: Request) -> None:
    """Stop and remove a container with its anonymous volumes."""
    state = bare(request.state)
    try:
        if state.get("destroyGraceSeconds"):
            client.stop(request.id, timeout=int(state["destroyGraceSeconds"]))
        client.remove_container(request.id, v=bool(state.get("removeVolumes", True)), force=True)
    except docker.errors.NotFound:
        return
    except docker.errors.APIError as error:
        if "already in progress" in str(error):
            return
        raise ProviderError(f"Error deleting container {request.id}: {error.explanation}") from error
