"""Takes secrets out of text: the values that are known, and whatever has the shape of a secret. Pure."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

import yaml

MARK = "[redacted]"
PULUMI_SECRET = "4dabf18193072939515e22adb298388d"  # noqa: S105 - the key by which a state marks a secret
SHORTEST = 8
"""Letters of a value that is looked for: shorter ones occur by chance, and our passwords are no shorter."""
KUBECONFIG_SECRETS = ("client-key-data", "token", "password")
PUBLIC_KEYS = ("ca.crt", "namespace")
"""Of a Kubernetes Secret: what everybody may know."""
SHAPES = (
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----", re.DOTALL),
    re.compile(r"\beyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]*"),  # a JSON web token
    re.compile(r"(?<=client-key-data: )\S+"),
    re.compile(r"(?<=Bearer )[\w.~+/=-]{8,}"),
    re.compile(r"(?<=requirepass )\S+"),
    re.compile(r"\bLS0tLS1CRUdJTi[\w+/=]{40,}"),  # any PEM block in base64
)
QUERY = re.compile(
    r"""([?&;][^=&;\s"'#<>]*(?:key|token|secret|pass|pwd|sig|auth|code|session|credential|jwt)[^=&;\s"'#<>]*=)"""
    r"""[^&;\s"'#<>\\]+""",
    re.IGNORECASE,
)
"""A parameter of a URL that is called like a secret: applications log what they are asked."""
ENCODED = re.compile(r"[A-Za-z0-9+/_-]{24,}={0,2}")
URL_SAFE = str.maketrans("+/", "-_")
SECRET_NAME = re.compile(r"password|passwd|passphrase|secret|token|private|credential|salt", re.IGNORECASE)


class Redactor:
    """Replaces every known secret, in each form it may have, and everything that looks like one."""

    def __init__(self, secrets: Iterable[str]) -> None:
        found = {form for secret in secrets for form in forms(secret) if len(form) >= SHORTEST}
        longest_first = sorted(found, key=lambda form: (-len(form), form))
        self._known = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def __call__(self, text: str) -> str:
        """The text without secrets."""
        text = ENCODED.sub(self._decoded_too, text)
        return self._plain(text)

    def _plain(self, text: str) -> str:
        if self._known is not None:
            text = self._known.sub(MARK, text)
        for shape in SHAPES:
            text = shape.sub(MARK, text)
        return QUERY.sub(rf"\1{MARK}", text)

    def _decoded_too(self, found: re.Match[str]) -> str:
        """A run of base64 with a secret anywhere inside, as in the engine's messages, goes as a whole."""
        run = found[0].rstrip("=").translate(URL_SAFE)
        run = run[:-1] if len(run) % 4 == 1 else run  # a letter that ends no byte
        held = base64.urlsafe_b64decode(run + "=" * (-len(run) % 4)).decode("latin-1")
        return found[0] if self._plain(held) == held else MARK


def forms(secret: str) -> Iterator[str]:
    """A value as it may stand in a text: as it is, quoted, or in base64."""
    yield secret
    yield json.dumps(secret)[1:-1]
    yield quote(secret, safe="")
    yield base64.b64encode(secret.encode()).decode()


def state_secrets(state: Mapping[str, Any]) -> set[str]:
    """Every secret value of a state that was exported with its secrets in clear.

    A whole object is secret when one value of it is: values that stand in clear elsewhere are none.
    """
    secret = {value for marked in _marked(state) for value in _opened(marked)}
    return {value for value in secret if len(value) >= SHORTEST} - set(_clear(state))


def _marked(node: object) -> Iterator[str]:
    if isinstance(node, Mapping):
        if PULUMI_SECRET in node:
            yield str(node.get("plaintext") or "")
        else:
            for value in node.values():
                yield from _marked(value)
    elif isinstance(node, list):
        for value in node:
            yield from _marked(value)


def _clear(node: object) -> Iterator[str]:
    if isinstance(node, Mapping):
        if PULUMI_SECRET not in node:
            for value in node.values():
                yield from _clear(value)
    elif isinstance(node, list):
        for value in node:
            yield from _clear(value)
    elif isinstance(node, str):
        yield node


def _opened(plaintext: str) -> Iterator[str]:
    """The values inside a marked one, which is JSON text."""
    try:
        content = json.loads(plaintext)
    except ValueError:
        content = plaintext
    for value in _clear(content):
        yield from inside(value)


def inside(value: str) -> Iterator[str]:
    """The secrets in one value: keys and tokens of a kubeconfig, what base64 holds, else the value itself."""
    decoded = _decoded(value)
    if decoded is not None:
        yield value
        yield from inside(decoded)
    elif "\n" in value.strip():
        yield from _kubeconfig(value)
        yield from re.findall(r'^requirepass "?(.+?)"?$', value, re.MULTILINE)
    else:
        yield value.strip()


def _kubeconfig(text: str) -> Iterator[str]:
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError:
        return
    users = document.get("users") if isinstance(document, Mapping) else None
    for entry in users or []:
        for key in KUBECONFIG_SECRETS:
            if value := (entry.get("user") or {}).get(key):
                yield str(value)


def _decoded(value: str) -> str | None:
    """What base64 text holds when that is text again; None for everything else."""
    if len(value) < 2 * SHORTEST or len(value) % 4 or not re.fullmatch(r"[A-Za-z0-9+/]+={0,2}", value):
        return None
    try:
        text = base64.b64decode(value, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    return text if text.isprintable() or "\n" in text else None


def cluster_secrets(secret: Mapping[str, Any]) -> set[str]:
    """The values of a Kubernetes Secret, except what is public. Helm's own hold archives of manifests."""
    if secret.get("type") == "helm.sh/release.v1":
        return set()
    data = {name: value for name, value in (secret.get("data") or {}).items() if name not in PUBLIC_KEYS}
    return {part for value in data.values() for part in inside(str(value)) if len(part) >= SHORTEST}


def without_secrets(node: Any) -> Any:
    """A state, a stack file or the inspection of a container with every secret value left out."""
    if isinstance(node, Mapping):
        if PULUMI_SECRET in node or set(node) == {"secure"}:
            return MARK
        return {
            key: MARK if isinstance(value, str) and SECRET_NAME.search(str(key)) else without_secrets(value)
            for key, value in node.items()
        }
    if isinstance(node, list):
        return [without_secrets(value) for value in node]
    if isinstance(node, str) and (variable := re.match(r"([A-Za-z_]\w*)=", node)):
        return f"{variable[1]}={MARK}" if SECRET_NAME.search(variable[1]) else node
    return node
