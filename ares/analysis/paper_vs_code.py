"""The paper against its released code, difference by difference, as a page.

`python -m ares.analysis.paper_vs_code > docs/paper-vs-code.md` prints it: the text of
paper_vs_code.md with the numbers of notebook 06, read from the data behind its figure.
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import torch

from ares.method.difficulty import BUCKETS
from ares.method.presets import PRESETS
from ares.method.reward import released_reward
from ares.paths import FIGURES

#: The page; `{section/name:format}` stands for a number of the notebook.
TEMPLATE = Path(__file__).with_name("paper_vs_code.md")
#: Where the reference run's notebook 06 left its numbers.
NUMBERS = FIGURES / "reference" / "paper_vs_code.csv"


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
    page = TEMPLATE.read_text(encoding="utf-8")
    return re.sub(r"\{([^{}]+):([^:{}]+)\}", lambda hit: format(known[hit[1]], hit[2]), page)


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


if __name__ == "__main__":
    print(render(pd.read_csv(NUMBERS)), end="")
