"""What callers say: a URL with a Service's name, or a Dapr app-id. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from cli.errors import UserError
from cli.observe.callers import APP_ID, CLUSTER_SET, IMPORT_OF, OWN_NAME
from cli.observe.view import ClusterView, Key, Unread, annotations_of, key_of, spec

HTTP_PORT = 80


@dataclass(frozen=True, kw_only=True)
class Target:
    """A port of a service, and `by` which of its names it is called, as `observe.callers` has them."""

    service: Key
    port: int
    by: str

    @property
    def text(self) -> str:
        """The service as people write it."""
        return f"{'/'.join(self.service)}:{self.port}"


def read(text: str, view: ClusterView) -> Target:
    """What callers in a cluster mean by a URL or an app-id. Raises UserError with what is known there."""
    if view.error:
        raise UserError(f"{view.name} cannot be asked: {view.error}.")
    return _url(text, view) if "://" in text else _app_id(text, view)


def _url(text: str, view: ClusterView) -> Target:
    try:
        parts = urlsplit(text)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError as error:
        raise UserError(f"{text!r} is no URL: {error}.", code=2) from error
    if parts.scheme != "http":
        raise UserError(f"{text}: gateways carry HTTP alone: give http://NAME.NAMESPACE:PORT/...", code=2)
    by = OWN_NAME
    domain = view.settings.cluster_domain or "cluster.local"
    for suffix, meant in ((f".{CLUSTER_SET}", CLUSTER_SET), (f".svc.{domain}", OWN_NAME), (".svc", OWN_NAME)):
        if host.endswith(suffix):
            host, by = host.removesuffix(suffix), meant
            break
    name, _, namespace = host.partition(".")
    if not namespace or "." in namespace:
        raise UserError(
            f"{text}: {host or 'it'} names no Service: give http://NAME.NAMESPACE:PORT/..., with "
            f".svc.{domain} or .{CLUSTER_SET} behind it or without",
            code=2,
        )
    return Target(service=(namespace, name), port=_port(port, (namespace, name), view), by=by)


def _port(port: int | None, service: Key, view: ClusterView) -> int:
    """The port of a URL. Raises UserError for a service or a port that is not there."""
    known: dict[Key, set[int]] = {}
    for kind in ("Service", "ServiceImport"):
        for obj in view.all(kind):
            known.setdefault(key_of(obj), set()).update(
                int(one["port"]) for one in spec(obj).get("ports") or ()
            )
    wanted = HTTP_PORT if port is None else port
    unseen = view.unseen("ServiceImport", service[0]) or view.unseen("Service", service[0])
    if unseen and wanted not in known.get(service, ()):
        raise _not_known(view, "its Services and imports", unseen)
    if service not in known:
        imported = sorted("/".join(key_of(one)) for one in view.all("ServiceImport"))
        raise UserError(
            f"{view.name} has no Service {'/'.join(service)} and imports none: it imports "
            f"{', '.join(imported) or 'nothing'}."
        )
    if wanted not in known[service]:
        ports = ", ".join(map(str, sorted(known[service]))) or "none"
        raise UserError(f"{'/'.join(service)} has no port {wanted} in {view.name}: it has {ports}.")
    return wanted


def _not_known(view: ClusterView, what: str, unseen: Unread) -> UserError:
    again = "" if unseen.is_refused else " Ask again when its API server answers."
    return UserError(f"{view.name} does not tell enough: {what} {unseen}.{again}")


def _app_id(app_id: str, view: ClusterView) -> Target:
    known = {}
    for endpoint in view.all("HTTPEndpoint"):
        service = annotations_of(endpoint).get(IMPORT_OF)
        if service:
            port = urlsplit(str(spec(endpoint).get("baseUrl"))).port or HTTP_PORT
            namespace, _, name = service.partition("/")
            by = f"{APP_ID}{key_of(endpoint)[1]}"
            known[key_of(endpoint)[1]] = Target(service=(namespace, name), port=port, by=by)
    if app_id not in known and (unseen := view.unseen("HTTPEndpoint")):
        raise _not_known(view, "its app-ids of other clusters", unseen)
    if app_id not in known:
        others = ", ".join(sorted(known)) or "none"
        raise UserError(
            f"no app-id {app_id!r} leads out of {view.name}: Dapr calls its apps in the cluster by itself, "
            f"without a gateway; app-ids of other clusters there: {others}. A URL begins with http://."
        )
    return known[app_id]
