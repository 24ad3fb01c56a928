"""The live page and its data as one HTML file. Pure.

Browsers let no module of a file:// page import another: the modules become one script, each a function of its
own that returns what it exports. The page's policy names this script and the style sheet by their hashes, and
admits nothing else, from wherever: data that turned into markup would still run nothing.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

ENTRY = "main.js"
INSTEAD = {"stream.js": "picture.js"}
"""Where the page asks its server, the file has what was answered."""
IMPORT = re.compile(r'^import (?:\* as (\w+)|(\{ \w+(?:, \w+)* \})) from "\./([\w.-]+)";$', re.MULTILINE)
EXPORT = re.compile(r"^export (?=(?:async )?(?:function|const) (\w+))", re.MULTILINE)
NOT_READ = re.compile(r"^(?:import|export)\b.*|\bimport\s*[(.].*", re.MULTILINE)
ENDING = re.compile(r"</(?:script|style)|<!--", re.IGNORECASE)
"""What a browser would take for the end of an inline script or style sheet, or for something else in it."""
CHARSET, ICON, STYLE, SCRIPT, BODY_END = (
    '<meta charset="utf-8">',
    '<link rel="icon" href="icon.svg" type="image/svg+xml">',
    '<link rel="stylesheet" href="page.css">',
    '<script type="module" src="main.js"></script>',
    "</body>",
)
POLICY = (
    "default-src 'none'",
    "script-src {script}",
    "style-src {style}",
    "img-src data:",  # the icon
    "base-uri 'none'",
    "form-action 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
)


def page(files: Mapping[str, str], data: Any) -> str:
    """The file. `files`: those of the live page, by name; `data`: what the script element `picture` has."""
    script, style = _inline(one_script(files)), _inline(files["page.css"])
    policy = "; ".join(POLICY).format(script=_hash(script), style=_hash(style))
    icon = base64.b64encode(files["icon.svg"].encode()).decode()
    text = files["index.html"]
    for there, put in (
        (CHARSET, f'{CHARSET}\n<meta http-equiv="Content-Security-Policy" content="{policy}">'),
        (ICON, f'<link rel="icon" href="data:image/svg+xml;base64,{icon}">'),
        (STYLE, f"<style>{style}</style>"),
        (SCRIPT, f'<script type="module">{script}</script>'),
        (BODY_END, f'<script type="application/json" id="picture">{as_text(data)}</script>\n{BODY_END}'),
    ):
        if text.count(there) != 1:
            raise ValueError(f"index.html has not one {there}: what is put in its place has to be told")
        before, _, after = text.partition(there)
        text = before + put + after
    return text


def as_text(data: Any) -> str:
    """JSON in ASCII that no parser takes for markup: with < as an escape there is no tag and no comment."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def one_script(files: Mapping[str, str]) -> str:
    """All modules that the page needs, each after those that it imports."""
    parts = [f'modules["{name}"] = {_as_function(name, files[name])};' for name in _in_order(files)]
    return "\n".join(["const modules = {};", *parts, ""])


def _in_order(files: Mapping[str, str]) -> Iterator[str]:
    done: list[str] = []

    def follow(name: str, *above: str) -> Iterator[str]:
        if name in above:
            raise ValueError(f"{name} imports itself by {' and '.join(above)}: one of them has to be first")
        if name not in done:
            for _, _, other in IMPORT.findall(files[name]):
                yield from follow(INSTEAD.get(other, other), *above, name)
            done.append(name)
            yield name

    yield from follow(ENTRY)


def _as_function(name: str, text: str) -> str:
    """A module as the call of a function that returns its exports."""
    exports = EXPORT.findall(text)
    body = EXPORT.sub("", IMPORT.sub(_as_constant, text))
    if found := NOT_READ.search(body):
        raise ValueError(f"{name} has an import or export in a form that is not read here: {found[0]}")
    return f"(() => {{\n{body}return {{ {', '.join(exports)} }};\n}})()"


def _as_constant(found: re.Match[str]) -> str:
    return f'const {found[1] or found[2]} = modules["{INSTEAD.get(found[3], found[3])}"];'


def _inline(text: str) -> str:
    if found := ENDING.search(text):
        raise ValueError(f"{found[0]} cannot stand in an inline script or style sheet")
    return text


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
