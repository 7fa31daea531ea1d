"""Small tables that several tests of the analysis share."""

import pandas as pd
import pytest

from ares.stats import Resampler


def tokens_of(*rollouts: list[float], **columns: list) -> pd.DataFrame:
    """A token table from the entropies of some rollouts, each of a problem of its own."""
    rows = [
        {"rollout_id": number, "position": position, "problem_id": f"q{number}", "entropy": value}
        for number, values in enumerate(rollouts)
        for position, value in enumerate(values)
    ]
    return pd.DataFrame(rows).assign(**columns)


@pytest.fixture
def make_tokens():
    return tokens_of


@pytest.fixture
def plain():
    """A resampler without resamples over the problems of a table: estimates only."""

    def build(table: pd.DataFrame) -> Resampler:
        level = pd.Series("easy", table.index)
        return Resampler(table["problem_id"], level, resamples=0, coverage=0.95, seed=0)

    return build


def evaluation_of(
    arm: str, seed: int, right: dict[str, int], length: float = 50.0, problems: int = 10
) -> pd.DataFrame:
    """A model that answers the first so many of the problems of every level.

    Images have one right answer less and ten tokens more.
    """
    rows = [
        (arm, seed, f"{level}-{i}", level, shown, 1, int(i < number - (shown == "image")))
        for level, number in right.items()
        for shown in ("text", "image")
        for i in range(problems)
    ]
    columns = ["arm", "seed", "problem_id", "level", "presentation", "samples", "correct"]
    table = pd.DataFrame(rows, columns=columns)
    length_of = length + 10 * (table["presentation"] == "image")
    rest = {"k": 3, "finished": 1, "entropy": 0.5, "hwe": 1.0, "hwe_threshold": 1.0}
    return table.assign(n_tokens=length_of, **rest)
