"""README.md: every command runs, every link leads somewhere, the findings are those of the run."""

import importlib.util
import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ares import cli
from ares.config import scales
from ares.findings.page import word
from ares.io import read_table
from ares.paths import DATA, ROOT
from tests.numbers import strays

PAGE = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = {line.split(" #")[0].strip() for block in BLOCKS for line in block.splitlines() if line}


def make(words: list[str], _: Path) -> None:
    """Targets take long: what make would run is enough. CI runs `make test` itself."""
    done = subprocess.run(
        [*words, "-n", "-o", "install", "-o", "lint", "-o", "browser"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert "snakemake --cores all --config scale=" in done.stdout


def snakemake(words: list[str], _: Path) -> None:
    """The plans of all scales are made in tests/workflow and tests/pipeline."""
    given = [word for word in words[1:] if word not in ("--cores", "all", "-n", "--config")]
    assert all(word.removeprefix("scale=") in scales() for word in given)


def jupyter(words: list[str], _: Path) -> None:
    """JupyterLab is installed, and the folder that it is to show is there."""
    assert importlib.util.find_spec("jupyterlab") and words[:2] == ["jupyter", "lab"]
    assert list((ROOT / words[2]).glob("*.ipynb"))


def ares(words: list[str], place: Path) -> None:
    """In a folder that has what the command names."""
    top = [{"token": "a", "logprob": -1.0}, {"token": "x", "logprob": -2.0}]
    records = {"content": [{**top[0], "top_logprobs": top}] * 8}
    answer = {"choices": [{"index": 0, "message": {"content": "a" * 8}, "logprobs": records}]}
    (place / "traces.jsonl").write_text(json.dumps(answer) + "\n", encoding="utf-8")
    response = {"response": "The answer is 12.", "gold": "12", "type": "number"}
    (place / "responses.jsonl").write_text(json.dumps(response) + "\n", encoding="utf-8")
    for folder in ("data/base", "results/laptop/states/RUN/checkpoint-20"):
        shutil.copytree(DATA / "base", place / folder)
    assert cli.main(words[1:]) == 0
    made = {"analyze": "analysis/index.html", "export": "my-model/config.json"}
    assert (place / made.get(words[1], ".")).exists()


RUNS: dict[str, Callable[[list[str], Path], None]] = {
    function.__name__: function for function in (make, snakemake, jupyter, ares)
}


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_runs(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = shlex.split(command)
    RUNS[words[0]](words, tmp_path)


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


def test_every_place_that_the_layout_names_exists():
    layout = re.search(r"## What is where\n+```\n(.*?)```", PAGE, re.DOTALL)[1]
    named = re.findall(r"^((?:[\w.-]+/)+|[\w-]+\.\w+)", layout, re.MULTILINE)
    named += re.findall(r"^\| [\w ]+ \| `([\w./-]+)`", PAGE, re.MULTILINE)
    assert len(named) > 20
    assert [name for name in named if not (ROOT / name).exists()] == []


ROWS = dict(re.findall(r"^\| ([FA]\d+): (.*) \|$", PAGE, re.MULTILINE))


@pytest.mark.parametrize("finding", ROWS)
def test_verdicts_and_numbers_are_those_of_the_reference_run(finding):
    """Every number of a row is a value or a bound of one of the finding's parts, rounded."""
    table = read_table(DATA / "reference/findings.csv")
    _, verdict, numbers, _ = (cell.strip() for cell in ROWS[finding].split("|"))
    judged = table.set_index("id").loc[finding, "verdict"]
    assert verdict == word(judged, "project" if finding.startswith("A") else "paper")
    parts = table[table["id"].str.startswith(f"{finding}.")]
    values = parts[["ours", "ci_low", "ci_high"]].to_numpy().ravel()
    assert strays(numbers, values) == []


def test_every_judged_finding_has_a_row():
    ids = set(read_table(DATA / "reference/findings.csv")["id"])
    assert set(ROWS) == {name for name in ids if "." not in name}


def test_numbers_of_the_world_are_those_of_the_gates():
    gates = read_table(DATA / "base-restart/gates.csv")
    easy, hard = (
        f"gain from {change} on {level}"
        for change, level in (("going on after success", "easy"), ("5 to 15 comparisons", "hard"))
    )
    measured = 100 * gates.set_index("gate")["measured"]
    assert f"solve {measured[hard]:.0f} points more" in PAGE.replace("\n", " ")
    assert f"costs {-measured[easy]:.0f} points" in PAGE
    missed = gates[~gates["met"]]
    assert missed["gate"].tolist() == ["pass rate, easy"]
    assert f"are solved in {100 * missed['measured'].item():.0f} %" in PAGE
