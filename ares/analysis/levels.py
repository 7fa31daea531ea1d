"""Table 4 and Figs. 7 and 8 in small: accuracy and length by level, before and after RL.

The paper sorts benchmarks into levels, two to each; here a level is the number of cards. The mean
of a level's two benchmarks stands beside the mean of its two presentations.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from ares.analysis.ablation import NAN, Evaluated, Found
from ares.method.difficulty import BUCKETS

#: Our models by the paper's names in Table 4.
MODELS = {"ARES-CS-Vanilla": "cs-vanilla", "ARES-CS-7B": "adacs", "ARES-RL-7B": "ares"}
#: What the figures call them.
LABELS = {"base": "base", "cs-vanilla": "CS-Vanilla", "adacs": "CS (AdaCS)", "ares": "RL (ares)"}


def by_cell(tested: Evaluated, arms: Sequence[str]) -> pd.DataFrame:
    """Accuracy (fraction) and length (tokens) of models by level and presentation.

    Returns:
        arm, level, presentation ('both' for the mean of the two), quantity, value, low, high,
        over, runs.
    """
    both = [(level, "both") for level in tested.levels]
    shown = sorted([*tested.cells, *both], key=lambda cell: tested.levels.index(cell[0]))
    rows = []
    for arm in arms:
        for quantity in ("accuracy", "length"):
            for level, presentation in shown:
                only = None if presentation == "both" else presentation
                found = tested.value(arm, quantity, level, only)
                rows.append((arm, level, presentation, quantity, found))
    return _table(rows, ["arm", "level", "presentation", "quantity"])


def changes(tested: Evaluated, of: str = "ares", against: str = "adacs") -> pd.DataFrame:
    """F9: what RL changes, by level: accuracy as a difference, length in proportion (fractions).

    Returns:
        level, quantity, value, low, high, over, runs; empty where a model is missing.
    """
    if not {of, against} <= set(tested.arms):
        return _table([], ["level", "quantity"])
    rows = [
        (
            level,
            quantity,
            tested.difference(of, against, quantity, level, relative=quantity == "length"),
        )
        for quantity in ("accuracy", "length")
        for level in tested.levels
    ]
    return _table(rows, ["level", "quantity"])


def paper_by_level(table4: pd.DataFrame) -> pd.DataFrame:
    """The paper's Table 4, accuracy as a fraction: a row per benchmark, and their mean ('both').

    Returns:
        arm (ours), level, benchmark, quantity, value, low, high (NaN: it gives no intervals).
    """
    named = table4.assign(
        arm=table4["model"].map(MODELS),
        accuracy=table4["accuracy"] / 100,
        length=table4["response_length"],
    )
    each = named.melt(["arm", "level", "benchmark"], ["accuracy", "length"], "quantity", "value")
    means = each.groupby(["arm", "level", "quantity"], sort=False, as_index=False)["value"].mean()
    both = pd.concat([each, means.assign(benchmark="both")], ignore_index=True)
    return both.assign(low=NAN, high=NAN)


def paper_changes(by_level: pd.DataFrame, of: str = "ares", against: str = "adacs") -> pd.DataFrame:
    """What RL changes in the paper, as `changes`: level, benchmark, quantity, value.

    Args:
        by_level: from `paper_by_level`. The change in length of a level is the change of the mean,
            as ours; the longer benchmark of the two weighs more in it.
    """
    wide = by_level.pivot(
        index=["level", "benchmark", "quantity"], columns="arm", values="value"
    ).reset_index()
    change = wide[of] - wide[against]
    length = wide["quantity"] == "length"
    wide["value"] = change.where(~length, change / wide[against])
    order = wide["level"].map({level: place for place, level in enumerate(BUCKETS)})
    return wide.assign(order=order).sort_values(["quantity", "order", "benchmark"])[
        ["level", "benchmark", "quantity", "value"]
    ]


def printed(cells: pd.DataFrame) -> pd.DataFrame:
    """`by_cell` for reading: a row per model and cell, accuracy and length with intervals."""
    rows = []
    for (arm, level, presentation), own in cells.groupby(
        ["arm", "level", "presentation"], sort=False
    ):
        row = {"model": arm, "level": level, "presentation": presentation}
        row["runs"] = int(own["runs"].max())
        for quantity, digits in (("accuracy", 3), ("length", 1)):
            one = own[own["quantity"] == quantity].iloc[0]
            row[quantity] = f"{one['value']:.{digits}f}"
            row[f"{quantity} from"], row[f"{quantity} to"] = (
                f"{one[end]:.{digits}f}" for end in ("low", "high")
            )
        rows.append(row)
    return pd.DataFrame(rows)


def _table(rows: list[tuple], names: list[str]) -> pd.DataFrame:
    """Rows of names followed by a `Found`, as a table."""
    columns = [*names, "value", "low", "high", "over", "runs"]

    def as_row(*entry) -> dict:
        found: Found = entry[-1]
        return dict(zip(names, entry[:-1], strict=True)) | found.as_row()

    return pd.DataFrame([as_row(*row) for row in rows], columns=columns)
