"""Errors of the Kubernetes API, translated once, in `client`."""

from __future__ import annotations


class KubeError(Exception):
    """An answer that is not the one asked for. `status` is the HTTP code, 0 when there was no answer."""

    status = 0

    def __init__(self, message: str, *, status: int | None = None, reason: str = "") -> None:
        super().__init__(message)
        if status is not None:
            self.status = status
        self.reason = reason


class CredentialError(KubeError):
    """A kubeconfig that cannot be used as it is. Trying again does not help; a new kubeconfig does."""


class Unreachable(KubeError):  # noqa: N818  the name of the state, as in Kubernetes' own words
    """No answer: refused, timed out, TLS failed, or the connection broke. Temporary."""


class Refused(KubeError):  # noqa: N818
    """401 or 403: the credential is not known or not allowed to do this."""


class NotFound(KubeError):  # noqa: N818
    """404."""


class Conflict(KubeError):  # noqa: N818
    """409: the object exists already or changed since it was read."""


class Gone(KubeError):  # noqa: N818
    """410: the resource version asked for is no longer kept; list again."""


class Invalid(KubeError):  # noqa: N818
    """400 or 422: the API server does not accept this object. Permanent for the object as it is."""


class TooLong(KubeError):  # noqa: N818
    """An answer of more bytes than are read."""


def error_for(status: int, reason: str, message: str) -> KubeError:
    """The typed error of an HTTP status and the Status object that came with it."""
    by_status: dict[int, type[KubeError]] = {
        400: Invalid, 401: Refused, 403: Refused, 404: NotFound, 409: Conflict, 410: Gone, 422: Invalid,
    }  # fmt: skip
    return by_status.get(status, KubeError)(message, status=status, reason=reason)
