"""The client costs little more than a plain loop, and memory does not grow with the requests."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from ares.paths import ROOT


def measured(number: int) -> dict[str, dict[str, float]]:
    """What `benchmarks/bench_client.py` says, with the client on one core."""
    command = [sys.executable, "benchmarks/bench_client.py", "--json", "--requests", str(number)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_it_costs_a_few_times_a_plain_loop_and_memory_stays_flat():
    found = measured(2000)
    # CPU time, not wall time, which tells little on a machine that is busy with something else.
    assert found["client, top 0"]["cpu"] < 4
    assert found["client and store, top 0"]["cpu"] < 6
    kept, asked = found["store, nothing asked, top 20"], found["client and store, top 20"]
    assert kept["cpu"] < asked["cpu"], "what is kept costs less than asking"
    assert all(row["memory"] < 1.1 for name, row in found.items() if name.endswith("top 0"))


@pytest.mark.slow
def test_memory_stays_flat_over_twenty_thousand_requests():
    for name, row in measured(20_000).items():
        # Replies with log-probabilities are large, and freed memory comes back in its own time.
        assert row["memory"] < (1.1 if name.endswith("top 0") else 1.4), name
