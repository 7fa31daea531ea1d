"""The manifest and the summary: what was made, where, in what time."""

import os
from pathlib import Path

from ares import cli, paths
from ares.cli.runs import summary_lines
from ares.io import read_json
from ares.manifest import fingerprint, job_seconds, wall_seconds
from tests.steps import script

#: SHA-256 of the three bytes "abc", from FIPS 180-2.
ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_fingerprint_of_known_bytes(tmp_path):
    file = tmp_path / "abc"
    file.write_bytes(b"abc")
    assert fingerprint(file) == {"sha256": ABC, "bytes": 3}


def test_job_seconds_reads_snakemakes_benchmarks(tmp_path):
    (tmp_path / "tokens.tsv").write_text("s\th:m:s\tmax_rss\n1.5\t0:00:01\t-\n")
    (tmp_path / "causal-0.tsv").write_text("s\th:m:s\tmax_rss\n61.25\t0:01:01\t12.0\n")
    assert job_seconds(tmp_path) == {"causal-0": 61.25, "tokens": 1.5}


def test_wall_time_counts_what_ran_side_by_side_once_and_no_pause(tmp_path):
    # From 940 to 1000, from 970 to 1030, and after a long pause from 4990 to 5000.
    for name, end, seconds in [("a", 1000, 60), ("b", 1030, 60), ("c", 5000, 10)]:
        file = tmp_path / f"{name}.tsv"
        file.write_text(f"s\n{seconds}\n")
        os.utime(file, (end, end))
    assert wall_seconds(tmp_path) == 100
    assert wall_seconds(tmp_path / "none") == 0


def write(out, benchmarks, tables, figures, notebooks, timed) -> int:
    made = {"tables": tables, "made": [], "figures": figures, "notebooks": notebooks}
    given = {"benchmarks": str(benchmarks), "timed": timed}
    made = {name: [str(file) for file in files] for name, files in made.items()}
    return script("manifest", "smoke", out, input=made, params=given)


def test_manifest_holds_hashes_config_and_times(tmp_path):
    table, figure, out = tmp_path / "t.parquet", tmp_path / "f.png", tmp_path / "manifest.json"
    table.write_bytes(b"abc")
    figure.write_bytes(b"")
    benchmarks = tmp_path / "benchmarks"
    benchmarks.mkdir()
    (benchmarks / "tokens.tsv").write_text("s\n90\n")
    assert write(out, benchmarks, [table], [figure], ["n.ipynb"], []) == 0
    manifest = read_json(out)
    assert manifest["tables"] == {str(table): {"sha256": ABC, "bytes": 3}}
    assert manifest["figures"][str(figure)]["bytes"] == 0
    assert manifest["notebooks"] == ["n.ipynb"]
    assert manifest["config"]["scale"] == "smoke"
    assert manifest["job_seconds"] == {"tokens": 90} and manifest["wall_seconds"] == 90
    assert manifest["packages"]["torch"].startswith("2.13.0")
    assert manifest["machine"]["cores"] >= 1


def test_what_holds_wall_times_is_listed_without_a_hash(tmp_path, capsys):
    files = {name: tmp_path / name for name in ("a.parquet", "timings.parquet", "cost.png")}
    for file in files.values():
        file.write_bytes(b"abc")
    out = tmp_path / "manifest.json"
    tables, figures = [files["a.parquet"], files["timings.parquet"]], [files["cost.png"]]
    timed = [str(files["timings.parquet"]), str(files["cost.png"])]
    assert write(out, tmp_path, tables, figures, [], timed) == 0
    manifest = read_json(out)
    known = {"sha256": ABC, "bytes": 3}
    assert manifest["tables"] == {str(files["a.parquet"]): known, timed[0]: None}
    assert manifest["figures"] == {timed[1]: None}
    out.unlink()
    assert write(out, tmp_path, tables, figures, [], ["elsewhere/timings.parquet"]) == 2
    assert "elsewhere/timings.parquet: holds times, but is no table" in capsys.readouterr().err
    assert not out.exists()


def test_summary_names_every_table_figure_and_notebook():
    manifest = {
        "config": {"scale": "smoke"},
        "commit": {"hash": "0123456789abcdef", "changed": True},
        "job_seconds": {"a": 60, "b": 30},
        "tables": {"results/smoke/tokens.parquet": {}},
        "figures": {"figures/smoke/f1.png": {}, "figures/smoke/f1.csv": {}},
        "notebooks": ["results/smoke/notebooks/02_windows.ipynb"],
    }
    assert summary_lines(manifest, Path("results/smoke/manifest.json")) == [
        "made at scale smoke (0123456789 with local changes), 1.5 minutes of jobs:",
        "  tables     results/smoke/: tokens.parquet",
        "  figures    figures/smoke/: f1 (csv, png)",
        "  notebooks  results/smoke/notebooks/: 02_windows.ipynb",
        "  manifest   results/smoke/manifest.json",
    ]


def test_summary_of_a_scale_that_was_not_run(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(paths, "RESULTS", tmp_path)
    assert cli.main(["summary", "smoke"]) == 2
    assert "scale 'smoke' has not been run to its end" in capsys.readouterr().err
