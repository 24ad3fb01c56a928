"""Certificates of gateways, checked before they count.

A root counts for one cluster, and only with name constraints that bind it to that cluster's trust domain. A
certificate of gateways names one cluster and nothing else, and a root of that cluster signed it itself.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha1, sha256
from typing import TypeAlias, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.utils import CryptographyDeprecationWarning

from gateway.core.spiffe import cluster_of, spiffe_id, trust_domain

LEAST_RSA_BITS = 2048
MOST_PEM_BYTES = 32 * 1024
"""Of a chain or a root: a large one of RSA has some 2 KiB."""

CaKey: TypeAlias = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
FAULTS = (
    ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.InvalidVersion,
    x509.UnsupportedGeneralNameType, CryptographyDeprecationWarning,
)  # fmt: skip
"""What the library raises for a certificate that is one and cannot be read all the same."""

Kind = TypeVar("Kind", bound=x509.ExtensionType)
CONSTRAINTS = "a critical X.509 name constraint that permits the URI domain {domain!r} and no other"


class CertificateError(ValueError):
    """A certificate or key that does not count. The message says which, why and what to do, never a key."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """What a gateway proves with who it is: certificate and key in PEM, and when they count."""

    chain: bytes
    key: bytes = field(repr=False)
    since: datetime
    until: datetime

    @property
    def renew_at(self) -> datetime:
        """Half of its lifetime: whoever issues may be away for the other half."""
        return self.since + (self.until - self.since) / 2


def read_roots(pem: str, cluster_key: str) -> tuple[x509.Certificate, ...]:
    """The roots of a cluster, of which each counts. CertificateError when one of them is none."""
    found = read_certificates(pem.encode("ascii", "replace"))
    if not found:
        raise CertificateError(f"there is no certificate among the roots of {cluster_key}: give PEM")
    for root in found:
        check_root(root, cluster_key)
    return tuple(found)


def read_leaf(chain: bytes, key: bytes, cluster_key: str) -> Leaf:
    """A certificate of this cluster's gateways from PEM. CertificateError says why it is none."""
    found = read_certificates(chain)
    if not found:
        raise CertificateError("tls.crt has no certificate: give the gateways' own first, in PEM")
    named = claimed_cluster(found[0])
    if named != cluster_key:
        raise CertificateError(
            f"the certificate in tls.crt is for {named or 'no cluster'}, not for {cluster_key}: its one "
            f"subject alternative name has to be URI {spiffe_id(cluster_key)}"
        )
    if read_private_key(key).public_key() != found[0].public_key():
        raise CertificateError("tls.key is not the key of the first certificate in tls.crt")
    pem = found[0].public_bytes(serialization.Encoding.PEM)
    return Leaf(pem, key, found[0].not_valid_before_utc, found[0].not_valid_after_utc)


def read_leaf_certificate(leaf: Leaf) -> x509.Certificate:
    """The certificate of what was read or issued before."""
    return x509.load_pem_x509_certificate(leaf.chain)


def check_root(root: x509.Certificate, cluster_key: str) -> None:
    """CertificateError when others must not trust this root for that cluster, whatever it signed."""
    extensions = _extensions(root)
    basic = _extension(extensions, x509.BasicConstraints)
    usage = _extension(extensions, x509.KeyUsage)
    where = f"root {fingerprint(root)} of {cluster_key}"
    if basic is None or not basic.value.ca or usage is None or not usage.value.key_cert_sign:
        raise CertificateError(f"{where} is no CA: it needs basic constraints CA and key usage keyCertSign")
    domain = trust_domain(cluster_key)
    constraints = _extension(extensions, x509.NameConstraints)
    permitted = constraints.value.permitted_subtrees if constraints is not None else None
    uris = [name.value for name in permitted or () if isinstance(name, x509.UniformResourceIdentifier)]
    if constraints is None or not constraints.critical or uris != [domain]:
        raise CertificateError(
            f"{where} could issue for other clusters: it needs {CONSTRAINTS.format(domain=domain)}"
        )
    _check_strength(root, where)
    identifier = _extension(extensions, x509.SubjectKeyIdentifier)
    # OpenSSL looks for an issuer by its subject and this: a copy of another cluster's would stand in its way.
    if identifier is None or identifier.value.digest not in _key_identifiers(root):
        raise CertificateError(
            f"{where} needs a subject key identifier that is its key's (RFC 5280, 4.2.1.2)"
        )


def claimed_cluster(leaf: x509.Certificate) -> str:
    """The cluster that a certificate names; empty when it names none, or anything besides."""
    names = _extension(_extensions(leaf), x509.SubjectAlternativeName)
    found = list(names.value) if names is not None else []
    if len(found) != 1 or not isinstance(found[0], x509.UniformResourceIdentifier):
        return ""
    return cluster_of(found[0].value)


def is_issued_by(leaf: x509.Certificate, roots: Iterable[x509.Certificate]) -> bool:
    """Whether one of the roots signed it, and not a CA between them."""
    for root in roots:
        try:
            leaf.verify_directly_issued_by(root)
        except (*FAULTS, InvalidSignature):
            continue
        return True
    return False


def fingerprint(certificate: x509.Certificate) -> str:
    """What tells certificates apart, for people: the first 16 digits of its SHA-256."""
    return certificate.fingerprint(hashes.SHA256()).hex()[:16]


def pem_of(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def der_of(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


def read_der(der: bytes) -> x509.Certificate:
    """CertificateError when it cannot be read."""
    try:
        with _strictly():
            return x509.load_der_x509_certificate(der)
    except FAULTS as error:
        raise CertificateError(f"certificate cannot be read: {error}") from error


@contextmanager
def _strictly() -> Iterator[None]:
    """What the library reads with a warning alone, such as a serial number that is none, is refused."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", CryptographyDeprecationWarning)
        yield


def read_certificates(pem: bytes) -> list[x509.Certificate]:
    if len(pem) > MOST_PEM_BYTES:
        raise CertificateError(f"certificates of {len(pem)} bytes are too many: {MOST_PEM_BYTES} at most")
    if not pem.strip():
        return []
    try:
        with _strictly():
            return x509.load_pem_x509_certificates(pem)
    except FAULTS as error:
        raise CertificateError(f"certificate cannot be read: {error}: give PEM") from error


def read_private_key(pem: bytes) -> CaKey:
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise CertificateError("tls.key is no private key in PEM without a password") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey):
        raise CertificateError("tls.key is of a kind that is not used here: give ECDSA, Ed25519 or RSA")
    return key


def _check_strength(root: x509.Certificate, where: str) -> None:
    try:
        key = root.public_key()
    except FAULTS as error:
        raise CertificateError(f"the key of {where} cannot be read: {error}") from error
    if isinstance(key, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey):
        return
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size < LEAST_RSA_BITS:
        raise CertificateError(
            f"the key of {where} is too weak, or of a kind that is not used here: give ECDSA, Ed25519 or RSA "
            f"with {LEAST_RSA_BITS} bits or more"
        )


def _key_identifiers(root: x509.Certificate) -> tuple[bytes, bytes]:
    """Those that are made of its key: by SHA-1 (RFC 5280) and the first 160 bits of SHA-256 (RFC 7093)."""
    key = root.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey):
        bits = key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    elif isinstance(key, rsa.RSAPublicKey):
        bits = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.PKCS1)
    else:
        assert isinstance(key, ed25519.Ed25519PublicKey)  # noqa: S101  others are refused before
        bits = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return sha1(bits, usedforsecurity=False).digest(), sha256(bits).digest()[:20]


def _extensions(certificate: x509.Certificate) -> x509.Extensions:
    try:
        return certificate.extensions
    except FAULTS as error:
        raise CertificateError(f"certificate {fingerprint(certificate)} cannot be read: {error}") from error


def _extension(found: x509.Extensions, kind: type[Kind]) -> x509.Extension[Kind] | None:
    try:
        return found.get_extension_for_class(kind)
    except x509.ExtensionNotFound:
        return None
