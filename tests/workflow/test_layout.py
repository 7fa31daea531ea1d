"""The repository: what a visitor is promised at its top level, and how it is installed."""

import re
import shutil
import subprocess
import tomllib
from importlib.metadata import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

import ares
from ares import paths

PROJECT = tomllib.loads((paths.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCK = (paths.ROOT / "requirements.lock").read_text(encoding="utf-8")
LOCKED = dict(re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", LOCK, re.MULTILINE))


@pytest.mark.parametrize(
    "name",
    [
        *("notebooks", "ares", "figures", "data", "tests", "config", "workflow", "benchmarks"),
        *("environment.yml", "Snakefile", "README.md", "Makefile", "pyproject.toml"),
        *("requirements.lock", "LICENSE", "CITATION.cff", ".ci/run", "figures/README.md"),
    ],
)
def test_the_top_level_is_as_promised(name):
    assert (paths.ROOT / name).exists()


def test_ci_runs_make_test_and_nothing_else():
    lines = (paths.ROOT / ".ci/run").read_text(encoding="utf-8").splitlines()
    commands = [line for line in lines if line and not line.startswith("#")]
    assert commands == ["set -euo pipefail", 'cd "$(dirname "$0")/.."', "exec make test"]


def test_the_lock_has_no_cuda_and_no_torchvision():
    forbidden = re.compile(r"^(nvidia|cuda|triton|torchvision|torchaudio|vllm)", re.IGNORECASE)
    assert [name for name in LOCKED if forbidden.match(name)] == []
    assert LOCKED["torch"] == "2.13.0"


def test_the_lock_holds_pins_and_no_place_to_fetch_from():
    for line in LOCK.splitlines():
        assert re.match(r"(#|$|[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*\s+# via )", line), line
    assert "://" not in LOCK


def test_the_lock_says_how_it_is_made():
    assert re.search(r"^# +make lock$", LOCK, re.MULTILINE)


@pytest.mark.parametrize(
    "requirement", [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]]
)
def test_the_lock_satisfies_the_project(requirement):
    wanted = Requirement(requirement)
    assert Version(LOCKED[canonicalize_name(wanted.name)]) in wanted.specifier


@pytest.mark.parametrize("python", ["3.11.0", "3.11.2", "3.12.0"])
def test_the_lock_installs_on_the_oldest_patch_releases(python):
    wanted = {name: metadata(name).get("Requires-Python") or "" for name in LOCKED}
    assert [name for name, range_ in wanted.items() if python not in SpecifierSet(range_)] == []


@pytest.mark.parametrize("package", ["torch==2.13.0", "transformers==5.23.0", "trl>=1.16,<1.17"])
def test_the_packages_whose_internals_we_use_are_pinned(package):
    assert package in PROJECT["dependencies"]


def test_conda_installs_the_same_lock():
    environment = yaml.safe_load((paths.ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert environment["dependencies"] == [
        f"python{PROJECT['requires-python']}",
        "pip",
        {"pip": ["-r requirements.lock", "-e ."]},
    ]


def test_the_citation_names_this_version_and_the_paper():
    citation = yaml.safe_load((paths.ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == ares.__version__
    assert citation["title"] == "ARES compendium"
    assert citation["references"][0]["identifiers"][0]["value"] == "arXiv:2510.08457"


def make(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        ["make", *arguments], cwd=paths.ROOT, capture_output=True, text=True, timeout=60
    )


def test_make_help_lists_the_two_commands():
    listed = make("help").stdout
    assert re.search(r"^ +figures +make every figure", listed, re.MULTILINE)
    assert re.search(r"^ +test +everything that CI checks", listed, re.MULTILINE)


def test_an_unsuitable_python_is_refused_with_a_remedy(tmp_path):
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(paths.ROOT / name, tmp_path)
    done = make("-C", str(tmp_path), "install", "PYTHON=false")
    assert done.returncode != 0
    assert "ares needs Python 3.11 or 3.12, and 'false' is not one" in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_a_folder_to_be_made_can_be_written_where_its_parent_can(tmp_path):
    assert paths.may_write(tmp_path / "not/yet/there")
    assert not paths.may_write(Path("/proc/1/not-there"))
