"""Rules inside one app: what it is made of, and what of it excludes each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from stacks.config.apps import AppSettings
from stacks.config.checks.packaged import packages_are_whole
from stacks.config.model import Settings
from stacks.config.pods import ALTERNATIVES, PodSettings, ProbeSettings
from stacks.config.problem import Problem, once

OWN_IMAGES = ("gateway",)
"""Images that the program builds anyway."""
ONE = "Give exactly one of them."


def apps_are_whole(settings: Settings) -> Iterator[Problem]:
    """An app has a name, an image, and what belongs to it."""
    for index, app in enumerate(settings.apps):
        path = f"apps[{index}]"
        if app.name is None:
            hint = "Name the app, or write `app: nodeapp` or `app: curl` for one of the demo."
            yield Problem(f"{path}.name", None, "missing", hint)
        yield from _alternatives(path, app)
        yield from packages_are_whole(path, app)
        yield from _ports(path, app)
        yield from _pod(path, app)
        yield from _overrides(path, app)


def pods_are_told_apart(settings: Settings) -> Iterator[Problem]:
    """No app of a namespace finds the pods of another one."""
    for index, app in enumerate(settings.apps):
        for number, other in enumerate(settings.apps):
            if number == index or other.namespace != app.namespace or other.service == app.service:
                continue
            if app.is_packaged or other.is_packaged:  # their labels are not known here
                continue
            for cluster in app.clusters:
                theirs = {**other.on(cluster).labels, **other.labels_of_pods}
                if cluster in other.clusters and app.labels_of_pods.items() <= theirs.items():
                    labels = ", ".join(f"{key}={value}" for key, value in app.labels_of_pods.items())
                    reason = f"finds the pods of apps[{number}] on {cluster} too"
                    hint = "Give one of them other labels, or another namespace."
                    yield Problem(f"apps[{index}].selector", labels, reason, hint)
                    break


def images_are_told_apart(settings: Settings) -> Iterator[Problem]:
    """An image that is built is named like its folder."""
    folders: dict[str, str] = dict.fromkeys(OWN_IMAGES, "the program")
    for index, app in enumerate(settings.apps):
        parts = [(f"apps[{index}]", app.build)]
        parts += [(f"apps[{index}].overrides.{name}", pod.build) for name, pod in app.overrides.items()]
        for path, folder in parts:
            if folder is None:
                continue
            name = PurePosixPath(folder).name
            if folders.setdefault(name, folder) != folder:
                reason = f"{folders[name]} has an image {name} too"
                yield Problem(f"{path}.build", folder, reason, "Rename the folder.")


def _alternatives(path: str, app: AppSettings) -> Iterator[Problem]:
    pods = [app.on(cluster) for cluster in app.clusters]
    for (first, *others), needed in zip(ALTERNATIVES, (True, False), strict=True):
        counts = [sum(getattr(pod, field) is not None for field in (first, *others)) for pod in pods]
        if any(count > 1 or (needed and not count) for count in counts):
            names = [str(PodSettings.model_fields[field].alias) for field in (first, *others)]
            listed = " or ".join([", ".join(names[:-1]), names[-1]])
            yield Problem(path, None, f"needs {'either' if needed else 'only one of'} {listed}", ONE)


def _ports(path: str, app: AppSettings) -> Iterator[Problem]:
    yield from once(f"{path}.ports", (str(port.port) for port in app.ports))
    yield from once(f"{path}.ports", (port.name for port in app.ports if port.name))
    for number, port in enumerate(app.ports):
        if port.name is None and len(app.ports) > 1:
            where = f"{path}.ports[{number}].name"
            yield Problem(where, None, "missing, and there are several ports", "Name each of them.")


def _overrides(path: str, app: AppSettings) -> Iterator[Problem]:
    for name, pod in app.overrides.items():
        where = f"{path}.overrides.{name}"
        if name not in app.clusters:
            hint = f"Choose from: {', '.join(app.clusters)}."
            yield Problem(where, None, "the app is not on this cluster", hint)
        yield from _pod(where, pod, has_port=bool(app.ports))


def _pod(path: str, pod: PodSettings, *, has_port: bool | None = None) -> Iterator[Problem]:
    if isinstance(pod, AppSettings):
        has_port = bool(pod.ports)
    for name, value in pod.env.items():
        yield from one_of(f"{path}.env.{name}", value.sources)
    for number, volume in enumerate(pod.volumes):
        yield from one_of(f"{path}.volumes[{number}]", volume.sources)
    yield from once(f"{path}.volumes", (volume.mount_path for volume in pod.volumes))
    for kind, probe in pod.probes.by_kind.items():
        yield from _probe(f"{path}.probes.{kind}", probe, has_port=bool(has_port))
    yield from _security(f"{path}.security", pod)


def _probe(path: str, probe: ProbeSettings, *, has_port: bool) -> Iterator[Problem]:
    if probe.command and (probe.path or probe.port):
        yield Problem(path, None, "has a command, and a path or port as well", ONE)
    if not probe.command and probe.port is None and not has_port:
        yield Problem(f"{path}.port", None, "missing, and the app has no ports", "Name the container's port.")


def _security(path: str, pod: PodSettings) -> Iterator[Problem]:
    if pod.security.run_as_user == 0 and pod.security.run_as_non_root:
        hint = "Write `runAsNonRoot: false` as well."
        yield Problem(f"{path}.runAsUser", 0, "is root, which runAsNonRoot refuses", hint)


def one_of(path: str, sources: Mapping[str, object]) -> Iterator[Problem]:
    """A problem unless exactly one of the sources is given."""
    if sum(source is not None for source in sources.values()) != 1:
        yield Problem(path, None, f"needs one of {', '.join(sources)}", ONE)
