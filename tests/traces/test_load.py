"""Sixteen times the traces: hardly more memory, no more than linear time (in large: test-load)."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from ares.paths import ROOT
from benchmarks.bench_load import write_traces

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
