"""The numbers that the paper prints, as the tables of `data/paper` hold them."""

from __future__ import annotations

import pandas as pd

from ares import paths
from ares.io import read_table

AVERAGE, BEST_OPEN = "Avg", "best open"
#: Tables whose last column is a mean, and the column that names their rows.
AVERAGED = {"table2_multimodal": "model", "table3_text": "model", "table5_ablation": "setting"}
#: The paper's names of the arms in Fig. 6, of the rows of Table 5 and of the models of Table 4.
FIGURE6 = {
    "ARES": "ares",
    "ARES w/o KL": "ares-no-kl",
    "ARES w/o Entropy": "ares-no-entropy",
    "DAPO": "dapo",
    "GRPO": "grpo",
}
TABLE5 = {
    "cold start": "adacs",
    "cold start + GRPO": "grpo",
    "cold start + dynamic KL": "ares-no-entropy",
    "cold start + entropy shaping": "ares-no-kl",
    "ARES-7B": "ares",
}
MODELS = {"ARES-CS-Vanilla": "cs-vanilla", "ARES-CS-7B": "adacs", "ARES-RL-7B": "ares"}
#: What the figures call these models.
LABELS = {"base": "base", "cs-vanilla": "CS-Vanilla", "adacs": "CS (AdaCS)", "ares": "RL (ares)"}


def paper(name: str) -> pd.DataFrame:
    """A table of the numbers that the paper reports, by its name in `data/paper` without ending."""
    return read_table(paths.DATA / "paper" / f"{name}.csv")


def source_of(name: str) -> str:
    """What the paper calls a table.

    >>> source_of("table3_text")
    'Table 3'
    """
    return paper(name)["source"].iloc[0]


def wide(name: str) -> pd.DataFrame:
    """A table of accuracies (percent) as printed: a row per model or setting, NaN for a gap."""
    table, rows = paper(name), AVERAGED[name]
    return table.pivot(index=rows, columns="benchmark", values="accuracy").reindex(
        index=table[rows].unique(), columns=table["benchmark"].unique()
    )


def scales(name: str) -> pd.Series:
    """Of every model of Table 2 or 3: closed, 3B or 7B."""
    return paper(name).groupby("model", sort=False)["scale"].first()


def others(name: str, model: str) -> pd.DataFrame:
    """The open models that Table 2 or 3 compares a model with: those of its size, as `wide`."""
    scale = scales(name)
    return wide(name)[scale == scale[model]].drop(index=model)
