"""The examples of CONTRIBUTING.md, as they stand there, work in a copy of the repository.

Names are changed first, so that the tests pass where somebody has added just these.
"""

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from ares.config import load_config
from ares.evaluation.registry import load_registry
from ares.findings.rules import load_rules
from ares.paths import CONFIG, ROOT
from tests.configs import changed

PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
NAMES = {"ares-window-8": "an-arm", "A3": "A99", "SVAMP": "ABenchmark", "evening": "night"}


def example(language: str, holds: str) -> str:
    """The one code block in a language that holds a text, with other names."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    (block,) = (block for block in blocks if holds in block)
    for name, other in NAMES.items():
        block = block.replace(name, other)
    return block


def extended(folder: Path, name: str, block: str) -> Path:
    """A file of config/ with a block at its end, in a folder."""
    file = folder / name
    file.write_text((CONFIG / name).read_text(encoding="utf-8") + "\n" + block, encoding="utf-8")
    return file


def test_an_arm(tmp_path):
    config, seeds = (CONFIG / "smoke.yaml").read_text("utf-8"), example("yaml", "ares-window-8: {")
    scale = tmp_path / "smoke.yaml"
    scale.write_text(re.sub(r"(  arms:.*\n)", lambda match: match[1] + seeds, config))
    aepo = load_config(scale).aepo
    assert aepo.arms["an-arm"].seeds == (1,)
    assert aepo.settings_of("an-arm") == replace(aepo.settings_of("ares"), window=8)


def test_a_finding_and_a_benchmark(tmp_path):
    book = extended(tmp_path, "findings.yaml", example("yaml", "id: A3\n"))
    known, added = load_rules().findings, load_rules(book).findings
    assert [finding.id for finding in added] == [*(finding.id for finding in known), "A99"]
    assert added[-1].parts[0].quantity["of"] == "an-arm"
    registry = extended(tmp_path, "benchmarks.yaml", example("yaml", "SVAMP"))
    assert set(load_registry(registry)) - set(load_registry()) == {"ABenchmark"}


def test_a_scale(tmp_path):
    (tmp_path / "config").mkdir()
    shutil.copy(CONFIG / "laptop.yaml", tmp_path / "config")
    first, second = example("sh", "evening").splitlines()
    subprocess.run(first, shell=True, cwd=tmp_path, check=True)
    laptop, night = (load_config(tmp_path / f"config/{name}.yaml") for name in ("laptop", "night"))
    assert night.scale == "night" and night.aepo.steps == 40
    assert changed(night, {"scale": "laptop", "aepo.steps": 10}) == laptop
    assert second.startswith("snakemake -n --cores all --config scale=night")


def test_a_window_size(tmp_path):
    scale = tmp_path / "laptop.yaml"
    config = re.sub(r"(?m)^windows:\n(  .*\n)+", "", (CONFIG / "laptop.yaml").read_text("utf-8"))
    scale.write_text(config + "\n" + example("yaml", "sizes:"), encoding="utf-8")
    assert 6 in load_config(scale).windows.sizes


@pytest.mark.parametrize("target", sorted(set(re.findall(r"(?<![a-z-])make ([a-z-]+)", PAGE))))
def test_the_targets_exist(target):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^{target}:.*  ## ", makefile, re.MULTILINE)
