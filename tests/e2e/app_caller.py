"""Runs in a pod with a Dapr sidecar: calls nodeapp in one of the ways an app can, and prints who answered.

Arguments: how (see HOW), path, number of calls. One JSON object: answers by cluster, or by what went wrong;
for `post` one line per entry, for `bodies` and `at_once` one object.
Standard library, and for `sdk` Dapr's Python SDK.
"""

from __future__ import annotations

import http.client
import json
import re
import sys
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

APP_ID, NAMESPACE = "nodeapp", "dapr-test"
SIDECAR = "http://127.0.0.1:3500"


def get(url: str, headers: dict[str, str] | None = None, entry: str | None = None) -> str:
    """The body of an answer, after its status unless that is 200. A POST of `entry` when there is one."""
    body = entry.encode() if entry is not None else None
    request = urllib.request.Request(url, body, headers or {})  # noqa: S310 - a Service, or the own sidecar
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        return f"{error.code} {error.read().decode(errors='replace')[:200]}"


def by_sdk(path: str) -> str:
    from dapr.clients import DaprClient  # noqa: PLC0415 - not there for the other ways

    with DaprClient() as client:
        return str(client.invoke_method(APP_ID, path.lstrip("/"), http_verb="GET").text())


HOW: dict[str, Callable[[str], str]] = {
    "name": lambda path: get(f"http://nodeapp.dapr-test:3000{path}"),
    "invoke": lambda path: get(f"{SIDECAR}/v1.0/invoke/{APP_ID}/method{path}"),
    "invoke-namespace": lambda path: get(f"{SIDECAR}/v1.0/invoke/{APP_ID}.{NAMESPACE}/method{path}"),
    "header": lambda path: get(f"{SIDECAR}{path}", {"dapr-app-id": APP_ID}),
    "sdk": by_sdk,
    "ledger": lambda path: get(f"{SIDECAR}/v1.0/invoke/ledger/method{path}"),
}


def post(first: int, last: int) -> None:
    """POST the entries of a ledger by its app-id, one line for each: its number, and what was answered."""
    for number in range(first, last):
        try:
            said = get(f"{SIDECAR}/v1.0/invoke/ledger/method/entries", entry=str(number))
        except Exception as error:
            said = repr(error)
        sys.stdout.write(json.dumps([number, said[:200]]) + "\n")  # whole, beside the other threads
        sys.stdout.flush()


def bodies() -> str:
    """What comes of bodies and methods, as JSON."""
    where = f"{SIDECAR}/v1.0/invoke/ledger/method"
    trace = "0af7651916cd43dd8448eb211c80319c"
    traced = get(f"{where}/trace", {"traceparent": f"00-{trace}-b7ad6b7169203331-01"})
    connection = http.client.HTTPConnection("127.0.0.1", 3500, timeout=20)
    connection.request("HEAD", "/v1.0/invoke/ledger/method/big")
    head = connection.getresponse()
    found = {
        "big": [len(get(f"{where}/big")) for _ in range(8)],
        "head": [head.status, len(head.read())],
        "moved": get(f"{where}/moved").partition(",")[0],
        "trace": traced.split("-")[1] == trace,
    }
    chunks = iter([b"y" * 2**16] * 48)  # below the 4 MiB that a sidecar takes unless it is told otherwise
    connection.request("POST", "/v1.0/invoke/ledger/method/size", chunks, encode_chunked=True)
    found["size"] = connection.getresponse().read().decode()
    return json.dumps(found)


def at_once() -> str:
    """A thousand calls, a hundred at a time: how many were answered."""
    with ThreadPoolExecutor(100) as pool:
        said = list(pool.map(lambda _: HOW["ledger"]("/x"), range(1000)))
    return json.dumps(Counter("answered" if "from cluster" in one else one[:100] for one in said))


def main(how: str, path: str, count: str) -> None:
    if how in {"bodies", "at_once"}:
        print(bodies() if how == "bodies" else at_once())
        return
    if how == "post":
        with ThreadPoolExecutor(8) as pool:
            each = int(count) // 8
            list(pool.map(lambda part: post(part * each, (part + 1) * each), range(8)))
        return
    found: Counter[str] = Counter()
    for _ in range(int(count)):
        try:
            said = HOW[how](path)
        except Exception as error:
            said = repr(error)[:200]
        match = re.search(r"from cluster: (\S+)", said)
        found[match[1] if match else said[:200]] += 1
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
