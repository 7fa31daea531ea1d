"""The same seed gives the same bytes, on one core and on two (`make test-slow`).

Trained models are among them. What holds wall times is not compared: it differs in every run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ares.paths import CONFIG, FIGURES, RESULTS, ROOT

COMPARED = (".parquet", ".csv", ".png", ".pdf", ".safetensors")
TIMED = ("timings", "training_cost")


def made(scale: str) -> dict[str, bytes]:
    """Name -> bytes of every table, figure and model of a scale, without the scale's own name."""
    return {
        f"{folder.name}/{path.relative_to(folder / scale)}": content(path, scale)
        for folder in (RESULTS, FIGURES)
        for path in sorted((folder / scale).rglob("*"))
        if path.suffix in COMPARED and path.stem not in TIMED
    }


def content(path: Path, scale: str) -> bytes:
    """The bytes of a file; the findings name the scale in every row."""
    whole = path.read_bytes()
    return whole.replace(scale.encode(), b"") if path.name == "findings.csv" else whole


def run(scale: str, cores: int, folder: Path) -> dict[str, bytes]:
    """Run the whole workflow of a small config under another name; remove what it made."""
    config = yaml.safe_load((CONFIG / "smoke.yaml").read_text())
    config["problems"]["per_level"] = 2
    path = folder / f"{scale}.yaml"
    path.write_text(yaml.safe_dump({**config, "scale": scale}))
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "snakemake", "--cores", str(cores), "--config", f"scale={path}"],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return made(scale)
    finally:
        shutil.rmtree(RESULTS / scale, ignore_errors=True)
        shutil.rmtree(FIGURES / scale, ignore_errors=True)


@pytest.mark.slow
def test_one_core_and_two_make_the_same_bytes(tmp_path) -> None:
    one, two = run("one-core", 1, tmp_path), run("two-cores", 2, tmp_path)
    assert len(one) > 100 and one.keys() == two.keys()
    assert {Path(name).stem for name in one} >= {"model", "steps", "evaluation", "findings"}
    assert [name for name in one if one[name] != two[name]] == []
