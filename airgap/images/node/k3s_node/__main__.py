"""Entry of /bin/k3s in the node image: `k3s server [flags]`, or `k3s kubectl|ctr ...` as k3s has them."""

from __future__ import annotations

import os
import sys

from k3s_node import server
from k3s_node.arguments import parse_server_arguments
from k3s_node.log import log


def main(words: list[str]) -> int:
    command = words[0] if words else ""
    if command in {"kubectl", "ctr"}:
        os.execvp(command, words)  # noqa: S606
    if command != "server":
        log("fatal", f"k3s {command}: this node image runs `server` only, one node per cluster")
        return 1
    try:
        options = parse_server_arguments(words[1:])
    except ValueError as error:
        log("fatal", f"k3s server: {error}")
        return 1
    return server.run(options)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
