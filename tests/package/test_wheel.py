"""What `pip install .` installs, and that it stands on its own."""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path

from plugins.engine import REPOSITORY

from package.conftest import environment, pip

PROXY = REPOSITORY / "proxy"
IMPORT_ALL = """
import importlib, pkgutil, multicluster_dapr
for module in pkgutil.walk_packages(multicluster_dapr.__path__, "multicluster_dapr."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
        print(module.name)
from multicluster_dapr.mesh.crds import FOLDER, load_definitions
print(*(definition["metadata"]["name"] for definition in load_definitions(FOLDER)))
assert "components" not in __import__("sys").modules
"""


def test_there_is_one_name_and_the_crds_are_in_it(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        tops = {name.split("/")[0] for name in names}
        assert tops == {"multicluster_dapr", next(top for top in tops if top.endswith(".dist-info"))}
        for file in (*(PROXY / "crds").glob("*.yaml"), *(PROXY / "admission").glob("*.yaml")):
            assert archive.read(f"multicluster_dapr/{file.parent.name}/{file.name}") == file.read_bytes()


def test_every_module_of_it_can_be_imported_without_this_repository(wheel: Path, tmp_path: Path) -> None:
    python = environment(tmp_path / "venv")
    pip(python, "install", "--no-deps", str(wheel))
    done = subprocess.run(
        [str(python), "-I", "-W", "error", "-c", IMPORT_ALL],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "multicluster_dapr.mesh.mesh" in done.stdout.split()
    assert "serviceexports.flomesh.io" in done.stdout.split()
