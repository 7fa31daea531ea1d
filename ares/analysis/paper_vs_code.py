"""The paper against its released code, difference by difference, as a page.

`python -m ares.analysis.paper_vs_code > docs/paper-vs-code.md` prints it; a test holds the page to
this list and to the numbers of notebook 06, which are read from the data behind its figure.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import torch

from ares.method.difficulty import BUCKETS
from ares.method.presets import PRESETS
from ares.method.reward import released_reward
from ares.paths import FIGURES

#: Where the reference run's notebook 06 left its numbers.
NUMBERS = FIGURES / "reference" / "paper_vs_code.csv"

HEAD = """\
# The paper against its released code

Made by `python -m ares.analysis.paper_vs_code > docs/paper-vs-code.md`; a test holds it there.
Where the paper (arXiv 2510.08457v1) and the code released with it differ, and what our preset
`ares` does. The last column is what a difference amounts to on rollouts of the small base model:
[notebook 06](../notebooks/06_paper_vs_code.ipynb) shows how it is measured. On a large model it
may be more or less.

Every row can be run: presets `paper`, `released` and `ares` ([presets](presets.md)), function by
function ([equation map](equations.md)). Outputs of the released functions were recorded, and ours
are compared with them in `tests/golden`.
"""
HEADER = ("", "| what | paper | release | `ares` | measured |", "|---|---|---|---|---|")


@dataclass(frozen=True)
class Difference:
    """A place where paper and release disagree.

    measured: what it amounts to on rollouts of the base model; `{section/name}` stands for a number
    of notebook 06, with a format after a colon.
    """

    what: str
    paper: str
    release: str
    ours: str
    measured: str = "not measured"


DIFFERENCES = (
    Difference(
        "token entropy",
        "over the whole vocabulary (eq. 3)",
        "from 10 or 11 listed log-probabilities and one tail bucket; the threshold leaves the tail "
        "out, the windows that are compared with it do not",
        "whole vocabulary",
        "leaving the tail out moves the threshold by {1 entropy/shift of the threshold:+.3f} nats",
    ),
    Difference(
        "window",
        "starts at the token (eq. 4)",
        "starts after the token",
        "starts at the token",
        "{2 window/HWE tokens of eq. 4 that are none in the release:.0%} of the HWE tokens of "
        "eq. 4 are none in the release",
    ),
    Difference(
        "incomplete windows",
        "not mentioned",
        "trigger nothing; in the threshold they are padded with a running mean",
        "left out of both",
        "padding moves the threshold by {2 padding/shift:+.3f} nats",
    ),
    Difference(
        "threshold",
        "three definitions: main text (mean of the rollouts' token quantiles), App. H (quantile "
        "over all tokens), Alg. 1 (mean of the rollouts' window quantiles)",
        "median of the rollouts' window quantiles, then an average over steps, used one step late; "
        "-1 at first, so that every window is high",
        "quantile of the batch's windows, averaged over steps, used at once",
        "between {threshold/released:.2f} (release) and {threshold/App. H:.2f} nats (App. H); "
        "triggers per rollout {3 late threshold/triggers per rollout, first step:.2f} in the first "
        "step, {3 late threshold/triggers per rollout, later steps:.2f} later",
    ),
    Difference(
        "HWE token",
        "a high window (Alg. 1), or a high token that is in a lexicon (App. H)",
        "a high window at a position whose most probable token is in the lexicon",
        "a high window that opens with a sampled token of the lexicon",
        "{N_HE/Alg. 1: high window:.2f} (Alg. 1), "
        "{N_HE/App. H: high token, sampled in lexicon:.2f} (App. H), "
        "{N_HE/released: high window, top-1 in lexicon:.2f} (release) per rollout",
    ),
    Difference(
        "difficulty",
        "easy from 6 of 8, medium from 3 of 8 (eq. 10)",
        "from 2/3, from 1/3",
        "eq. 10",
        "none with 8 rollouts; "
        "{5 difficulty/group sizes up to 32 for which a group can move:.0f} of the group sizes up "
        "to 32 can differ, the smallest is {5 difficulty/the smallest of them:.0f}",
    ),
    Difference(
        "entropy reward",
        "a penalty of wrong answers times lambda_d, which is 0 because the target is the mean it "
        "is compared with (main text); in words also a reward of right ones (App. I, Fig. 9)",
        "another form, from which wrong answers can gain as well",
        "the form in words, bounded so that no wrong answer outscores a right one",
        "a wrong answer outscores a right one in {smallest margin/released/inverted:.0%} of "
        "{smallest margin/released/pairs:.0f} pairs under each of the three: the targets here are "
        "too small for the release to invert one "
        "(it can on hard prompts from {smallest target:.0f} HWE tokens on)",
    ),
    Difference(
        "weight of the entropy reward",
        "a multiplier per bucket",
        "starts at .5 and drifts by the rounding error of the target",
        "constant",
    ),
    Difference(
        "order",
        "buckets, reward, filter",
        "the filter needs a reward, which is computed before the buckets exist and is then trained "
        "on: with the shipped settings the difficulty never reaches the update",
        "buckets, reward, filter",
        "the reward of {7 filter order/rollouts whose reward differs:.0%} of the rollouts differs",
    ),
    Difference(
        "filter",
        "groups with a mean reward outside (.01, .99) are dropped and replaced",
        "on the whole reward, which leaves nearly every group some variance",
        "on the accuracy",
        "keeps {7 filter order/rollouts kept, filter on the reward:.0%} of the rollouts, on the "
        "accuracy {7 filter order/rollouts kept, filter on accuracy:.0%}",
    ),
    Difference(
        "advantage",
        "centred, divided by the length, plus a bonus psi_t (Alg. 1)",
        "divided by the standard deviation; no length, no bonus",
        "divided by the standard deviation (GRPO)",
        "the longest quarter of the rollouts carries "
        "{8 advantage/share of |advantage| in Alg. 1:.0%} of all advantage in Alg. 1 and "
        "{8 advantage/share of |advantage| in the release:.0%} in the release",
    ),
    Difference(
        "KL weight",
        "smaller inside windows (eq. 1)",
        "one weight for all tokens of a bucket",
        "eq. 1",
        "{9 KL and branching/tokens with the smaller weight:.1%} of the tokens get the smaller one",
    ),
    Difference(
        "KL controller",
        "one per bucket, sees non-window tokens only (eq. 27)",
        "sees all tokens; steps in log space every 100th micro-batch; differs between processes "
        "and is lost on resumption",
        "eq. 27, the same on all processes, kept in checkpoints",
    ),
    Difference(
        "branching",
        "a rollout branches where its window is high",
        "none",
        "off; the arm `ares-branch` has it",
        "{9 KL and branching/positions per rollout at which a branch would start:.1f} places per "
        "rollout",
    ),
    Difference(
        "cold start",
        "AdaCS: length by pass rate (section 3)",
        "not in the release",
        "rules `curate` and `sft`",
    ),
    Difference(
        "computed and unused",
        "not mentioned",
        "a dual ascent and a relaxation of the KL that never reach the loss",
        "the dual ascent is rebuilt for the golden tests only; nothing uses it",
    ),
)


def smallest_inverting_target(bucket: int, largest: int = 2000) -> int | None:
    """Smallest target (HWE tokens) from which the release CAN put a wrong answer above a right one.

    Over all counts from 0 to three times the target, at the first weight alpha; None if there is no
    such target up to `largest`.
    """
    weight = PRESETS["released"].entropy_weight
    for target in range(largest + 1):
        count_B = torch.arange(3 * target + 20)
        target_B, bucket_B = (torch.full_like(count_B, value) for value in (target, bucket))
        alpha_B = torch.full(count_B.shape, weight)
        wrong_B, right_B = (
            outcome
            + released_reward(
                torch.full_like(count_B, outcome), count_B, target_B, bucket_B, alpha_B
            )
            for outcome in (0, 1)
        )
        if wrong_B.max() > right_B.min():
            return target
    return None


def render(numbers: pd.DataFrame) -> str:
    """The page, from the table behind the figure of notebook 06."""
    known = _by_name(numbers)
    lines = [*HEAD.splitlines(), *HEADER]
    for row in DIFFERENCES:
        cells = (row.what, row.paper, row.release, row.ours, _filled(row.measured, known))
        lines.append("| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _by_name(numbers: pd.DataFrame) -> dict[str, float]:
    """`section/name`, or `panel/name` and `panel/name/column` for other panels."""
    known = {"smallest target": float(smallest_inverting_target(BUCKETS.index("hard")) or "nan")}
    for _, row in numbers.iterrows():
        place = row["section"] if row["panel"] == "numbers" else row["panel"]
        known[f"{place}/{row['name']}"] = float(row["value"])
        for column in ("inverted", "pairs"):
            if pd.notna(row[column]):
                known[f"{place}/{row['name']}/{column}"] = float(row[column])
    return known


def _filled(text: str, known: dict[str, float]) -> str:
    """Put numbers in place of `{name:format}`; a name may hold colons."""
    done = []
    for part in text.split("{"):
        name, closed, rest = part.partition("}")
        if not closed:
            done.append(part)
            continue
        key, _, spec = name.rpartition(":")
        done.append(format(known[key], spec) + rest)
    return "".join(done)


if __name__ == "__main__":
    print(render(pd.read_csv(NUMBERS)), end="")
