"""Both curations of the cold start on real data: `ares.coldstart.curate`, a source per data set."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ares.coldstart.curate import CURATIONS, curate, equal_quotas
from ares.errors import UserError
from ares.tables import read_form

SELECTION = (
    *("curation", "source", "row", "problem_id", "prompt_tokens", "pictures"),
    *("pass_rate", "bracket", "target_tokens", "habit", "trace", "text", "n_tokens"),
)


def known_only(pool: pd.DataFrame, pass_rates: pd.DataFrame) -> pd.DataFrame:
    """The traces of problems that have a pass rate; one of which a request failed has none.

    Raises:
        UserError: there is no such trace.
    """
    keys = ["source", "problem_id"]
    known = pool.merge(pass_rates[keys], on=keys, how="inner", validate="m:1")
    if known.empty:
        raise UserError(
            "no trace of the pool is of a problem with a pass rate: are both tables of one run?"
        )
    return known


def select(
    traces: pd.DataFrame, size: int, samples: int, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The selections of all curations below one another, and their reports; see `curate`.

    Sources get equal shares. What a small one can't fill goes to the others: the data sets of the
    paper's cold start have between a thousand and some million rows.
    """
    candidates = traces["source"].value_counts().sort_index()
    shares = dict(zip(candidates.index, equal_quotas(size, candidates.tolist()), strict=True))
    found = [
        curate(own, curation, shares[source], samples, seed, "source", SELECTION)
        for curation in CURATIONS
        for source, own in traces.groupby("source", sort=True)
    ]
    selections, reports = zip(*found, strict=True)
    return pd.concat(selections, ignore_index=True), pd.concat(reports, ignore_index=True)


def selected(path: str | Path, curation: str, form: str = "paper_selection") -> pd.DataFrame:
    """The rows of one curation of a selection.

    Raises:
        UserError: it is not there, or the table is no selection.
    """
    table = read_form(path, form)
    chosen = table[table["curation"] == curation].reset_index(drop=True)
    if chosen.empty:
        held = ", ".join(sorted(table["curation"].unique())) or "none"
        raise UserError(f"{path}: no curation '{curation}'; it holds {held}")
    return chosen
