"""Path rules, hosts and rewrites against tables and a slow reference."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import ProtocolError
from gateway.core.rewrite import (
    ENTRY_BYTES,
    MAX_PROGRAM_BYTES,
    SIMPLE_BYTES,
    TARGETS,
    PatternCache,
    Rewrite,
    RewriteError,
    TargetCache,
    memory_of,
)
from gateway.core.route import WeightedCluster
from gateway.core.snapshot import compile_snapshot

HERE = "default/default/default/here"


def compiled(*objects: Any) -> Any:
    return compile_snapshot(objects, HERE).snapshot


@pytest.mark.parametrize(
    ("target", "hit"),
    [
        ("/app", True),
        ("/app/", True),
        ("/app/ports", True),
        ("/app?x=/y", True),
        ("/app/a//b", True),
        ("/appx", False),
        ("//app", False),
        ("/", False),
        ("/APP", False),
        ("*", False),
        ("/ap", False),
    ],
)
@pytest.mark.parametrize("path", ["/app", "/app/", "/app/*"])
def test_prefix_matches_by_element(make: Any, path: str, target: str, hit: bool) -> None:
    snapshot = compiled(make.service(), make.export(path=path))
    assert (snapshot.paths.find(target.encode()) is not None) is hit


def test_exact_comes_before_prefix_and_longest_prefix_first(make: Any) -> None:
    snapshot = compiled(
        make.service("a"),
        make.service("b"),
        make.service("c"),
        make.service("d"),
        make.export("a", "/x"),
        make.export("b", "/x/y"),
        make.export("c", "/x/y", "Exact"),
        make.export("d", "/"),
    )
    found = {
        target: snapshot.paths.find(target).service
        for target in (b"/x", b"/x/y", b"/x/y/", b"/x/yz", b"/q", b"/")
    }
    assert found == {
        b"/x": "demo/a",
        b"/x/y": "demo/c",
        b"/x/y/": "demo/b",
        b"/x/yz": "demo/a",
        b"/q": "demo/d",
        b"/": "demo/d",
    }


ELEMENTS = st.lists(st.sampled_from(["a", "b", "ab", "", "%2F", "...", "a.b"]), max_size=5)


@given(
    st.dictionaries(st.tuples(ELEMENTS.map("/".join), st.booleans()), st.integers(0, 99), max_size=12),
    ELEMENTS.map("/".join),
    st.sampled_from(["", "?", "?a/b"]),
)
def test_the_table_equals_a_slow_reference(rules: dict[tuple[str, bool], int], path: str, query: str) -> None:
    objects: list[Any] = []
    for number, (rule, exact) in enumerate(rules):
        name = f"s{number}"
        objects.append(
            {
                "kind": "Service",
                "metadata": {"name": name, "namespace": "demo"},
                "spec": {"ports": [{"port": 1}]},
            }
        )
        objects.append(
            {
                "kind": "ServiceExport",
                "metadata": {
                    "name": name,
                    "namespace": "demo",
                    "creationTimestamp": f"2026-01-01T00:00:{number:02d}Z",
                },
                "spec": {
                    "rules": [
                        {
                            "path": "/" + rule,
                            "pathType": "Exact" if exact else "Prefix",
                            "portNumber": 1,
                        }
                    ]
                },
            }
        )
    found = compiled(*objects).paths.find(("/" + path + query).encode())
    assert (found.service if found else None) == reference(list(rules), "/" + path)


def reference(rules: list[tuple[str, bool]], path: str) -> str | None:
    best: tuple[int, str] | None = None
    for number, (rule, exact) in enumerate(rules):
        full = "/" + rule
        if exact:
            if full == path:
                return f"demo/s{number}"
            continue
        prefix = full.rstrip("/")
        if (path == prefix or path.startswith(prefix + "/")) and (best is None or len(prefix) > best[0]):
            best = (len(prefix), f"demo/s{number}")
    return best[1] if best else None


REWRITES = [
    ("^/nodeapp/?", "/", "/nodeapp", "/"),
    ("^/nodeapp/?", "/", "/nodeapp/ports", "/ports"),
    ("^/nodeapp/?", "/", "/nodeapp?x=1", "/?x=1"),
    ("^/nodeapp/?", "/", "/nodeapp//a", "//a"),
    ("^/nodeapp/?", "/", "/other", "/other"),
    ("a", "b", "/a/a?a=a", "/b/b?b=b"),
    ("/(v[0-9]+)/(.*)", "/$2?version=$1", "/v2/x/y", "/x/y?version=v2"),
    ("x", "[$&]", "/axbx", "/a[x]b[x]"),
    ("x", "$$1", "/x", "/$1"),
    ("x", "a$", "/x", "/a$"),
    ("(a)(b)?", "$2$1", "/a", "/a"),
    ("(a)(b)(c)(d)(e)(f)(g)(h)(i)(j)", "$10$1", "/abcdefghij", "/ja"),
]


@pytest.mark.parametrize(("source", "to", "target", "expected"), REWRITES)
def test_rewrite_replaces_every_match_over_path_and_query(
    source: str, to: str, target: str, expected: str
) -> None:
    rewrite = Rewrite(source, to)
    assert rewrite.apply(target.encode()) == expected.encode()
    assert rewrite.apply(target.encode()) == expected.encode(), "remembered answers are the same"


@pytest.mark.parametrize(
    ("source", "to"),
    [("(", "/"), ("(?=x)", "/"), (r"(a)\1", "/"), ("a", "$1"), ("a" * 2000, "/"), ("€", "/")],
)
def test_a_rewrite_that_cannot_run_is_refused(source: str, to: str) -> None:
    with pytest.raises(RewriteError):
        Rewrite(source, to)


def test_a_hostile_pattern_is_linear() -> None:
    assert Rewrite("(a*)*b", "x").apply(b"/" + b"a" * 8000).startswith(b"/")


SLOW = "(a?){500}b|a"
"""Looks to the end of the target for a `b` after each `a`: cubic, as every search is linear."""


def test_a_rewrite_that_would_take_hours_is_given_up_before_it_begins() -> None:
    started = time.thread_time()
    for source, count in ((SLOW, 8000), (SLOW, 900), ("(a?){100}b|a", 8000)):
        with pytest.raises(ProtocolError, match="too long for the rewrite") as refused:
            Rewrite(source, "x").apply(b"/" + b"a" * count)
        assert refused.value.status == 414
    assert time.thread_time() - started < 5, "of this thread's own time: 0.1 s"
    assert Rewrite(SLOW, "x").apply(b"/" + b"a" * 20) == b"/" + b"x" * 20


def test_a_common_rewrite_has_steps_enough_for_a_long_target() -> None:
    query = b"/a?" + b"&key=some+words+and+more" * 100
    assert Rewrite("&key=", ";k=").apply(query) == query.replace(b"&key=", b";k=")
    words = "|".join(f"word-{number}" for number in range(60))
    assert Rewrite(f"^/({words})/", "/$1-").apply(b"/word-59/" + b"x" * 8000) == b"/word-59-" + b"x" * 8000


def test_a_pattern_takes_little_memory_or_is_refused() -> None:
    assert memory_of("^/shop/?") == memory_of("^/(api|v1)/([^/?]+)/(.*)$") == SIMPLE_BYTES
    assert memory_of("." * 9) == memory_of("^/" + "a" * 300) == MAX_PROGRAM_BYTES
    with pytest.raises(RewriteError, match="too large"):
        Rewrite("(a?){1000}", "x")


def test_who_changes_his_pattern_often_does_not_fill_the_memory() -> None:
    cache = PatternCache(3 * SIMPLE_BYTES)
    first = cache.get("^/a", "/")
    assert cache.get("^/a", "/") is first
    for number in range(100):
        cache.get(f"^/{number}", "/")
        assert cache.size <= cache.most
    assert cache.get("^/a", "/") == first


def test_what_is_asked_of_the_server_as_a_whole_has_no_path_to_rewrite() -> None:
    """OPTIONS *: behind an export's path it is the path itself."""
    assert WeightedCluster("c", (), rewrite=Rewrite("^/?", "/x")).target(b"*") == b"*"
    assert WeightedCluster("c", (), prefix=b"/app", remote=True).target(b"*") == b"/app"


def test_rewrites_are_equal_when_pattern_and_replacement_are() -> None:
    one = Rewrite("a", "b")
    assert (one, hash(one)) == (Rewrite("a", "b"), hash(Rewrite("a", "b")))
    assert one not in (Rewrite("a", "c"), "a")
    assert repr(one) == "Rewrite('a', 'b')"


def test_what_all_rewrites_keep_is_bounded_together_in_bytes() -> None:
    cache, one, other = TargetCache(3 * (ENTRY_BYTES + 10)), Rewrite("^/x", "/"), Rewrite("^/y", "/")
    for number, rewrite in enumerate((one, other, one)):
        cache.keep(rewrite, b"/%03d" % number, b"/%05d" % number)
    assert (len(cache.found), cache.size) == (3, cache.most)
    cache.keep(other, b"/", b"/")
    assert (cache.found, cache.size) == ({(other, b"/"): b"/"}, ENTRY_BYTES + 2), (
        "full, it starts again empty"
    )


def test_a_rewritten_target_is_kept_for_its_own_rewrite() -> None:
    one, other = Rewrite("^/x", "/a"), Rewrite("^/x", "/b")
    for _ in range(2):
        assert (one.apply(b"/x1"), other.apply(b"/x1")) == (b"/a1", b"/b1")
    assert TARGETS.found[one, b"/x1"] == b"/a1"


def test_a_cluster_is_asked_for_what_its_prefix_or_rewrite_makes_of_a_target() -> None:
    assert WeightedCluster("c", (), prefix=b"/app").target(b"/x") == b"/app/x"
    assert WeightedCluster("c", (), rewrite=Rewrite("^/app/?", "/")).target(b"/app/x") == b"/x"
    assert WeightedCluster("c", (), rewrite=Rewrite("^/app/", "")).target(b"/app/x") == b"/x"
    assert WeightedCluster("c", ()).target(b"/x") == b"/x"


@pytest.mark.parametrize("to", ["/a b", "/a\r\nb: c", "/a#b", "/é", "/\0"])
def test_a_replacement_that_no_target_can_have_is_refused(to: str) -> None:
    with pytest.raises(RewriteError, match="no request target can have"):
        Rewrite("x", to)


def test_a_rewritten_target_is_bounded_before_it_is_made() -> None:
    with pytest.raises(ProtocolError, match="longer than 8192 bytes") as caught:
        Rewrite(".", "x" * 1024).apply(b"/" + b"a" * 1900)
    assert caught.value.status == 414
    with pytest.raises(ProtocolError, match="longer than 8192 bytes"):
        Rewrite("^/x", "").apply(b"/x" + b"a" * 9000)
