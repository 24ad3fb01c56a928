"""The files of a gateway's certificate and key, as a mounted Secret of type kubernetes.io/tls has them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.peers_file import Stamp, stamp

if TYPE_CHECKING:
    from gateway.core.certificates import Leaf

CERTIFICATE, KEY = "tls.crt", "tls.key"
SECONDS = 1.0
"""How often the files are looked at, which means two stats."""
HINT = "give a folder with tls.crt and tls.key, as a Secret of type kubernetes.io/tls is mounted"

log = logging.getLogger(__name__)


class CertificateFilesError(ValueError):
    """Files that hold no certificate for this cluster. The message names the folder, the reason and what to
    do, and never a key."""


def read_certificate(folder: Path, cluster_key: str) -> Leaf:
    """The certificate of a cluster's gateways. CertificateFilesError says why there is none."""
    # 9 MiB that a gateway without mutual TLS does not need.
    from gateway.core.certificates import CertificateError, read_leaf  # noqa: PLC0415

    try:
        return read_leaf((folder / CERTIFICATE).read_bytes(), (folder / KEY).read_bytes(), cluster_key)
    except OSError as error:
        raise CertificateFilesError(f"certificate {error.filename}: {error.strerror}: {HINT}") from error
    except CertificateError as error:
        raise CertificateFilesError(f"certificate in {folder}: {error}") from error


def stamps(folder: Path) -> tuple[Stamp, Stamp]:
    """What changes when one of the files does."""
    return stamp(folder / CERTIFICATE), stamp(folder / KEY)


async def follow_certificate(folder: Path, cluster_key: str, take: Callable[[Leaf], None]) -> None:
    """Give the certificate to `take`, now and whenever the files change; what cannot be used changes nothing.

    Until cancelled. The files may come later: in Kubernetes the controller makes them.
    """
    seen: tuple[Stamp, Stamp] | None = None
    while True:
        if (now := stamps(folder)) != seen:
            seen = now
            try:
                certificate = await asyncio.to_thread(read_certificate, folder, cluster_key)
            except CertificateFilesError as error:
                log.error("kept the certificate in force, if any: %s", error)  # noqa: TRY400  it says it all
            else:
                take(certificate)
                log.info("this gateway's certificate is good until %s", certificate.until.isoformat())
        await asyncio.sleep(SECONDS)
