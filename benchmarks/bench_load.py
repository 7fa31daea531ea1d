"""`ares analyze` under load: `make test-load`, or `python benchmarks/bench_load.py` (Linux).

For every size it writes a file of traces, analyses it in a process of its own, and tells the wall
time, the CPU time and the most memory of that process, the size of its page, and how often it told
its progress. Its CPU time is compared with that of a plain read of the same file, `json.loads` line
by line: this ratio is for comparing machines. From one size to the next it tells the exponent of
the CPU time: 1 is linear.

The responses are made up: eight to a question, words of a skewed vocabulary with reasoning triggers
among them, and entropies as a model has them, most near 0. A few hundred bodies are made and used
in turn, so that a million traces are written as fast as the disk takes them.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ares.method.lexicon import load_lexicon

#: A prime, so that the bodies do not fall in step with samples and levels.
BODIES = 251
WORDS, SAMPLES = 20_000, 8
LEVELS = ("easy", "medium", "hard")


def write_traces(path: Path, traces: int, tokens: int, top: int, seed: int = 1) -> None:
    """Write `traces` responses of `tokens` tokens, as lists of tokens and numbers.

    Args:
        top: alternatives per token; 0 for the entropy itself.
    """
    bodies = _bodies(tokens, top, np.random.default_rng(seed))
    with path.open("w", encoding="utf-8") as file:
        for number in range(traces):
            question, sample = divmod(number, SAMPLES)
            level = question * 7 % 3
            right = number * 2_654_435_761 % 2**32 < 2**32 * (0.9, 0.5, 0.15)[level]
            head = {
                "id": f"q{question}",
                "sample": sample,
                "benchmark": "load",
                "difficulty": LEVELS[level],
                "correct": right,
                "prompt": f"Question {question}: what is {question} and {question}?",
                "finish": "stop",
            }
            file.write(json.dumps(head)[:-1] + ", " + bodies[number % BODIES] + "}\n")


def _bodies(tokens: int, top: int, rng: np.random.Generator) -> list[str]:
    """The part of a line that is long, `BODIES` times."""
    letters = np.array(list("etaoinshrdlucmfwyp"))
    triggers = [f" {word}" for word in load_lexicon().category_of]
    words = triggers + [
        " " + "".join(rng.choice(letters, rng.integers(2, 9))) for _ in range(WORDS - len(triggers))
    ]
    share = 1 / np.arange(1, WORDS + 1)
    share /= share.sum()
    found = []
    for _ in range(BODIES):
        drawn = [words[i] for i in rng.choice(WORDS, tokens, p=share)]
        body: dict[str, list] = {"tokens": drawn}
        if top:
            logprobs = np.log(rng.dirichlet(np.full(top, 0.2), tokens) * 0.99 + 1e-9)
            names = rng.choice(WORDS, (tokens, top - 1), p=share)
            body["top_logprobs"] = [
                {word: round(float(value), 4) for word, value in zip(listed, values, strict=False)}
                for listed, values in zip(
                    (
                        [word, *(words[i] for i in row)]
                        for word, row in zip(drawn, names, strict=True)
                    ),
                    logprobs,
                    strict=True,
                )
            ]
        else:
            body["entropy"] = np.round(rng.gamma(0.3, 1.2, tokens), 4).tolist()
        found.append(json.dumps(body)[1:-1])
    return found


@dataclass(frozen=True)
class Load:
    """One analysis. wall_s, cpu_s: seconds. peak_mib: most memory. bars: progress lines shown.

    read_s: CPU seconds of a plain read of the file.
    """

    traces: int
    file_mib: float
    wall_s: float
    cpu_s: float
    peak_mib: float
    page_mib: float
    bars: int
    read_s: float

    @property
    def to_read(self) -> float:
        """CPU time as a multiple of a plain read of the file."""
        return self.cpu_s / self.read_s


def plain_read(path: Path) -> float:
    """CPU seconds of `json.loads` on every line."""
    began = time.process_time()
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            json.loads(line)
    return time.process_time() - began


def analyze(path: Path, out: Path, traces: int, *options: str) -> Load:
    """Run `ares analyze` on a file in a process of its own and measure it.

    Raises:
        RuntimeError: the analysis failed; what it said.
    """
    log = out.with_name(out.name + ".txt")
    command = [sys.executable, "-m", "ares", "analyze", str(path), "--out", str(out), *options]
    began = time.monotonic()
    with log.open("w", encoding="utf-8") as stream:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=stream)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.monotonic() - began
    said = log.read_bytes().decode()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)}: {said[-2000:]}")
    page = out / "index.html"
    return Load(
        traces,
        path.stat().st_size / 2**20,
        wall,
        used.ru_utime + used.ru_stime,
        used.ru_maxrss / 1024,
        page.stat().st_size / 2**20 if page.exists() else 0.0,
        said.count("\r"),
        plain_read(path),
    )


def exponent(less: Load, more: Load) -> float:
    """How the CPU time grows with the number of traces: 1 is linear."""
    return math.log(more.cpu_s / less.cpu_s) / math.log(more.traces / less.traces)


def main() -> None:
    """Measure every size, print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--traces", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--tokens", type=int, default=500, help="of a trace")
    parser.add_argument("--top", type=int, default=0, help="alternatives per token; 0: entropies")
    parser.add_argument("--folder", type=Path, help="for the files; 20 GB for a million traces")
    parser.add_argument("--keep", action="store_true", help="keep the files, use those there are")
    parser.add_argument("options", nargs="*", help="of ares analyze, after --")
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="ares-load-"))
    folder.mkdir(parents=True, exist_ok=True)
    before = None
    for traces in given.traces:
        path, out = folder / f"{traces}-{given.top}.jsonl", folder / f"out-{traces}"
        if not path.exists():
            write_traces(path, traces, given.tokens, given.top)
        load = analyze(path, out, traces, *given.options)
        growth = "" if before is None else f", exponent {exponent(before, load):.3f}"
        print(
            f"{traces:,} traces of {given.tokens} tokens ({load.file_mib:,.0f} MiB): "
            f"{load.wall_s:,.0f} s, {load.cpu_s:,.0f} s of CPU{growth}, "
            f"{load.to_read:.1f} times a plain read, "
            f"{load.peak_mib:,.0f} MiB at most, page of {load.page_mib:.1f} MiB, "
            f"{load.bars:,} signs of progress",
            flush=True,
        )
        before = load
        if not given.keep:
            path.unlink()
            shutil.rmtree(out)
    if not given.keep and given.folder is None:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
