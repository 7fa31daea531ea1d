"""The manifest and the summary: what was made, from which commit, where, in what time."""

import os
import subprocess
from pathlib import Path

import pytest

from ares import cli, manifest, paths
from ares.cli.runs import summary_lines
from ares.io import read_json
from ares.manifest import job_seconds, wall_seconds
from tests.steps import script

#: SHA-256 of the three bytes "abc", from FIPS 180-2.
ABC = {"sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "bytes": 3}


def test_times_are_those_of_snakemakes_benchmarks_and_count_no_pause(tmp_path):
    # From 940 to 1000, from 970 to 1030, and after a long pause from 4990 to 5000.
    for name, end, seconds in [("a", 1000, 60), ("b", 1030, 60), ("c-0", 5000, 10.25)]:
        file = tmp_path / f"{name}.tsv"
        file.write_text(f"s\th:m:s\tmax_rss\n{seconds}\t0:00:01\t-\n")
        os.utime(file, (end, end))
    assert job_seconds(tmp_path) == {"a": 60, "b": 60, "c-0": 10.25}
    assert wall_seconds(tmp_path) == pytest.approx(100.25)
    assert wall_seconds(tmp_path / "none") == 0


def write(out: Path, *, timed: list[str], **made: list[Path]) -> int:
    files = {name: [str(file) for file in made.get(name, [])]
             for name in ("tables", "made", "figures", "notebooks")}  # fmt: skip
    given = {"benchmarks": str(out.parent), "timed": timed}
    return script("manifest", "smoke", out, input=files, params=given)


def test_manifest_holds_hashes_config_and_times_and_no_hash_of_what_holds_times(tmp_path):
    names = ("a.parquet", "timings.parquet", "a.png", "cost.png")
    table, timings, figure, cost = files = [tmp_path / name for name in names]
    for file in files:
        file.write_bytes(b"abc")
    (tmp_path / "tokens.tsv").write_text("s\n90\n")
    out = tmp_path / "manifest.json"
    made = {"tables": [table, timings], "figures": [figure, cost], "notebooks": [Path("n.ipynb")]}
    assert write(out, timed=[str(timings), str(cost)], **made) == 0
    written = read_json(out)
    assert written["tables"] == {str(table): ABC, str(timings): None}
    assert written["figures"] == {str(figure): ABC, str(cost): None}
    assert written["notebooks"] == ["n.ipynb"] and written["config"]["scale"] == "smoke"
    assert written["job_seconds"] == {"tokens": 90} and written["wall_seconds"] == 90
    assert written["packages"]["torch"] and written["machine"]["cores"] >= 1


def test_summary_names_every_table_figure_and_notebook():
    lines = summary_lines(
        {
            "config": {"scale": "smoke"},
            "commit": {"hash": "0123456789abcdef", "changed": True},
            "job_seconds": {"a": 60, "b": 30},
            "tables": {"results/smoke/tokens.parquet": {}},
            "figures": {"figures/smoke/f1.png": {}, "figures/smoke/f1.csv": {}},
            "notebooks": ["results/smoke/notebooks/02_windows.ipynb"],
        },
        Path("results/smoke/manifest.json"),
    )
    parts = ("smoke (0123456789 with local changes), 1.5 minutes", "results/smoke/: tokens.parquet",
             "f1 (csv, png)", "notebooks/: 02_windows.ipynb", "manifest.json")  # fmt: skip
    assert all(part in line for part, line in zip(parts, lines, strict=True))


def test_summary_of_a_scale_that_was_not_run(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(paths, "RESULTS", tmp_path)
    assert cli.main(["summary", "smoke"]) == 2
    assert "scale 'smoke' has not been run to its end" in capsys.readouterr().err


def test_the_commit_is_that_of_git_and_without_one_there_is_none(monkeypatch, tmp_path):
    monkeypatch.setattr(manifest, "ROOT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert manifest.git("rev-parse", "HEAD") is None
    user = ["-c", "user.name=a", "-c", "user.email=a@b"]
    try:
        for words in (["init", "-q"], [*user, "commit", "-qm", "x", "--allow-empty"]):
            subprocess.run(["git", *words], cwd=tmp_path, check=True)
    except FileNotFoundError:
        pytest.skip("there is no git here")
    made = manifest.commit()
    assert len(made["hash"]) == 40 and not made["changed"]
    (tmp_path / "new").touch()
    assert manifest.commit()["changed"]
    monkeypatch.setenv("PATH", str(tmp_path))
    assert manifest.commit() is None
