"""The repository: how it is installed, and that its lists of packages agree."""

import re
import shutil
import subprocess
import tomllib
from importlib.metadata import metadata
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from ares import paths

PROJECT = tomllib.loads((paths.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCK = (paths.ROOT / "requirements.lock").read_text(encoding="utf-8")
LOCKED = dict(re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", LOCK, re.MULTILINE))


def test_the_lock_holds_pins_alone_and_no_package_for_a_gpu():
    for line in LOCK.splitlines():
        assert re.match(r"(#|$|[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*\s+# via )", line), line
    assert "://" not in LOCK
    gpu = re.compile(r"^(nvidia|cuda|triton|torchvision|torchaudio|vllm)", re.IGNORECASE)
    assert [name for name in LOCKED if gpu.match(name)] == []


def test_the_lock_satisfies_the_project():
    extras = {**PROJECT["optional-dependencies"], "gpu": []}
    for requirement in sum(extras.values(), PROJECT["dependencies"]):
        wanted = Requirement(requirement)
        if wanted.name != "ares":
            assert Version(LOCKED[canonicalize_name(wanted.name)]) in wanted.specifier, requirement


def test_conda_installs_the_same_lock_on_every_patch_release_of_python():
    environment = yaml.safe_load((paths.ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert environment["dependencies"][-1] == {"pip": ["-r requirements.lock", "-e ."]}
    wanted = {name: SpecifierSet(metadata(name).get("Requires-Python") or "") for name in LOCKED}
    for python in ("3.11.0", "3.11.2", "3.12.0"):
        assert [name for name, range_ in wanted.items() if python not in range_] == []


def test_an_unsuitable_python_is_refused_with_a_remedy(tmp_path):
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(paths.ROOT / name, tmp_path)
    command = ["make", "-C", str(tmp_path), "install", "PYTHON=false"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and "ares needs Python 3.11 or 3.12" in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_a_folder_to_be_made_can_be_written_where_its_parent_can(tmp_path):
    assert paths.may_write(tmp_path / "not/yet/there")
    assert not paths.may_write(Path("/proc/1/not-there"))
