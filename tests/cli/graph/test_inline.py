"""The live page and its data as one file: what stands in it, and what cannot."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from cli.graph.command import files_of_the_page
from cli.graph.inline import as_text, one_script, page

FILES = files_of_the_page()
HOSTILE = '</script><script>alert(1)</script><!-- & "\u2028\u2029\ud800 ]]> \\u003c/script>'


class Parsed(HTMLParser):
    """Elements with their attributes, and the text inside scripts and style sheets."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.comments: list[str] = []
        self.is_open = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        self.texts.append("")
        self.is_open = True

    def handle_endtag(self, tag: str) -> None:
        self.is_open = False

    def handle_data(self, data: str) -> None:
        if self.is_open:
            self.texts[-1] += data

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)

    def of(self, tag: str, **attributes: str) -> list[str]:
        """The texts of the elements that have these attributes."""
        return [
            text
            for (name, found), text in zip(self.elements, self.texts, strict=True)
            if name == tag and attributes.items() <= found.items()
        ]

    @property
    def policy(self) -> str:
        named = [found for name, found in self.elements if name == "meta" and "http-equiv" in found]
        assert [one["http-equiv"] for one in named] == ["Content-Security-Policy"]
        return named[0]["content"]


def hashed(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_all_of_the_page_is_in_the_file_and_nothing_is_asked_for() -> None:
    found = Parsed(page(FILES, {"a": 1}))
    for _, attributes in found.elements:
        for name in ("src", "href", "action", "srcset", "data", "poster"):
            assert attributes.get(name, "data:").startswith("data:")
    icons = [one["href"] for tag, one in found.elements if tag == "link"]
    assert [base64.b64decode(one.partition("base64,")[2]).decode() for one in icons] == [FILES["icon.svg"]]
    assert found.of("style") == [FILES["page.css"]]
    (script,) = found.of("script", type="module")
    for name in set(FILES) - {"index.html", "page.css", "icon.svg", "stream.js"}:
        assert script.count(f'modules["{name}"] = (') == 1
    assert "EventSource" not in script, "where the page is a file, there is no server"
    assert not re.search(r"^\s*(import|export)\b", script, re.MULTILINE)
    assert not re.search(r"url\((?!#)|@import|https?://(?!www\.w3\.org/)", FILES["page.css"] + script)


def test_the_policy_names_script_and_style_sheet_by_their_hashes_and_admits_nothing_else() -> None:
    found = Parsed(page(FILES, {"a": 1}))
    (script,), (style,) = found.of("script", type="module"), found.of("style")
    said = dict(one.split(" ", 1) for one in found.policy.split("; "))
    assert said.pop("script-src") == hashed(script)
    assert said.pop("style-src") == hashed(style)
    assert said == {
        "default-src": "'none'", "img-src": "data:", "base-uri": "'none'", "form-action": "'none'",
        "require-trusted-types-for": "'script'", "trusted-types": "'none'",
    }  # fmt: skip
    names = [one for one in found.elements if one[0] in ("script", "style", "link")]
    assert found.elements.index(("meta", {"charset": "utf-8"})) < found.elements.index(names[0])
    policy = next(number for number, (_, one) in enumerate(found.elements) if "http-equiv" in one)
    assert policy < found.elements.index(names[0]), "it holds for what comes after it"


@pytest.mark.parametrize(
    "data", [{HOSTILE: HOSTILE}, [HOSTILE], "<!--<script>", {"deep": [{"a": [HOSTILE]}]}]
)
def test_data_is_text_whatever_it_says(data: Any) -> None:
    found, plain = Parsed(page(FILES, data)), Parsed(page(FILES, {}))
    (text,) = found.of("script", id="picture")
    assert json.loads(text) == data
    assert text.isascii()
    assert not set(text) & set("<>&")
    assert found.elements == plain.elements, "not one element more or less"
    assert (found.comments, found.policy) == ([], plain.policy)


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        as_text({"a": float("nan")})


def modules(**others: str) -> dict[str, str]:
    return {f"{name}.js": text for name, text in others.items()}


def test_each_module_comes_once_and_after_what_it_imports() -> None:
    script = one_script(
        modules(
            main='import { b } from "./b.js";\nimport * as c from "./c.js";\nb(c.two);\n',
            b='import { two } from "./c.js";\nexport function b() { return two; }\n',
            c="export const two = 2;\nexport async function three() {}\n",
            unused="export const none = 0;\n",
        )
    )
    assert [script.index(f'modules["{name}.js"] =') for name in "cb"] == sorted(
        script.index(f'modules["{name}.js"] =') for name in "cb"
    )
    assert 'const { b } = modules["b.js"];\nconst c = modules["c.js"];\nb(c.two);' in script
    assert "const two = 2;\nasync function three() {}\nreturn { two, three };" in script
    assert "unused.js" not in script


def test_where_the_page_asks_its_server_the_file_has_what_was_answered() -> None:
    script = one_script(
        modules(
            main='import { follow } from "./stream.js";\n',
            stream="export function follow() { ask(); }\n",
            picture="export function follow() { tell(); }\n",
        )
    )
    assert 'const { follow } = modules["picture.js"];' in script
    assert "ask()" not in script


@pytest.mark.parametrize(
    "line",
    [
        'import one from "./b.js";',
        'import { b as one } from "./b.js";',
        'import "./b.js";',
        'import { b } from "https://example.org/b.js";',
        'const one = await import("./b.js");',
        "const here = import.meta.url;",
        "export default 1;",
        "export let one = 1;",
        "export { one };",
        'export * from "./b.js";',
    ],
)
def test_a_form_of_import_or_export_that_is_not_read_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"main\.js has an import or export in a form that is not read here"):
        one_script(modules(main=f"{line}\n", b="export const b = 1;\n"))


def test_modules_that_import_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="imports itself"):
        one_script(
            modules(
                main='import { b } from "./b.js";\n',
                b='import { c } from "./c.js";\nexport const b = 1;\n',
                c='import { b } from "./b.js";\nexport const c = 1;\n',
            )
        )


@pytest.mark.parametrize("name", ["dom.js", "page.css"])
@pytest.mark.parametrize("ending", ["</script>", "</STYLE >", "<!--"])
def test_what_would_end_a_script_or_style_sheet_is_refused(name: str, ending: str) -> None:
    with pytest.raises(ValueError, match="cannot stand in an inline"):
        page({**FILES, name: f"{FILES[name]}/* {ending} */\n"}, {})


def test_a_page_without_the_places_for_its_parts_is_refused() -> None:
    for text in (FILES["index.html"].replace('href="page.css"', 'href="other.css"'), FILES["index.html"] * 2):
        with pytest.raises(ValueError, match=r"index\.html has not one"):
            page({**FILES, "index.html": text}, {})
