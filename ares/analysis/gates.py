"""Whether exploration pays for a base model: what has to hold before any reinforcement learning.

    python -m ares.analysis.gates data/base-restart --out data/base-restart/gates.csv

The hazard is the chance that a comparison succeeds where all earlier ones failed. Where it stays
up, longer search pays; where it falls to nothing, no reward for exploration can help.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import typer

from ares.data.responses import steps_right
from ares.data.world import PRESENTATIONS, draw_table, world_problems
from ares.data.world_settings import World
from ares.io import read_json, write_table
from ares.model.load import WORLD_FILE, load_policy
from ares.paths import resolve
from ares.sampling.imposed import impose
from ares.sampling.rollouts import Sampling, roll_out
from ares.settings import checked

#: Comparisons that are imposed to see what more of them gain.
FEW, MANY = 5, 15
#: The hazard of single comparisons is noisy: it is taken over as many as this together.
TOGETHER = 5
#: Pass rates that leave room both ways, by level (fractions, least and most).
PASS_RATES = {"easy": (0.75, 0.90), "medium": (0.35, 0.55), "hard": (0.04, 0.20)}


def hazards(first: pd.Series) -> list[float]:
    """Chance that a comparison is the first to succeed, where none before did.

    Over comparisons 1 to 5, 6 to 10, 11 to 15.

    Args:
        first: as in `impose`, of responses that all made `MANY` comparisons.
    """
    found = []
    for start in range(1, MANY + 1, TOGETHER):
        tried = sum(((first == 0) | (first >= at)).sum() for at in range(start, start + TOGETHER))
        solved = first.between(start, start + TOGETHER - 1).sum()
        found.append(float(solved / max(tried, 1)))
    return found


def cells(rollouts: pd.DataFrame) -> pd.DataFrame:
    """Per level and presentation: pass_rate, tokens, steps_right, not_available (shares)."""
    right, stated = np.array([steps_right(text) for text in rollouts["text"]]).T
    rows = rollouts.assign(right=right, stated=stated)
    rows["not_available"] = rows["verdict"].str.contains("number not available")
    table = rows.rename(columns={"correct": "pass_rate", "n_tokens": "tokens"})
    groups = table.groupby(["level", "presentation"], sort=False)
    sums = groups[["right", "stated"]].sum()
    means = groups[["pass_rate", "tokens", "not_available"]].mean()
    return means.assign(steps_right=sums["right"] / sums["stated"]).reset_index()


def by_budget(imposed: pd.DataFrame) -> pd.DataFrame:
    """Accuracy by level and `after_success` (rows) and comparisons (columns)."""
    groups = imposed.groupby(["level", "after_success", "comparisons"], sort=False)
    return groups["correct"].mean().unstack()


def gates(free: pd.DataFrame, imposed: pd.DataFrame) -> pd.DataFrame:
    """What has to hold: gate, measured, least, most, met.

    Args:
        free: from `cells`, both presentations.
        imposed: from `impose`, at `FEW` and at `MANY` comparisons, with and without going on
            after success.
    """
    rate = free.pivot(index="level", columns="presentation", values="pass_rate")
    correct = by_budget(imposed)
    gain = (correct[MANY] - correct[FEW]).unstack("after_success")
    persists, overthinks = gain[False], gain[True]
    many = imposed[(imposed["comparisons"] == MANY) & imposed["after_success"]]
    hard = hazards(many.loc[many["level"] == "hard", "first"])
    rows = [
        ("least hazard of a comparison on hard", min(hard), 0.04, 1.0),
        (f"gain from {FEW} to {MANY} comparisons on hard", persists["hard"], 0.10, 1.0),
        (f"gain from {FEW} to {MANY} comparisons on easy", persists["easy"], -1.0, 0.01),
        ("gain from going on after success on easy", overthinks["easy"], -1.0, 0.01),
        ("steps right", free["steps_right"].min(), 0.98, 1.0),
        ("number not available", free["not_available"].max(), 0.0, 0.10),
        ("cost of a picture", (rate["text"] - rate["image"]).max(), -1.0, 0.10),
        *((f"pass rate, {k}", rate.loc[k, "text"], *PASS_RATES[k]) for k in PASS_RATES),
    ]
    table = pd.DataFrame(rows, columns=["gate", "measured", "least", "most"])
    return table.assign(met=table["measured"].between(table["least"], table["most"]))


def measure(
    model, processor, world: World, sampling: Sampling, problems: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """`cells` and `impose` on validation problems, `problems` a level; imposed budgets on text."""
    seed = sampling.seed
    table = draw_table(world, "validation", list(world.levels), PRESENTATIONS, problems, seed)
    drawn = world_problems(table, world, seed)
    free = roll_out(model, processor, drawn, sampling)
    in_words = drawn.some(np.flatnonzero(table["presentation"] == "text"))
    imposed = [
        impose(model, processor, in_words, world, sampling, n, after_success=goes_on)
        for n in (FEW, MANY)
        for goes_on in (False, True)
    ]
    return cells(free), pd.concat(imposed, ignore_index=True)


def main(
    model: str, problems: int = 64, samples: int = 4, seed: int = 1, out: Path | None = None
) -> None:
    """Print the gates of a base model with what they rest on, and write them where asked."""
    policy, processor = load_policy(model)
    file = resolve(Path(model)) / WORLD_FILE
    world = checked(World, read_json(file), str(file))
    sampling = Sampling(samples, 1.0, 1.0, max_new_tokens=960, batch_prompts=16, seed=seed)
    free, imposed = measure(policy, processor, world, sampling, problems)
    many = imposed[(imposed["comparisons"] == MANY) & imposed["after_success"]]
    first = many.groupby("level", sort=False)["first"]
    hazard = pd.DataFrame({level: hazards(rows) for level, rows in first})
    table = gates(free, imposed)
    for shown in (free, by_budget(imposed), hazard, table):
        print(shown.round(3).to_string(), end="\n\n")
    if out:
        write_table(out, table)


if __name__ == "__main__":
    typer.run(main)
