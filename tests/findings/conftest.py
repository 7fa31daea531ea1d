"""A run to make a page of, and small tables in which the truth is planted."""

import shutil
from collections.abc import Mapping
from functools import cache
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import nbformat
import numpy as np
import pandas as pd
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from ares import paths
from ares.cli import main
from ares.config import Scale, load_config
from ares.findings import Run, load_rules
from ares.io import read_json, write_json, write_text
from tests.configs import changed

#: Text that would run, or break the page, if it got in as it is.
HOSTILE = '"><script>window.hit=1</script><img src=x onerror="window.hit=2"></style>'
WIDGET = "application/vnd.jupyter.widget-view+json"
BOOK = yaml.safe_load((paths.CONFIG / "findings.yaml").read_text(encoding="utf-8"))["findings"]


def notebooks() -> dict:
    return yaml.safe_load((paths.ROOT / "workflow/notebooks.yaml").read_text(encoding="utf-8"))


def made_up_run(folder: Path) -> None:
    """Write results and figures of a finished run; its manifest and notebooks hold `HOSTILE`."""
    results, figures = folder / "results/smoke", folder / "figures/smoke"
    results.mkdir(parents=True)
    shutil.copy(paths.REFERENCE / "findings.csv", results)
    manifest = read_json(paths.REFERENCE / "manifest.json")
    manifest["config"]["scale"] = "smoke"
    manifest["packages"][HOSTILE] = "1.0"
    manifest["job_seconds"]["train-" + HOSTILE] = 90.0
    write_json(results / "manifest.json", manifest)
    figures.mkdir(parents=True)
    for name, spec in notebooks().items():
        for figure in spec["figures"]:
            Image.new("RGB", (700, 300), "white").save(figures / f"{figure}.png")
            write_text(figures / f"{figure}.csv", "x\n1\n")
        write_notebook(results / "notebooks" / f"{name}.ipynb")


def write_notebook(path: Path) -> None:
    """Write an executed notebook with a formula, a wide table of text and a hostile output."""
    said = new_output("stream", text=HOSTILE + "\n" + "wide " * 80)
    widget = new_output("display_data", {WIDGET: {"model_id": "a"}, "text/plain": "a slider"})
    cells = [
        new_markdown_cell("# Windows & entropy\n\nThe window entropy $W_t$ is"),
        new_markdown_cell("$$W_t=\\frac{1}{w}\\sum_{k=0}^{w-1} H_{t+k}$$"),
        new_code_cell("print(1 < 2)", outputs=[said, widget], execution_count=1),
    ]
    write_text(path, nbformat.writes(new_notebook(cells=cells)))


@pytest.fixture(scope="session")
def place(tmp_path_factory) -> Path:
    """Folder of the run and of its page, made by the command."""
    folder = tmp_path_factory.mktemp("report")
    made_up_run(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths, "RESULTS", folder / "results")
        patch.setattr(paths, "FIGURES", folder / "figures")
        assert main(["report", "smoke"]) == 0
    return folder


@pytest.fixture(scope="session")
def page(place) -> Path:
    return place / "results/smoke/report/index.html"


LEVELS = ("easy", "medium", "hard")
PROBLEMS = 12  # of every level
PASS_RATE = {"easy": 6 / 8, "medium": 4 / 8, "hard": 2 / 8}


@pytest.fixture(scope="session")
def rules():
    return load_rules()


@pytest.fixture(scope="session")
def settings() -> Scale:
    return changed(load_config("smoke"), {"bootstrap": {"resamples": 200, "level": 0.5}})


@pytest.fixture
def run_of(settings, rules):
    """A run over tables that are given."""
    return lambda **tables: Run(tables.__getitem__, settings, rules)


def flat(value: float) -> dict[str, float]:
    return dict.fromkeys(LEVELS, value)


def model(
    arm: str,
    seed: int,
    accuracy: float | Mapping[str, float] = 0.5,
    length: float | Mapping[str, float] = 50,
    noise: float = 0.0,
) -> pd.DataFrame:
    """The evaluation of a model with 100 samples; accuracy and length of all levels, or of each."""
    rng = np.random.default_rng([seed, *arm.encode()])
    accuracy, length = (v if isinstance(v, Mapping) else flat(v) for v in (accuracy, length))
    rows = []
    for level, number, presentation in product(LEVELS, range(PROBLEMS), ("text", "image")):
        wobble = rng.normal(0, noise) if noise else 0.0
        right, tokens = round(100 * (accuracy[level] + wobble)), length[level] + 100 * wobble
        about = arm, seed, f"{level}-{number}", level, presentation
        rows.append((*about, 100, length[level] / 10, right, tokens))
    columns = ["arm", "seed", "problem_id", "level", "presentation", "samples", "hwe"]
    return pd.DataFrame(rows, columns=[*columns, "correct", "n_tokens"])


def curve(arm: str, seed: int, **metrics: np.ndarray) -> pd.DataFrame:
    """The training records of a run: one value per metric and batch."""
    table = pd.DataFrame(metrics).rename_axis("step").reset_index().melt("step", var_name="metric")
    return table.assign(arm=arm, seed=seed, bucket="all", step=table["step"] + 1)


@cache
def base_tables(sign: int) -> dict[str, pd.DataFrame]:
    """Rollouts and tokens of a base; with sign 1 they are as the paper says, with -1 the reverse.

    Tokens have no entropy, but for episodes of twelve that open a rollout and lone spikes, higher
    still, that end it. As the paper says: the episodes are marked, and single tokens take the
    spikes for them. The reverse: the spikes are marked.
    """
    rollouts, tokens = [], []
    for (grade, level), number, sample in product(enumerate(LEVELS), range(PROBLEMS), range(8)):
        right = sample < 8 * PASS_RATE[level]
        long = level != "easy" if right == (sign == 1) else level == "easy"
        same = {"rollout_id": len(rollouts), "problem_id": f"{level}-{number}", "level": level}
        same |= {"presentation": "text"}
        n_tokens = 200 + 30 * grade * sign + 20 * long + number
        rollouts.append(same | {"sample": sample, "correct": right, "n_tokens": n_tokens})
        entropy, episode = np.zeros(n_tokens), np.zeros(n_tokens, bool)
        begins = [0, 24] if long else [0]
        for begin in begins:
            episode[begin : begin + 12] = True
        entropy[episode], entropy[n_tokens - 120 :: 4] = 3, 6
        marked = episode if sign == 1 else entropy == 6
        marked[begins] = True  # an HWE token is in the lexicon
        columns = {"position": np.arange(n_tokens), "entropy": entropy, "lexicon": marked}
        columns["decision"] = np.where(marked, "pair", "")
        tokens.append(pd.DataFrame(columns).assign(**same))
    base = {"rollouts": pd.DataFrame(rollouts), "tokens": pd.concat(tokens, ignore_index=True)}
    causal = base["tokens"][["rollout_id", "position"]].assign(causal=base["tokens"]["lexicon"])
    return {**base, "causal": causal}


@pytest.fixture(scope="session")
def planted() -> SimpleNamespace:
    """What builds the tables."""
    return SimpleNamespace(
        base=lambda sign: dict(base_tables(sign)), model=model, curve=curve, flat=flat
    )
