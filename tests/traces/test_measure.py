"""Thresholds, marks and tables of a file against the method, all tokens in one tensor."""

import json
import os
import subprocess
import sys
from typing import get_args

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ares.errors import UserError
from ares.method.lexicon import Lexicon, load_lexicon
from ares.method.tensors import pad_rows
from ares.method.thresholds import batch_quantile, mean_rollout_quantile, median_rollout_quantile
from ares.method.windows import count_hwe, hwe_mask, window_entropy
from ares.paths import ROOT
from ares.traces import Threshold
from ares.traces import spool as spooling
from ares.traces.measure import Definition, exact_quantile, measure
from ares.traces.read import read_traces
from ares.traces.spool import Spool
from benchmarks.bench_load import write_traces
from tests.traces.conftest import made_up


def measured(tmp_path, path, how=Definition(), lexicon=None):  # noqa: B008 - frozen
    """Threshold and words, the tables of tokens and of traces."""
    with Spool(tmp_path / "spool") as spool:
        for trace in read_traces(path):
            spool.add(trace, "")
    out = tmp_path / "out"
    found = measure(spool, how, lexicon or load_lexicon(), out)
    return *found, pd.read_parquet(out / "tokens.parquet"), pd.read_parquet(out / "traces.parquet")


def expected(lines, how):
    """Threshold, marks and windows by `ares.method`."""
    entropy_BT, mask_BT = pad_rows([line["entropy"] for line in lines if line["entropy"]])
    q = how.percentile / 100
    start = "after" if how.threshold == "released" else "at"
    window_BT = window_entropy(entropy_BT, mask_BT, how.window, start)
    values_BT = window_BT
    if how.threshold == "batch":
        theta = batch_quantile(window_BT, mask_BT, q)
    elif how.threshold == "app-h":
        theta, values_BT = batch_quantile(entropy_BT, mask_BT, q), entropy_BT.where(mask_BT, -1.0)
    elif how.threshold == "main-text":
        theta = mean_rollout_quantile(entropy_BT, mask_BT, q)
    else:
        padded_BT = window_entropy(entropy_BT, mask_BT, how.window, "after", "running_mean")
        theta = median_rollout_quantile(padded_BT, mask_BT, q)
    hwe_BT = hwe_mask(values_BT, theta, strict=how.threshold == "main-text") & mask_BT
    return theta, hwe_BT, window_BT, mask_BT


@pytest.mark.parametrize("threshold", get_args(Threshold))
@pytest.mark.parametrize(("window", "piece"), [(1, 1), (4, 100), (16, 2**18)])
def test_whatever_the_pieces_the_numbers_are_the_methods(
    tmp_path, write_traces, monkeypatch, threshold, window, piece
):
    monkeypatch.setattr(spooling, "PIECE", piece)
    lines, how = made_up(30, seed=1), Definition(window, 80.0, threshold)
    found, _, tokens, traces = measured(tmp_path, write_traces(lines), how)
    theta, hwe_BT, window_BT, mask_BT = expected(lines, how)
    assert found == pytest.approx(theta, rel=1e-12)
    np.testing.assert_array_equal(tokens["window"], window_BT[mask_BT].numpy())
    np.testing.assert_array_equal(tokens["hwe"], hwe_BT[mask_BT].numpy())
    assert traces["hwe"].tolist() == [0, *count_hwe(hwe_BT).tolist()]
    assert tokens["token"].tolist() == [word for line in lines for word in line["tokens"]]
    assert traces["n_tokens"].tolist() == [len(line["tokens"]) for line in lines]
    assert traces["rollout_id"].tolist() == list(range(30))
    assert traces["id"].tolist() == [f"{line['id']}#{line['sample']}" for line in lines]
    assert traces["hwe"].sum() == int(hwe_BT.sum())
    means = [np.float32(line["entropy"]).mean(dtype=float) for line in lines[1:]]
    assert traces["entropy"].tolist()[1:] == pytest.approx(means)
    assert np.isnan(traces["entropy"][0]) and np.isnan(traces["max_window"][0])


def test_a_trace_worked_out_by_hand(tmp_path, write_traces):
    line = {"id": "q", "tokens": [" so", " it", " is", " thus"], "entropy": [1.0, 3.0, 5.0, 1.0]}
    path = write_traces([line])
    found, _, tokens, traces = measured(tmp_path, path, Definition(2, 50.0))
    # Windows 2, 4, 3, none; their median is 3.
    assert found == 3.0
    assert tokens["window"].tolist()[:3] == [2.0, 4.0, 3.0] and np.isnan(tokens["window"][3])
    assert tokens["hwe"].tolist() == [False, True, True, False]
    assert tokens["category"].tolist() == ["conclude", "", "", "conclude"]
    assert tokens["lexicon"].tolist() == [True, False, False, True]
    assert traces.loc[0, ["hwe", "hwe_validated", "max_window"]].tolist() == [2, 0, 4.0]
    own = measured(tmp_path, path, Definition(2, 50.0), Lexicon({"user": ("it", "thus")}))[3]
    assert own.loc[0, ["hwe", "hwe_validated"]].tolist() == [2, 1]


def test_words_are_counted_over_spellings_and_pieces(tmp_path, write_traces, monkeypatch):
    monkeypatch.setattr(spooling, "PIECE", 2)
    lines = [
        {"tokens": [" Wait", "12"], "entropy": [2.0, 2.0]},
        {"tokens": ["wait", " the"], "entropy": [0.0, 1.0]},
    ]
    _, words, *_ = measured(tmp_path, write_traces(lines), Definition(1, 75.0))
    assert words.to_dict("list") == {
        "word": ["wait", "the"],
        "count": [2, 1],
        "high": [1, 0],
        "hwe": [1, 0],
        "entropy": [1.0, 1.0],
        "category": ["contrast", ""],
    }


def test_a_window_longer_than_every_trace_is_refused(tmp_path, write_traces):
    path = write_traces([{"tokens": ["a", "b"], "entropy": [1.0, 1.0]}])
    with pytest.raises(UserError, match="as long as the window"):
        measured(tmp_path, path)


@given(
    st.lists(st.floats(0, 20, width=32), min_size=1, max_size=60),
    st.floats(0, 1),
    st.integers(1, 7),
)
def test_the_quantile_of_pieces_is_the_quantile(numbers, q, size):
    values = np.array(numbers, np.float32)
    pieces = [values[place : place + size] for place in range(0, len(values), size)]
    whole = batch_quantile(torch.from_numpy(values)[None], torch.ones(1, len(values)), q)
    assert exact_quantile(lambda: pieces, q) == whole


FEW, MANY = 4_000, 64_000
#: Runs the analysis of both files in one process. Buffers that fill up to a bound are made so small
#: that both files fill them; what is left to grow is what grows without a bound.
SCRIPT = """
import json, re, sys, time
from pathlib import Path
from ares.method.lexicon import load_lexicon
from ares.traces import figures, page, spool
from ares.traces.analyze import analyze
from ares.traces.measure import Definition
figures.UNITS, page.PAGE_TOKENS, spool.PIECE = 50, 2_000, 2**14
found = []
for name in ("few", "many"):
    began = time.process_time()
    out = Path(sys.argv[1]) / f"out-{name}"
    said = list(analyze(Path(sys.argv[1]) / f"{name}.jsonl", out, Definition(), load_lexicon(), 20))
    took = time.process_time() - began
    peak = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]
    found.append((took, int(peak) / 1024, (out / "index.html").stat().st_size))
print(json.dumps(found))
"""


def test_memory_stays_and_time_grows_with_the_file(tmp_path):
    for name, traces in (("few", FEW), ("many", MANY)):
        write_traces(tmp_path / f"{name}.jsonl", traces, tokens=20, top=0)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    (few_s, few_mib, few_page), (many_s, many_mib, many_page) = json.loads(done.stdout)
    # As Python objects, what is said of 60,000 traces more takes 60 MiB; as it is, 8, and the
    # allocator adds up to 14 MiB of its own, as it likes.
    assert many_mib - few_mib < 40
    assert many_s / few_s < 1.5 * MANY / FEW
    assert many_page < 1.2 * few_page
    for step in ("reading", "threshold", "percentile", "marking"):
        assert f"{step}:" in done.stderr
