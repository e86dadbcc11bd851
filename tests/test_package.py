"""The package as it is built and installed."""

from __future__ import annotations

import email
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import types
import zipfile
from pathlib import Path

import pytest

import pyg_remul

ROOT = Path(__file__).parents[1]
PACKAGES = {
    "pyg_remul": "pyg_remul",
    "pyg_remul/benchmarks": "benchmarks",
    "pyg_remul/datasets": "datasets",
    "pyg_remul/models": "models",
    "pyg_remul/ops": "pyg_remul/ops",
    "pyg_remul/reproduction": "pyg_remul/reproduction",
}
LINKS = ("benchmarks", "datasets", "models")
RESOURCES = ("molecules.xyz", "py.typed")

pytestmark = pytest.mark.skipif(
    not (ROOT / "setup.cfg").is_file(), reason="the tree that the package is built from is absent"
)


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel built from a copy of the tree."""
    for package, version in {"build": "1.2", "setuptools": "77"}.items():
        pytest.importorskip(package, version, reason=f"without downloads, needs {package}")
    folder = tmp_path_factory.mktemp("build")
    ignored = shutil.ignore_patterns(".*", "__pycache__", "build", "data", "runs", "*.egg-info")
    shutil.copytree(ROOT, folder / "tree", symlinks=True, ignore=ignored)
    command = (sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder)
    run(*map(str, command), str(folder / "tree"))
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A folder with the wheel installed, alone."""
    target = tmp_path_factory.mktemp("installed")
    options = ("--no-deps", "--no-index", "--quiet", "--target", str(target))
    run(sys.executable, "-m", "pip", "install", *options, str(wheel))
    return target


@pytest.fixture(scope="module")
def metadata(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        return email.message_from_bytes(archive.read(name))


PROBE = """
import json, sys
import pyg_remul
loaded = list(sys.modules)
import pyg_remul.benchmarks, pyg_remul.datasets, pyg_remul.models, pyg_remul.ops
import pyg_remul.reproduction
places = {name: sys.modules[name].__file__ for name in sys.modules if name.startswith("pyg_remul")}
from pyg_remul.cli import main
try:
    main(["--help"])
finally:
    print(json.dumps([loaded, places]))
"""


@pytest.fixture(scope="module")
def probe(installed):
    """What a process sees that finds the installed package before everything else."""
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    *text, found = run(sys.executable, "-c", PROBE, cwd=installed, env=environment).splitlines()
    loaded, places = json.loads(found)
    return types.SimpleNamespace(help="\n".join(text), loaded=loaded, places=places)


def test_wheel_holds_every_file_of_the_packages_once(wheel):
    expected = [
        f"{name}/{path.name}"
        for name, folder in PACKAGES.items()
        for path in (ROOT / folder).iterdir()
        if path.suffix == ".py" or path.name in RESOURCES
    ]
    with zipfile.ZipFile(wheel) as archive:
        held = [name for name in archive.namelist() if ".dist-info/" not in name]
    assert sorted(held) == sorted(expected)


def test_packages_hold_nothing_but_modules():
    kept = {"__pycache__", "ops", "reproduction", *RESOURCES, *LINKS}
    for folder in PACKAGES.values():
        others = [p.name for p in (ROOT / folder).iterdir() if p.suffix != ".py"]
        assert set(others) <= kept


@pytest.mark.parametrize("name", [package.replace("/", ".") for package in PACKAGES])
def test_installed_package_is_imported_from_its_place(installed, probe, name):
    assert Path(probe.places[name]) == installed.joinpath(*name.split("."), "__init__.py")


def test_installed_modules_come_from_one_place(installed, probe):
    assert all(Path(place).is_relative_to(installed) for place in probe.places.values())


def test_installed_command_shows_its_help(probe):
    assert all(command in probe.help for command in ("train", "evaluate", "bench"))


def test_core_does_not_import_what_sits_on_top(probe):
    top = (
        "benchmarks",
        "datasets",
        "models",
        "config",
        "tasks",
        "experiment",
        "training",
        "demo",
        "simulation",
        "cli",
    )
    assert not {f"pyg_remul.{name}" for name in top} & set(probe.loaded)


@pytest.mark.parametrize("name", ["lightning", "tblite", "tensorboard", "tyro"])
def test_core_does_not_import_extras(probe, name):
    assert name not in probe.loaded


def test_command_is_declared(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith("entry_points.txt"))
        assert "pyg-remul = pyg_remul.cli:main" in archive.read(name).decode()


def test_requirements_have_open_lower_bounds(metadata):
    requirements = metadata.get_all("Requires-Dist")
    assert len(requirements) > 8
    for requirement in requirements:
        assert re.fullmatch(r"[\w.-]+(\[\w+\])?>=[\d.]+", requirement.split(";")[0]), requirement


def test_core_requires_no_extra(metadata):
    core = {r.split(">")[0] for r in metadata.get_all("Requires-Dist") if "extra ==" not in r}
    assert core == {
        *("ase", "e3nn", "filelock", "numpy", "pooch", "requests", "scipy"),
        *("torch", "torch-geometric", "torchmetrics", "tqdm", "urllib3"),
    }


def test_metadata_describes_the_package(metadata):
    assert metadata["Name"].replace("-", "_") == "pyg_remul"
    assert metadata["Version"] == pyg_remul.__version__
    assert metadata["Requires-Python"] == ">=3.10"
    assert "MIT" in (metadata["License-Expression"], metadata["License"])
    assert len(metadata.get_payload()) > 500


def test_licence_travels_with_the_wheel(wheel):
    with zipfile.ZipFile(wheel) as archive:
        assert any(name.endswith("/LICENSE") for name in archive.namelist())


def modules():
    for package, folder in PACKAGES.items():
        for path in sorted((ROOT / folder).glob("*.py")):
            parts = (*package.split("/"), *([] if path.stem == "__init__" else [path.stem]))
            yield ".".join(parts)


@pytest.mark.parametrize("name", list(modules()))
def test_public_names_exist(name):
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != "triton":
            raise
        pytest.skip("needs Triton")
    assert len(set(getattr(module, "__all__", ()))) == len(getattr(module, "__all__", ()))
    assert all(hasattr(module, public) for public in getattr(module, "__all__", ()))


@pytest.mark.parametrize(
    "name", ["pyg_remul", "pyg_remul.datasets", "pyg_remul.models", "pyg_remul.ops"]
)
def test_public_names_are_documented(name):
    module = importlib.import_module(name)
    assert all(getattr(module, public).__doc__ for public in module.__all__)


@pytest.mark.parametrize("name", LINKS)
def test_link_makes_the_import_name_true(name):
    link = ROOT / "pyg_remul" / name
    assert link.is_symlink()
    assert os.readlink(link) == f"../{name}"


def test_citation_has_the_version():
    text = (ROOT / "CITATION.cff").read_text()
    assert re.search(r"^version: (.+)$", text, re.MULTILINE).group(1) == pyg_remul.__version__


def test_changelog_has_the_version():
    path = ROOT / "CHANGELOG.md"
    versions = re.findall(r"^## \[?([\w.]+)\]?", path.read_text(), re.MULTILINE)
    assert pyg_remul.__version__ in versions
