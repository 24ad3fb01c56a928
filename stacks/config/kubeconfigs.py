"""The kubeconfigs of clusters that exist, each cut down to the one context that is used.

Read before anything is created, so that a wrong path or context is reported with the other mistakes.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from stacks.config.model import ClusterSettings, Settings
from stacks.config.problem import Findings, Problem, SettingsError

# Keys that name a file, and those that hold its content in base64. As client-go has it, the content counts
# where both are given, and a relative path is meant from the kubeconfig's folder.
FILES = {
    "certificate-authority": "certificate-authority-data",
    "client-certificate": "client-certificate-data",
    "client-key": "client-key-data",
}


class KubeconfigError(Exception):
    """What a kubeconfig lacks, or holds in a form that it may not have."""


@dataclass(frozen=True, kw_only=True)
class Kubeconfig:
    """A kubeconfig with one context. `text` is a secret; `server` is the API server's URL in it.

    `server_name` is what its certificate is checked for when that is not the URL's host: behind one address
    there may be several clusters.
    """

    text: str = field(repr=False)
    server: str
    server_name: str = ""


def read(settings: Settings) -> dict[str, Kubeconfig]:
    """The kubeconfig of each existing cluster, by name. Raises SettingsError with all that cannot be read."""
    found: dict[str, Kubeconfig] = {}
    reached: dict[tuple[str, str], str] = {}
    findings = Findings()
    for index, cluster in enumerate(settings.clusters):
        if cluster.source == "existing":
            with findings.gather():
                one = found[cluster.name] = _kubeconfig(index, cluster)
                first = reached.setdefault((_host_alone(one.server), one.server_name), cluster.name)
                if first != cluster.name:
                    reason = f"{first} is the same cluster: both lead to {one.server}"
                    hint = "Name another context, or remove one of the two."
                    raise SettingsError(
                        [Problem(f"clusters[{index}].context", str(cluster.context), reason, hint)]
                    )
                _refuse_a_login_before_the_hub(index, cluster, one.server)
    findings.refuse()
    return found


def only(document: Mapping[str, Any], context: str) -> dict[str, Any]:
    """A kubeconfig with this context and what it names, and nothing of other clusters.

    Raises KubeconfigError.
    """
    chosen = _entry(document, "contexts", context)
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [_entry(document, "clusters", _text(chosen["context"], "cluster", f"context {context}"))],
        "users": [_entry(document, "users", _text(chosen["context"], "user", f"context {context}"))],
        "contexts": [chosen],
        "current-context": context,
    }


def _host_alone(server: str) -> str:
    """A server's URL without what makes no difference: the host's case, port 443, a last slash."""
    parts = urlsplit(server.rstrip("/"))
    return f"{parts.scheme}://{parts.netloc.lower().removesuffix(':443')}{parts.path}"


def _refuse_a_login_before_the_hub(index: int, cluster: ClusterSettings, server: str) -> None:
    """Name a proxy, whose path is in the URL (as Rancher's): it knows its own users, not ServiceAccounts."""
    path = urlsplit(server).path.rstrip("/")
    if path and cluster.role == "member" and cluster.api_server is None:
        reason = (
            f"missing, and the context leads to {server}: the path {path} is that of a proxy, which may not "
            "know the ServiceAccount that the hub comes as"
        )
        hint = "Set the URL of the API itself (Rancher: the authorized cluster endpoint), or this one again."
        raise SettingsError([Problem(f"clusters[{index}].apiServer", None, reason, hint)])


def _kubeconfig(index: int, cluster: ClusterSettings) -> Kubeconfig:
    path, context = Path(str(cluster.kubeconfig)).expanduser(), str(cluster.context)
    document = _document(f"clusters[{index}].kubeconfig", path)
    try:
        chosen = only(document, context)
        _inline(chosen, path.parent)
        about = chosen["clusters"][0]
        server = _text(about["cluster"], "server", f"cluster {about['name']}")
    except (KubeconfigError, OSError) as error:
        reason = f"cannot be taken from {path}: {error}"
        hint = "See `kubectl config view` of that file."
        raise SettingsError([Problem(f"clusters[{index}].context", context, reason, hint)]) from error
    server_name = about["cluster"].get("tls-server-name") or ""
    return Kubeconfig(
        text=yaml.safe_dump(chosen, sort_keys=False), server=server, server_name=str(server_name)
    )


def _document(where: str, path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text())
        reason = None if isinstance(document, dict) else "is not a kubeconfig"
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
    except yaml.YAMLError:
        reason = "is not YAML"  # the error itself would quote the file, and with it a credential
    if reason:
        raise SettingsError([Problem(where, str(path), reason, "Write the path of a kubeconfig file.")])
    found: dict[str, Any] = document
    return found


def _entry(document: Mapping[str, Any], section: str, name: str) -> dict[str, Any]:
    """A copy of an entry; what it is about is a mapping, though it may be an empty one."""
    about = section.removesuffix("s")
    entries: dict[str, Any] = {}
    listed = document.get(section) or []
    for index, entry in enumerate(listed if isinstance(listed, list) else [listed]):
        where = f"{section}[{index}]"
        if not isinstance(entry, dict):
            raise KubeconfigError(f"{where} is not a mapping with a name")
        found = entry.get(about) or {}
        if not isinstance(found, dict):
            raise KubeconfigError(f"{where}.{about} is not a mapping")
        entries[_text(entry, "name", where)] = {**entry, about: dict(found)}
    if name not in entries:
        raise KubeconfigError(f"it has no {about} {name}; it has: {', '.join(entries) or 'none'}")
    chosen: dict[str, Any] = entries[name]
    return chosen


def _text(part: Mapping[str, Any], key: str, where: str) -> str:
    """Text that has to be there. A number has to be in quotes: in YAML it is no text without."""
    value = part.get(key)
    if value is None or value == "":
        raise KubeconfigError(f"{where} has no {key}")
    if not isinstance(value, str):
        raise KubeconfigError(f"{where} has {value!r} as {key}, which is not text: put it in quotes")
    return value


def _inline(document: dict[str, Any], folder: Path) -> None:
    """Replace names of files by their content: the provider and the next run use no folder of the user's.

    A token's file is read again and again, and a credential helper is started: these keep their path, made
    absolute. A helper's name without a slash is looked up in PATH (client-go, clientcmd/loader.go).
    """
    user = document["users"][0]["user"]
    for part in (document["clusters"][0]["cluster"], user):
        for named, inline in FILES.items():
            path = part.pop(named, None)
            if not part.get(inline):
                part.pop(inline, None)
                if path:
                    content = (folder / _text({named: path}, named, "it")).read_bytes()
                    part[inline] = base64.b64encode(content).decode()
    if user.get("tokenFile"):
        user["tokenFile"] = str((folder / _text(user, "tokenFile", "it")).absolute())
    helper = user.get("exec")
    if isinstance(helper, dict) and "/" in str(helper.get("command")):
        user["exec"] = {**helper, "command": str((folder / str(helper["command"])).absolute())}
