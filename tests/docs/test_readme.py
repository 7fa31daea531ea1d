"""README.md: every command runs, every link leads somewhere, the findings are those of the run."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ares.io import read_table
from ares.paths import DATA, ROOT

PAGE = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = [line.split(" #")[0].strip() for block in BLOCKS for line in block.splitlines() if line]
BIN = Path(sys.executable).parent


def run(command: str, place: Path = ROOT) -> str:
    """What a command prints, on both streams together; it has to succeed."""
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        shlex.split(command), cwd=place, env=environment, text=True, timeout=250,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


def planned(command: str) -> None:
    """A workflow that takes long: its plan is made, whatever is there already."""
    told = run(f"{command} --dry-run --forceall")
    assert int(re.search(r"^total +(\d+)$", told, re.MULTILINE)[1]) > 50


def makes(command: str, *parts: str) -> None:
    """A target that takes long: what make would run. CI runs `make test` itself."""
    told = run(f"{command} -n -o install -o lint -o browser")
    for part in parts:
        assert part in told


def opens(command: str) -> None:
    """JupyterLab starts and shows the folder."""
    process = subprocess.Popen(
        [*shlex.split(command), "--no-browser", "--allow-root", "--port=0"], cwd=ROOT,
        env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"},
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        for line in process.stderr:
            if "Serving notebooks from local directory" in line:
                assert str(ROOT / "notebooks") in line
                return
        pytest.fail(f"{command} ended")
    finally:
        process.kill()
        process.communicate()


def analyzes(command: str, place: Path) -> None:
    logprobs = [
        [{"token": w, "logprob": -1.0}, {"token": "x", "logprob": -2.0}] for w in "abcdefgh"
    ]
    steps = [
        {"token": top[0]["token"], "logprob": top[0]["logprob"], "top_logprobs": top}
        for top in logprobs
    ]
    answer = {
        "choices": [
            {"index": 0, "message": {"content": "abcdefgh"}, "logprobs": {"content": steps}}
        ]
    }
    (place / "traces.jsonl").write_text(json.dumps(answer) + "\n", encoding="utf-8")
    run(command, place)
    assert any((place / "analysis").glob("*.html"))


def exports(command: str, place: Path) -> None:
    folder = place / "results/laptop/states/RUN"
    shutil.copytree(DATA / "base", folder / "checkpoint-20")
    run(command, place)
    assert (place / "my-model/config.json").is_file()


#: Every command of the page, and how it is run.
RUNS = {
    "make figures": lambda command, _: makes(
        command, "snakemake --cores all --config scale=laptop"
    ),
    "make test": lambda command, _: makes(
        command, "pytest", "--nbval-lax", "snakemake --cores all --config scale=smoke"
    ),
    "snakemake --cores all": lambda command, _: planned(command),
    "snakemake --cores all --config scale=smoke": lambda command, _: planned(command),
    "snakemake -n --config scale=paper-7b": lambda command, _: planned(command),
    "jupyter lab notebooks": lambda command, _: opens(command),
    "ares analyze traces.jsonl --out analysis": analyzes,
    "ares export results/laptop/states/RUN/checkpoint-20 --out my-model": exports,
    "ares ask 3 8 5 --target 19 --image": lambda command, _: run(command),
    'ares infer --model data/base --question "numbers 3 8 5 target 19" --samples 2 --entropy': (
        lambda command, _: run(command)
    ),
    "ares benchmark --list": lambda command, _: run(command),
    "ares estimate --config paper-7b": lambda command, _: run(command),
}


def test_every_command_is_run_here():
    assert sorted(COMMANDS) == sorted(RUNS)


@pytest.mark.parametrize("command", RUNS)
def test_the_command(command, tmp_path):
    RUNS[command](command, tmp_path)


@pytest.mark.parametrize(
    "page",
    [Path("README.md"), Path("CONTRIBUTING.md"), *sorted(Path("docs").glob("*.md"))],
    ids=str,
)
def test_links_lead_somewhere(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text)
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (ROOT / page.parent / link).exists()] == []


def test_the_verdicts_are_those_of_the_reference_run():
    findings = read_table(DATA / "reference/findings.csv").set_index("id")
    rows = re.findall(r"^\| (F\d+): .*? \| ([a-z ]+) \|", PAGE, re.MULTILINE)
    assert {id for id, _ in rows} == {f"F{number}" for number in range(1, 12)}
    for id, verdict in rows:
        assert findings.loc[id, "verdict"] == verdict


def short(value: float, digits: int = 1, sign: str = "-") -> str:
    """A number as the page writes it: no zero before the point."""
    return f"{value:{sign}.{digits}f}".replace("0.", ".", 1)


#: What the row of a finding says, from the table's columns ours, ci_low and ci_high.
SAYS = {
    "F1": lambda v, *_: (
        f"F1 lower by {short(-v['F1.causal-gain'], 2)} for causal labels; "
        f"{short(v['F1.decision-gain'], 3)} higher for decision labels"
    ),
    "F2": lambda v, *_: (
        f"{100 * v['F2.token-majority']:.0f} % of the top 5 % of tokens, "
        f"{100 * (v['F2.token-majority'] - v['F2.token-share']):.0f} % of all"
    ),
    "F3": lambda v, *_: f"length {v['F3.length']:+.0f} tokens",
    "F5": lambda v, *_: f"{v['F5.range']:.0f} tokens more on hard than on easy",
    "F7": lambda v, low, high: (
        f"slope steeper by {-v['F7.slope']:.1f} tokens "
        f"[{-high['F7.slope']:.1f}, {-low['F7.slope']:.1f}]"
    ),
    "F9": lambda v, *_: (
        f"hard {v['F9.hard-length']:+.0f} tokens; accuracy "
        + ", ".join(
            short(100 * v[f"F9.{level}-accuracy"], 1, "+") for level in ("easy", "medium", "hard")
        )
        + " points"
    ),
    "F10": lambda v, *_: f"{v['F10.slope']:.1f} tokens per HWE token",
    "F11": lambda v, *_: f"by {short(100 * v['F11.ares'])} %",
    "`ares` 5 points": lambda v, low, high: (
        points(v, low, high, "A1.hard-accuracy")
        + f"; {v['A1.easy-length']:.1f} tokens more on easy"
    ),
    "`ares` more accurate than `dapo`": lambda *columns: points(*columns, "A2.accuracy"),
}


def points(ours, low, high, part: str) -> str:
    spread = ", ".join(short(100 * bound[part], 1, "+") for bound in (low, high))
    return f"{short(100 * ours[part], 1, '+')} points [{spread}]"


@pytest.mark.parametrize("row", SAYS)
def test_the_numbers_are_those_of_the_reference_run(row):
    findings = read_table(DATA / "reference/findings.csv").set_index("id")
    (line,) = (line for line in PAGE.splitlines() if line.startswith("| ") and f"{row}" in line
               and (not row.startswith("F") or line.startswith(f"| {row}:")))  # fmt: skip
    assert SAYS[row](findings["ours"], findings["ci_low"], findings["ci_high"]) in line


def test_f8_is_as_close_as_the_page_says():
    ours = read_table(DATA / "reference/findings.csv").set_index("id")["ours"]
    neighbours = ("kl", "entropy", "dapo", "grpo")
    assert "all neighbours within .2 points and 3 tokens of each other" in PAGE
    assert max(abs(ours[f"F8.accuracy-{name}"]) for name in neighbours) <= 0.002
    assert max(abs(ours[f"F8.length-{name}"]) for name in neighbours) <= 3
