"""The examples of CONTRIBUTING.md, as they stand there, work in a copy of the repository."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ares.config import load_config
from ares.evaluation.registry import load_registry
from ares.findings.rules import load_rules
from ares.paths import CONFIG, ROOT
from tests.configs import changed

PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def example(language: str, holds: str) -> str:
    """The one code block in a language that holds a text."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    (found,) = (block for block in blocks if holds in block)
    return found


def python(folder: Path, code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder, env={"PYTHONPATH": str(folder)}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_arm(tmp_path):
    shutil.copytree(ROOT / "ares", tmp_path / "ares", ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "ares/method/presets.yaml").open("a", encoding="utf-8") as presets:
        presets.write(example("yaml", "  ares-window-8:\n"))
    config = (CONFIG / "smoke.yaml").read_text(encoding="utf-8")
    assert config.count("  arms:") == 1
    scale = tmp_path / "smoke.yaml"
    scale.write_text(
        re.sub(r"(  arms:.*\n)", lambda m: m[1] + example("yaml", "ares-window-8: {"), config)
    )
    assert load_config(scale).aepo.arms["ares-window-8"].seeds == (1,)
    told = python(
        tmp_path, "from ares.method.presets import preset; print(preset('ares-window-8').window)"
    )
    assert told == "8\n"


def test_a_finding(tmp_path):
    book = tmp_path / "findings.yaml"
    before = (CONFIG / "findings.yaml").read_text(encoding="utf-8")
    book.write_text(before.rstrip() + "\n\n" + example("yaml", "id: A3\n"), encoding="utf-8")
    known, added = load_rules().findings, load_rules(book).findings
    assert repr(added[:-1]) == repr(known)  # NaN is no equal of itself
    assert added[-1].id == "A3"
    assert added[-1].parts[0].quantity["of"] == "ares-window-8"


def test_a_benchmark(tmp_path):
    entry = yaml.safe_load("benchmarks:\n" + example("yaml", "SVAMP"))
    assert list(entry["benchmarks"]) == ["SVAMP"]
    registry = tmp_path / "benchmarks.yaml"
    before = (CONFIG / "benchmarks.yaml").read_text(encoding="utf-8")
    registry.write_text(before.rstrip() + "\n\n" + example("yaml", "SVAMP"), encoding="utf-8")
    added = set(load_registry(registry)) - set(load_registry())
    assert added == {"SVAMP"}


def test_a_scale(tmp_path):
    (tmp_path / "config").mkdir()
    shutil.copy(CONFIG / "laptop.yaml", tmp_path / "config")
    first, second = example("sh", "evening").splitlines()
    subprocess.run(first, shell=True, cwd=tmp_path, check=True)
    laptop, evening = (load_config(tmp_path / f"config/{n}.yaml") for n in ("laptop", "evening"))
    assert evening.scale == "evening" and evening.aepo.steps == 40
    assert changed(evening, {"scale": "laptop", "aepo.steps": 10}) == laptop
    assert second.startswith("snakemake -n --cores all --config scale=evening")


@pytest.mark.parametrize("target", sorted(set(re.findall(r"(?<![a-z-])make ([a-z-]+)", PAGE))))
def test_the_targets_exist(target):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^{target}:.*  ## ", makefile, re.MULTILINE)
