"""A cluster's own CA, and the certificates it issues for the cluster's gateways.

Times and randomness: who calls says what time it is; keys are drawn from the system's source.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.core.certificates import (
    CaKey,
    CertificateError,
    Leaf,
    check_root,
    pem_of,
    read_certificates,
    read_private_key,
)
from gateway.core.spiffe import spiffe_id, trust_domain

ROOT_LIFETIME = timedelta(days=3650)
LEAF_LIFETIME = timedelta(hours=24)
CLOCK_SKEW = timedelta(hours=2)
"""How much earlier than it is made a certificate begins, by half of its time at most: other clusters' clocks
may be behind. Nobody has its key before."""


@dataclass(frozen=True, slots=True)
class Issuer:
    """A CA: its certificate, the root that others trust, and its key."""

    certificate: x509.Certificate
    key: CaKey = field(repr=False)

    @property
    def pem(self) -> bytes:
        return pem_of(self.certificate)

    @property
    def key_pem(self) -> bytes:
        return _key_pem(self.key)


def make_root(cluster_key: str, now: datetime, lifetime: timedelta = ROOT_LIFETIME) -> Issuer:
    """A new CA of a cluster, whose key was never anywhere. ValueError for what is no cluster key."""
    key = ec.generate_private_key(ec.SECP256R1())
    domain = trust_domain(cluster_key)
    name = _name(f"root of {cluster_key.rpartition('/')[2]}")
    constraints = x509.NameConstraints([x509.UniformResourceIdentifier(domain)], None)
    made = (
        _begin(name, name, key.public_key(), now, now + lifetime)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(ca=True), critical=True)
        .add_extension(constraints, critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Issuer(made, key)


def issue(issuer: Issuer, cluster_key: str, now: datetime, lifetime: timedelta = LEAF_LIFETIME) -> Leaf:
    """A certificate for a cluster's gateways, of no longer a time than its issuer's, with a new key."""
    key = ec.generate_private_key(ec.SECP256R1())
    until = min(now + lifetime, issuer.certificate.not_valid_after_utc)
    usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    identity = x509.UniformResourceIdentifier(spiffe_id(cluster_key))
    name = _name(f"gateways of {cluster_key.rpartition('/')[2]}")
    identifier = issuer.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    authority = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
    made = (
        _begin(name, issuer.certificate.subject, key.public_key(), now, until)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(ca=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(x509.SubjectAlternativeName([identity]), critical=False)
        .add_extension(authority, critical=False)
        .sign(issuer.key, None if isinstance(issuer.key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
    )
    return Leaf(pem_of(made), _key_pem(key), made.not_valid_before_utc, made.not_valid_after_utc)


def read_issuer(certificate: bytes, key: bytes, cluster_key: str) -> Issuer:
    """A CA of a cluster from PEM, ours or the user's own; of several certificates the first.

    CertificateError says why it cannot be one.
    """
    found = read_certificates(certificate)
    if not found:
        raise CertificateError("tls.crt has no certificate: give the CA's own first, in PEM")
    check_root(found[0], cluster_key)
    private = read_private_key(key)
    if private.public_key() != found[0].public_key():
        raise CertificateError("tls.key is not the key of the certificate in tls.crt: give those of one CA")
    return Issuer(found[0], private)


def _begin(
    subject: x509.Name, issuer: x509.Name, key: CertificatePublicKeyTypes, now: datetime, until: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - min(CLOCK_SKEW, max(until - now, timedelta()) / 2))
        .not_valid_after(until)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca, key_cert_sign=ca, crl_sign=ca, content_commitment=False,
        key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
        decipher_only=False,
    )  # fmt: skip


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common[:64])])  # RFC 5280: at most 64


def _key_pem(key: CaKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
