"""Everything an air-gapped environment runs on, and the supply map that says where it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from airgap import leftovers
from airgap.gobuild import ensure_programs
from airgap.images import recipes
from airgap.images.chart import ensure_dapr_chart
from airgap.images.debian_base import ensure_base
from airgap.images.docker_build import ImageBuilder, Recipe, connect
from airgap.images.preload import ensure_preloaded
from airgap.images.wheels import BUILD_LOCKS, ensure_wheels
from airgap.programs import Program, programs
from airgap.report import Report
from airgap.run import explain_disk_full
from airgap.versions import load_versions

IN_IMAGES = ("kube", "coredns", "pause", *recipes.DAPR_PROGRAMS)


def to_build() -> list[Program]:
    """The programs that go into images."""
    known = programs(load_versions())
    return [known[name] for name in IN_IMAGES]


def ensure_supply(cache: Path, docker_host: str, report: Report) -> dict[str, Any]:
    """Build or find every image, archive and chart; return the supply map (JSON types only)."""
    versions = load_versions()
    known = programs(versions)
    leftovers.clear(cache)
    with explain_disk_full(cache):
        builder = ImageBuilder(connect(docker_host), cache, report)
        base = ensure_base(builder, cache, report)
        paths = ensure_programs(cache, [known[name] for name in IN_IMAGES], report)
        pause = recipes.pause(known["pause"], paths)
        pause_archive = _pause_archive(builder, pause)
        node = recipes.node(base, known, paths, pause_image=pause.reference, pause_archive=pause_archive)
        dapr = recipes.dapr(known, paths)
        curl = recipes.curl(base)
        chart = ensure_dapr_chart(cache, versions.dapr, report)
        for recipe in (*dapr, curl):
            builder.ensure(recipe)
        python = recipes.python(base, ensure_wheels(cache, report))
        builder.ensure(python)
        build_wheels = ensure_wheels(cache, report, BUILD_LOCKS, "build-wheels")
        compiler = recipes.compiler(python.reference, build_wheels)
        dapr_archive = builder.ensure_archive("dapr", dapr)
        curl_archive = builder.ensure_archive("curl", [curl])
        # The Python base because the images of the gateway and the demo app lie on it.
        python_archive = builder.ensure_archive("python", [python])
        preloaded = [pause_archive, dapr_archive, curl_archive, python_archive]
        node_repository = f"{recipes.REPOSITORY}/node"
        return {
            "mode": "airgap",
            "images": {
                "node": {
                    "ref": ensure_preloaded(builder, builder.ensure(node), preloaded, node_repository, report)
                },
                "k3d-tools": {"ref": builder.ensure(recipes.k3d_tools(base))},
                "redis": {"ref": builder.ensure(recipes.redis(base))},
                "python": {"ref": python.reference},
                "compiler": {"ref": builder.ensure(compiler)},
                "curl": {"ref": curl.reference, "archive": str(curl_archive)},
                "dapr": {
                    "ref": recipes.DAPR_REPOSITORY,
                    "tag": versions.dapr,
                    "archive": str(dapr_archive),
                },
            },
            "charts": {"dapr": {"chart": str(chart), "version": versions.dapr}},
        }


def _pause_archive(builder: ImageBuilder, pause: Recipe) -> Path:
    builder.ensure(pause)
    return builder.ensure_archive("pause", [pause])
