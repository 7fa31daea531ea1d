"""The data of the paper's Figs. 1 and 6 and of a radar, with ours beside them.

In percent and tokens, as in `ares.analysis.paper_beside`.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from ares.analysis.ablation import FIGURE6, NAN
from ares.analysis.benchmarks import EVALUATION, TABLES, Measured
from ares.analysis.paper_audit import AVERAGE, paper, wide
from ares.analysis.paper_beside import SIZES, overall


def overview() -> pd.DataFrame:
    """Fig. 1: every open model of the paper on all benchmarks of Tables 2 and 3.

    Fig. 1 itself shows nine of them, which are named in the picture only.

    Returns:
        size, model, role (ARES, start or other), modality, benchmark (Avg among them), value.
    """
    parts = []
    for modality, name in TABLES.items():
        table = paper(name).rename(columns={"accuracy": "value", "scale": "size"})
        parts.append(table[table["size"].isin(SIZES)].assign(modality=modality))
    found = pd.concat(parts, ignore_index=True)
    role = found["model"].map(lambda name: "ARES" if name.startswith("ARES") else "other")
    found["role"] = role.mask(found["model"].str.startswith("Qwen2.5-VL"), "start")
    return found[["size", "model", "role", "modality", "benchmark", "value"]]


def named(rows: pd.DataFrame, small: bool) -> pd.DataFrame:
    """Rows with a column `name` for figures: averages say what they are over.

    Args:
        rows: have benchmark and modality. small: of the small world.
    """
    of = {"multimodal": "image", "text": "text"}
    if not small:
        of = {modality: paper(table)["source"].iloc[0] for modality, table in TABLES.items()}
    average = rows["modality"].map(lambda modality: f"{AVERAGE}, {of.get(modality, 'all')}")
    return rows.assign(name=rows["benchmark"].mask(rows["benchmark"] == AVERAGE, average))


def radar(ours: Measured, models: Sequence[str]) -> pd.DataFrame:
    """Accuracies (percent) on single benchmarks: those of the paper's models, then ours.

    Args:
        models: of the paper's.

    Returns:
        benchmark (or our cell), source (paper or ours), a column per model.
    """
    theirs = pd.concat([wide(name) for name in TABLES.values()], axis=1).drop(columns=AVERAGE)
    theirs = theirs.loc[list(models)].T.rename_axis("benchmark").reset_index()
    single = ours.of("benchmark")
    own = single.pivot(index="benchmark", columns="arm", values="accuracy")
    own = own.loc[list(dict.fromkeys(single["benchmark"])), ours.shown].reset_index()
    return pd.concat([theirs.assign(source="paper"), own.assign(source="ours")])


def ends(ours: Measured) -> pd.DataFrame:
    """Fig. 6 at its ends: accuracy (percent) and length (tokens) of every arm.

    The paper's are those of the training batches; ours of the tests of the cold start and of the
    trained model, over the benchmarks that all of these models answered.

    Returns:
        source (paper or ours), arm, quantity, start, end, low, high (of the end).
    """
    curves = paper("figure6_training_curves").assign(length=lambda t: t["response_length"])
    curves["accuracy"] *= 100
    rows: list[dict] = []
    for name, own in curves.groupby("arm", sort=False):
        own = own.sort_values("step")
        for quantity in ("accuracy", "length"):
            first, last = own[quantity].iloc[0], own[quantity].iloc[-1]
            rows.append(_end("paper", FIGURE6[name], quantity, first, (last, NAN, NAN)))
    shown = [arm for arm in FIGURE6.values() if arm in ours.arms]
    names: list[str] = []
    if ours.kind != EVALUATION:
        answered = ours.of("benchmark")
        answered = answered[answered["arm"].isin([*shown, "adacs"])]
        counts = answered.groupby("benchmark", sort=False)["arm"].nunique()
        names = list(counts.index[counts == len({*shown, "adacs"})])
    for arm in shown if "adacs" in ours.arms and (names or ours.kind == EVALUATION) else []:
        for quantity in ("accuracy", "length"):
            first = overall(ours, "adacs", quantity, names)[0]
            rows.append(_end("ours", arm, quantity, first, overall(ours, arm, quantity, names)))
    return pd.DataFrame(rows)


def _end(source: str, arm: str, quantity: str, start: float, end: tuple) -> dict:
    named = dict(zip(("end", "low", "high"), end, strict=True))
    return {"source": source, "arm": arm, "quantity": quantity, "start": start, **named}
