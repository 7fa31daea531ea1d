"""Broken files of traces: the right numbers, or one line that says what is wrong; never both.

A file has a line of every format. One line is broken at random. The others must come out with the
entropies that are computed here by plain arithmetic, up to the line that is refused; what comes
out of the broken line itself must be the entropy of the alternatives that the trace then shows.
"""

from __future__ import annotations

import gzip
import json
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ares.cli import main
from ares.errors import UserError
from ares.traces.read import read_traces
from tests.robustness.spoil import cases, spoiled_bytes, spoiled_value
from tests.traces.test_formats import ENTROPY, FORMATS

#: A line of every format, with the same entropies.
LINES = [*FORMATS.values()]


def entropy_of(logprobs) -> float:
    """Entropy in nats, what is not listed taken as one more word."""
    rest = 1.0 - math.fsum(math.exp(value) for value in logprobs)
    tail = -rest * math.log(rest) if rest > 1e-12 else 0.0
    return tail - math.fsum(math.exp(value) * value for value in logprobs)


#: What JSON can say and few readers of it expect.
NESTED = ["[" * levels + "1" + "]" * levels for levels in (50, 900, 5000)]
BYTES = [b"\xed\xa0\x80", b"\xef\xbb\xbf{}", b"1e999", b"NaN", b"9" * 5000, b'"\\ud800"']
MORE = [10**400, -(10**4000), 5e-324, "\x00", "\ud800", "\x1b[2J", "\n\r", "-1.0"]
MORE += [{"token": 1}, {"token": "a", "logprob": "b"}, {"token": "a", "logprob": -0.1}]
MORE += [[-1.0] * 2, ["a"] * 2, [["a", -0.1]], {"a": math.nan}, {"\ud800": -1}, *NESTED]


def as_json(value: object) -> bytes:
    """JSON, with lists that are nested deeper than Python's own writer can follow."""
    text = json.dumps(value)
    for nested in NESTED:
        text = text.replace(json.dumps(nested), nested)
    return text.encode()


BROKEN_LINES = st.one_of(
    st.sampled_from(LINES).flatmap(lambda line: spoiled_value(line, MORE)).map(as_json),
    st.sampled_from(LINES).flatmap(lambda line: spoiled_bytes(json.dumps(line).encode())),
    st.sampled_from(BYTES),
)


def check_trace(trace) -> None:
    """Whatever was read is consistent in itself, and no number of it is none."""
    assert trace.entropy.shape == trace.unlisted.shape == (len(trace.tokens),)
    assert np.isfinite(trace.entropy).all() and (trace.entropy >= 0).all()
    assert ((trace.unlisted >= 0) & (trace.unlisted <= 1)).all()
    for text in (trace.id, trace.problem, trace.finish, trace.answer, *trace.tokens):
        text.encode()  # no lone surrogates
    if trace.top_k is not None:
        own = [entropy_of([value for _, value in listed]) for listed in trace.listed]
        assert trace.entropy.tolist() == pytest.approx(own, abs=2e-3)
    if trace.listed is not None:
        assert len(trace.listed) == len(trace.tokens)


def is_whole(trace) -> bool:
    return trace.entropy.tolist() == pytest.approx(ENTROPY, abs=1e-5)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("traces") / "broken.jsonl"


@cases(quick=40, long=4000)
@given(line=BROKEN_LINES, before=st.integers(0, len(LINES)))
def test_a_broken_line_among_whole_ones(path, line, before):
    whole = [json.dumps(one).encode() for one in LINES]
    path.write_bytes(b"\n".join([*whole[:before], line, *whole[before:]]) + b"\n")
    found, message = [], ""
    try:
        for trace in read_traces(path):
            check_trace(trace)
            found.append(trace)
    except UserError as error:
        message = str(error)
    assert len(found) >= before and (message or len(found) >= len(LINES))
    assert all(map(is_whole, found[:before]))
    assert message or all(map(is_whole, found[len(found) - len(LINES) + before :]))
    if message:
        assert message.startswith(f"{path}, line ") and len(message) < 1000
        # A broken line with a line feed in it is several; none before the first is lost.
        assert int(message.split("line ")[1].split(":")[0]) > before


PACKED = gzip.compress("\n".join(map(json.dumps, LINES)).encode())


@cases(quick=20, long=500)
@given(data=st.data())
def test_broken_compressed_files(path, data):
    packed = path.with_suffix(".jsonl.gz")
    packed.write_bytes(data.draw(spoiled_bytes(PACKED)))
    try:
        for trace in read_traces(packed):
            check_trace(trace)
    except UserError as error:
        assert str(error).startswith(str(packed))


@cases(quick=2, long=100, seconds=30.0)
@given(line=BROKEN_LINES)
def test_the_whole_command(path, line):
    """Tables with the right means or exit status 2 with one line; the page is made as well."""
    whole = path.with_name("whole.jsonl")
    whole.write_bytes(json.dumps(LINES[0]).encode() + b"\n" + line + b"\n")
    folder = path.with_name("out")
    status = main(["analyze", str(whole), "--out", str(folder), "--window", "1"])
    assert status in (0, 2)
    if status == 0:
        rows = (folder / "traces.csv").read_text("utf-8").splitlines()
        assert rows[1].startswith("0,q,")
        assert float(rows[1].split(",")[8]) == pytest.approx(np.mean(ENTROPY), abs=1e-4)


def test_a_message_that_repeats_a_file_does_not_steer_the_terminal(tmp_path, capsys):
    file = tmp_path / "t.jsonl"
    file.write_text(json.dumps({"\x1b[2J\x07\n" + "y" * 5000: 1}))
    assert main(["analyze", str(file), "--out", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert "\x1b" not in told and "\x07" not in told and told.count("\n") == 1 and len(told) < 2100


BOMBS = {
    # 3 MB that unpack to 3 GB without a line feed.
    "zeros.jsonl.gz": "gzip.compress(bytes(300 * 2**20)) * 10",
    # A line of the greatest length that is all empty lists, and one with a text of that length.
    "lists.jsonl": "b'{\"tokens\": [' + b'[],' * (40 * 2**20) + b'1]}'",
    "text.jsonl": "b'{\"tokens\": [\"' + b'x' * (100 * 2**20) + b'\"], \"entropy\": [1.0]}'",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BOMBS)
def test_bombs_stay_within_bounds(tmp_path, name):
    """4 GiB of memory and two minutes are enough for anything that a line may be."""
    code = f"""
import gzip, resource, pathlib
from ares.errors import UserError
from ares.traces.read import read_traces
path = pathlib.Path({str(tmp_path / name)!r})
path.write_bytes({BOMBS[name]})
resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    print(len(list(read_traces(path))), "read")
except UserError as error:
    print("refused", str(error)[:100])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, "MiB")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True
    )
    outcome, peak = done.stdout.strip().splitlines()
    assert ("1 read" in outcome) if name == "text.jsonl" else ("refused" in outcome)
    assert int(peak.split()[0]) < 4096, done.stdout
