"""Certificates of gateways: what a cluster's own CA makes, and what counts of what others bring."""

from __future__ import annotations

import base64
import contextlib
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from gateway.core import certificates, issuing
from gateway.core.certificates import (
    CertificateError,
    claimed_cluster,
    fingerprint,
    is_issued_by,
    read_der,
    read_leaf,
    read_roots,
)
from gateway.core.certificates import read_leaf_certificate as parsed
from gateway.core.issuing import Issuer, issue, make_root, read_issuer
from gateway.core.spiffe import spiffe_id, trust_domain

HERE, OTHER = "default/default/default/here", "default/default/default/other"
NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
ROOT = make_root(HERE, NOW)
LEAF = issue(ROOT, HERE, NOW)
DAY = timedelta(days=1)
Change = Callable[[x509.CertificateBuilder], x509.CertificateBuilder]


def custom(key: Any = None, *leave_out: type, **add: tuple[x509.ExtensionType, bool]) -> bytes:
    """A root of HERE in PEM, with other extensions or without some."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a CA of the user's")])
    usage = dict.fromkeys(
        ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
         "encipher_only", "decipher_only"),
        False,
    )  # fmt: skip
    extensions: dict[type, tuple[x509.ExtensionType, bool]] = {
        x509.BasicConstraints: (x509.BasicConstraints(ca=True, path_length=None), True),
        x509.KeyUsage: (x509.KeyUsage(key_cert_sign=True, crl_sign=True, **usage), True),
        x509.NameConstraints: (constraints(trust_domain(HERE)), True),
        x509.SubjectKeyIdentifier: (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
    }
    extensions |= {type(value): (value, critical) for value, critical in add.values()}
    builder = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(7).not_valid_before(NOW).not_valid_after(NOW + DAY)
    )  # fmt: skip
    for kind, (value, critical) in extensions.items():
        if kind not in leave_out:
            builder = builder.add_extension(value, critical=critical)
    hashed = None if isinstance(key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey) else hashes.SHA256()
    return builder.sign(key, hashed).public_bytes(serialization.Encoding.PEM)


def constraints(*domains: str, dns: str = "") -> x509.NameConstraints:
    permitted: list[x509.GeneralName] = [x509.UniformResourceIdentifier(domain) for domain in domains]
    permitted += [x509.DNSName(dns)] if dns else []
    return x509.NameConstraints(permitted or None, None if permitted else [x509.DNSName("x")])


def pem(key: Any) -> bytes:
    return bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ))  # fmt: skip


def test_a_root_is_bound_to_its_cluster() -> None:
    (root,) = read_roots(ROOT.pem.decode(), HERE)
    assert root == ROOT.certificate
    found = root.extensions.get_extension_for_class(x509.NameConstraints)
    assert found.critical
    assert found.value.permitted_subtrees == [x509.UniformResourceIdentifier(trust_domain(HERE))]
    assert root.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0
    assert root.not_valid_before_utc == NOW - issuing.CLOCK_SKEW
    assert root.not_valid_after_utc == NOW + issuing.ROOT_LIFETIME
    assert make_root(HERE, NOW).key_pem != ROOT.key_pem, "each has a key of its own"
    with pytest.raises(CertificateError, match="could issue for other clusters"):
        read_roots(ROOT.pem.decode(), OTHER)


def test_a_leaf_names_its_cluster_for_a_while() -> None:
    found = read_leaf(LEAF.chain, LEAF.key, HERE)
    assert found == LEAF
    assert (LEAF.since, LEAF.until) == (NOW - issuing.CLOCK_SKEW, NOW + DAY)
    assert LEAF.since < NOW < LEAF.renew_at < LEAF.until
    assert LEAF.renew_at - LEAF.since == LEAF.until - LEAF.renew_at
    certificate = x509.load_pem_x509_certificate(LEAF.chain)
    assert claimed_cluster(certificate) == HERE
    assert is_issued_by(certificate, [make_root(HERE, NOW).certificate, ROOT.certificate])
    assert not is_issued_by(certificate, [make_root(HERE, NOW).certificate])
    assert not is_issued_by(certificate, [])
    assert read_der(certificates.der_of(certificate)) == certificate
    assert len(fingerprint(certificate)) == 16


def test_a_leaf_does_not_outlive_its_root() -> None:
    root = make_root(HERE, NOW, timedelta(hours=2))
    assert issue(root, HERE, NOW).until == NOW + timedelta(hours=2)


def test_keys_are_shown_nowhere() -> None:
    secret = LEAF.key.decode().splitlines()[1]
    assert secret not in repr(LEAF)
    assert "key" not in repr(ROOT).replace("public_key", "")


@pytest.mark.parametrize("kind", ["ecdsa", "ed25519", "rsa"])
def test_a_ca_of_the_users_issues_as_ours_does(kind: str) -> None:
    makers: dict[str, Callable[[], Any]] = {
        "ecdsa": lambda: ec.generate_private_key(ec.SECP384R1()),
        "ed25519": ed25519.Ed25519PrivateKey.generate,
        "rsa": lambda: rsa.generate_private_key(65537, 2048),
    }
    key = makers[kind]()
    root = custom(key)
    issuer = read_issuer(root, pem(key), HERE)
    assert issuer == Issuer(x509.load_pem_x509_certificate(root), issuer.key)
    assert issuer.pem == root
    leaf = issue(issuer, HERE, NOW)
    assert is_issued_by(x509.load_pem_x509_certificate(leaf.chain), read_roots(root.decode(), HERE))
    assert read_leaf(leaf.chain, leaf.key, HERE) == leaf


def test_a_root_may_have_its_key_identifier_by_either_hash_and_more_constraints() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    bits = key.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    by_sha256 = x509.SubjectKeyIdentifier(sha256(bits).digest()[:20])
    more = constraints(trust_domain(HERE), dns="example.com")
    pems = custom(key, add=(by_sha256, False)) + custom(None, add=(more, True))
    assert len(read_roots(pems.decode(), HERE)) == 2


USAGE = x509.KeyUsage(
    digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
    key_agreement=False, key_cert_sign=False, crl_sign=False, encipher_only=False, decipher_only=False,
)  # fmt: skip


@pytest.mark.parametrize(
    ("root", "reason"),
    [
        (lambda: custom(None, x509.BasicConstraints), "is no CA"),
        (lambda: custom(None, add=(x509.BasicConstraints(ca=False, path_length=None), True)), "is no CA"),
        (lambda: custom(None, x509.KeyUsage), "is no CA"),
        (lambda: custom(None, add=(USAGE, True)), "is no CA"),
        (lambda: custom(None, x509.NameConstraints), "could issue for other clusters"),
        (lambda: custom(None, add=(constraints(trust_domain(HERE)), False)), "could issue for other"),
        (lambda: custom(None, add=(constraints(), True)), "could issue for other clusters"),
        (lambda: custom(None, add=(constraints("multicluster"), True)), "could issue for other clusters"),
        (lambda: custom(None, add=(constraints("." + trust_domain(HERE)), True)), "could issue for other"),
        (lambda: custom(None, add=(constraints(*map(trust_domain, (HERE, OTHER))), True)), "could issue for"),
        (lambda: custom(None, x509.SubjectKeyIdentifier), "subject key identifier"),
        (
            lambda: custom(None, add=(
                x509.SubjectKeyIdentifier.from_public_key(ROOT.certificate.public_key()), False
            )),
            "subject key identifier",
        ),
        (lambda: custom(rsa.generate_private_key(65537, 1024)), "too weak"),  # noqa: S505  it is refused
        (lambda: custom(ed448.Ed448PrivateKey.generate()), "of a kind that is not used here"),
        (lambda: LEAF.chain, "is no CA"),
        (lambda: b"", "there is no certificate"),
        (lambda: b"-----BEGIN CERTIFICATE-----\nxxxx\n-----END CERTIFICATE-----\n", "cannot be read"),
        (lambda: ROOT.pem * 90, "bytes are too many"),
    ],
)  # fmt: skip
def test_a_root_that_says_less_is_refused_with_what_to_do(root: Callable[[], bytes], reason: str) -> None:
    with pytest.raises(CertificateError, match=reason):
        read_roots(root().decode(), HERE)


def test_an_extension_that_cannot_be_read_is_said() -> None:
    broken = x509.UnrecognizedExtension(x509.NameConstraints.oid, b"\x30\x05nope")
    root = custom(None, x509.NameConstraints, add=(broken, True))
    with pytest.raises(CertificateError, match="cannot be read"):
        read_roots(root.decode(), HERE)


def named(*names: x509.GeneralName) -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        x509.CertificateBuilder().subject_name(x509.Name([])).issuer_name(ROOT.certificate.subject)
        .public_key(key.public_key()).serial_number(1).not_valid_before(NOW).not_valid_after(NOW + DAY)
    )  # fmt: skip
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=True)
    return builder.sign(ROOT.key, hashes.SHA256())


def test_a_certificate_names_one_cluster_and_nothing_else_or_none() -> None:
    mine, other = (x509.UniformResourceIdentifier(spiffe_id(key)) for key in (HERE, OTHER))
    assert claimed_cluster(named(mine)) == HERE
    foreign, dns = x509.UniformResourceIdentifier("spiffe://example.org/x"), x509.DNSName("example.com")
    for names in ((), (mine, other), (mine, mine), (mine, dns), (dns,), (foreign,)):
        assert claimed_cluster(named(*names)) == "", names


def test_der_that_cannot_be_read_is_said() -> None:
    with pytest.raises(CertificateError, match="cannot be read"):
        read_der(b"no certificate")


def test_a_key_of_a_kind_that_cannot_sign_it_does_not_count() -> None:
    leaf = x509.load_pem_x509_certificate(LEAF.chain)
    other = x509.load_pem_x509_certificate(custom(ed25519.Ed25519PrivateKey.generate()))
    assert not is_issued_by(leaf, [other])


@pytest.mark.parametrize(
    ("chain", "key", "reason"),
    [
        (b"", LEAF.key, "has no certificate"),
        (LEAF.chain, b"", "no private key"),
        (LEAF.chain, issue(ROOT, HERE, NOW).key, "not the key of the first certificate"),
        (ROOT.pem, ROOT.key_pem, "is for no cluster"),
        (issue(ROOT, OTHER, NOW).chain, LEAF.key, f"is for {OTHER}, not for {HERE}"),
        (LEAF.chain, pem(dsa.generate_private_key(1024)), "of a kind that is not used"),  # noqa: S505  it is refused
    ],
)
def test_files_that_are_no_certificate_of_this_cluster_are_refused(
    chain: bytes, key: bytes, reason: str
) -> None:
    with pytest.raises(CertificateError, match=reason) as caught:
        read_leaf(chain, key, HERE)
    assert "PRIVATE" not in str(caught.value)


@pytest.mark.parametrize(
    ("certificate", "key", "reason"),
    [
        (b"", ROOT.key_pem, "has no certificate"),
        (LEAF.chain, LEAF.key, "is no CA"),
        (ROOT.pem, LEAF.key, "not the key of the certificate"),
        (ROOT.pem, b"x", "no private key"),
    ],
)
def test_what_is_no_ca_of_this_cluster_is_refused(certificate: bytes, key: bytes, reason: str) -> None:
    with pytest.raises(CertificateError, match=reason):
        read_issuer(certificate, key, HERE)


@given(st.data())
def test_spoilt_certificates_are_refused_and_never_anything_else(data: st.DataObject) -> None:
    """A member's API server may serve any bytes as its root, and a client may show any as its certificate."""
    for whole in (certificates.der_of(ROOT.certificate), certificates.der_of(parsed(LEAF))):
        spoilt = bytearray(whole)
        for _ in range(data.draw(st.integers(1, 4))):
            spoilt[data.draw(st.integers(0, len(spoilt) - 1))] = data.draw(st.integers(0, 255))
        armoured = base64.b64encode(spoilt).decode()
        with contextlib.suppress(CertificateError):
            read_roots(f"-----BEGIN CERTIFICATE-----\n{armoured}\n-----END CERTIFICATE-----\n", HERE)
        with contextlib.suppress(CertificateError):
            found = read_der(bytes(spoilt))
            claimed_cluster(found)
            is_issued_by(found, [ROOT.certificate])
            if bytes(spoilt) != whole:
                assert (
                    not is_issued_by(found, [ROOT.certificate])
                    or claimed_cluster(found) != HERE
                    or (found.tbs_certificate_bytes == parsed(LEAF).tbs_certificate_bytes)
                ), "whatever was signed was signed as it is"


def test_a_key_that_nobody_can_read_is_said() -> None:
    curve = bytes.fromhex("06082a8648ce3d030107")
    odd = certificates.der_of(ROOT.certificate).replace(curve, curve[:-1] + b"\x7f", 1)
    root = x509.load_der_x509_certificate(odd).public_bytes(serialization.Encoding.PEM)
    with pytest.raises(CertificateError, match=r"the key of .* cannot be read"):
        read_roots(root.decode(), HERE)


def test_a_serial_number_that_is_none_is_refused() -> None:
    """The library reads it with a warning today, and will not one day."""
    below_zero = x509.load_pem_x509_certificate(custom()).public_bytes(serialization.Encoding.DER)
    below_zero = below_zero.replace(bytes.fromhex("020107"), bytes.fromhex("020187"), 1)
    for read in (read_der, lambda der: read_roots(ssl.DER_cert_to_PEM_cert(der), HERE)):
        with pytest.raises(CertificateError, match="serial number"):
            read(below_zero)


def test_text_that_is_no_text_is_no_certificate() -> None:
    with pytest.raises(CertificateError):
        read_roots("\udcff", HERE)
