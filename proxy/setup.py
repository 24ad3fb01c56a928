"""Compiles the data plane's hot modules to C with mypyc, and what is C by itself: the reader
of heads and the writer of lines.

Everything else is in pyproject.toml.

    GATEWAY_COMPILE=1 python setup.py build_ext --build-lib FOLDER   # what the image and ./stack bench do
    GATEWAY_COMPILE=1 pip install --no-build-isolation .             # on a host with mypy and a C compiler

The Python sources are the truth and run as they are; compiled, a request costs about half as much work in
the gateway. Compiled are the modules that run for every request and call each other; what only reads
configuration stays interpreted.
"""

from __future__ import annotations

import os

from setuptools import Extension, setup

HOT = [
    *(
        f"gateway/core/{name}.py"
        for name in (
            "answers",
            "balance",
            "body",
            "errors",
            "forward",
            "heads",
            "health",
            "hosts",
            "limits",
            "meter",
            "path_table",
            "request",
            "response",
            "route",
            "scan",
        )
    ),
    *(
        f"gateway/edge/{name}.py"
        for name in (
            "accepted",
            "accesslog",
            "answer",
            "attempts",
            "census",
            "client",
            "connection",
            "contexts",
            "dialled",
            "downstream",
            "exchange",
            "kept",
            "metrics",
            "reading",
            "registry",
            "replay",
            "routed",
            "runtime",
            "tls",
            "traced",
            "upstream",
        )
    ),
]

if os.environ.get("GATEWAY_COMPILE"):
    from mypyc.build import mypycify

    # Unreachable code is refused because mypyc believes it: what mypy takes an attribute to be after a check,
    # it takes it to be after a call that changes it as well. Without site packages: what is installed beside
    # the compiler differs (the image has none of the gateway's libraries there), the C that is made must not.
    OPTIONS = [
        "--python-version=3.11",
        "--ignore-missing-imports",
        "--no-site-packages",
        "--warn-unreachable",
    ]
    compiled = mypycify([*OPTIONS, *HOT], group_name="gateway", opt_level="3", debug_level="0")
    for module in compiled:
        # Nothing replaces one of these functions at run time: so they may be put into one another.
        module.extra_compile_args.append("-fno-semantic-interposition")
    native = [
        Extension(f"gateway.core.{name}", [f"gateway/core/{name}.c"], extra_compile_args=["-O3"])
        for name in ("_scan", "_pieces")
    ]
    setup(ext_modules=[*compiled, *native])
else:
    setup()
