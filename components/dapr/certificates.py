"""Certificates of Dapr's mTLS, made from a seed: the same seed makes the same ones, byte for byte.

So the seed alone is kept, and a run of the program changes none.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.x509.oid import NameOID

LIFETIME = timedelta(days=3650)
"""Of root and issuers. Sidecars get theirs from an issuer, for a day."""

CLOCK_SKEW = timedelta(hours=1)  # a cluster's clock may be behind that of the machine the seed was drawn on
CURVE = ec.SECP256R1()


@dataclass(frozen=True, kw_only=True)
class Seed:
    """What everything is made from: random bytes, and the time they were drawn."""

    secret: bytes
    drawn: datetime

    @classmethod
    def parse(cls, text: str) -> Seed:
        """Read the seconds since 1970 and hexadecimal digits. Raises ValueError, which does not show them."""
        try:
            seconds, digits = text.split()
            return cls(secret=bytes.fromhex(digits), drawn=datetime.fromtimestamp(int(seconds), UTC))
        except ValueError:
            raise ValueError("the seed of Dapr's certificates is not a time and hexadecimal digits") from None


@dataclass(frozen=True, kw_only=True)
class Issuer:
    """What Sentry of one cluster signs with, in PEM: the common root, its own certificate and its key."""

    root: str
    certificate: str
    key: str

    @property
    def root_id(self) -> str:
        """Sixteen hexadecimal digits of the root's SHA-256: they change when the root does. No secret."""
        return x509.load_pem_x509_certificate(self.root.encode()).fingerprint(hashes.SHA256()).hex()[:16]


def issuer(seed: Seed, cluster: str) -> Issuer:
    """The issuer of a cluster. Its key is its own; the root's key goes nowhere."""
    root_key, key = _key(seed, "root"), _key(seed, f"issuer {cluster}")
    root_name, name = _name("multicluster-dapr root"), _name(f"multicluster-dapr issuer of {cluster}")
    root = _sign(seed, "root", subject=root_name, key=root_key, issuer=root_name, signer=root_key, below=1)
    own = _sign(seed, f"issuer {cluster}", subject=name, key=key, issuer=root_name, signer=root_key, below=0)
    return Issuer(
        root=_pem(root),
        certificate=_pem(own),
        key=key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode(),
    )


def _derive(seed: Seed, use: str, length: int) -> int:
    info = f"multicluster-dapr {use}".encode()
    derived = HKDF(algorithm=hashes.SHA256(), length=length, salt=None, info=info).derive(seed.secret)
    return int.from_bytes(derived, "big")


def _key(seed: Seed, use: str) -> ec.EllipticCurvePrivateKey:
    # FIPS 186-5, A.2.1: 64 bits more than the order has make the remainder even.
    scalar = _derive(seed, f"key of {use}", 40) % (CURVE.group_order - 1) + 1
    return ec.derive_private_key(scalar, CURVE)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common[:64])])  # RFC 5280: at most 64


def _sign(
    seed: Seed,
    use: str,
    *,
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    signer: ec.EllipticCurvePrivateKey,
    below: int,
) -> x509.Certificate:
    """A CA certificate (RFC 5280, 4.2); `below` is how many CAs may follow it in a chain."""
    usage = dict.fromkeys(
        (
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(_derive(seed, f"serial number of {use}", 16) or 1)
        .not_valid_before(seed.drawn - CLOCK_SKEW)
        .not_valid_after(seed.drawn + LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=below), critical=True)
        .add_extension(
            x509.KeyUsage(digital_signature=True, key_cert_sign=True, crl_sign=True, **usage), critical=True
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
        # RFC 6979: a signature without chance, or every run would make other certificates.
        .sign(signer, hashes.SHA256(), ecdsa_deterministic=True)
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
