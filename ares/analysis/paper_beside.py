"""The paper's Tables 1 to 5 and the data of its Figs. 7 and 8, with ours beside them.

What a table states is kept as printed; what can be recomputed from it stands in a column or row of
its own, so that a slip shows. Ours come from `ares.analysis.benchmarks`, in percent and tokens.
"""

from __future__ import annotations

import pandas as pd

from ares import paths
from ares.analysis.ablation import NAN, TABLE5
from ares.analysis.benchmarks import EVALUATION, TABLES, Measured, change
from ares.analysis.levels import MODELS
from ares.analysis.paper_audit import AVERAGE, BEST_OPEN, paper, scales, wide
from ares.benchmarks.registry import load_registry
from ares.method.difficulty import BUCKETS

#: Sizes of models that Tables 2 and 3 compare.
SIZES = ("3B", "7B")
#: The data sets that can be loaded, by the paper's names.
TRAINING_DATA = paths.CONFIG / "training-data.yaml"
#: The order of what Table 4 is sorted by.
RANK = {
    name: place for place, name in enumerate(["accuracy", "length", *BUCKETS, *TABLES, *MODELS])
}
RECOMPUTED = "Avg, recomputed"
OURS = ("ours", "low", "high")


def table1() -> pd.DataFrame:
    """Sources of the cold start: modality, dataset, samples, share (of its modality), entry.

    entry: what `config/training-data.yaml` calls it, "" where it can't be loaded from there.
    """
    table = paper("table1_cold_start_sources").drop(columns="source")
    entries = {entry.paper: name for name, entry in load_registry(TRAINING_DATA).items()}
    total = table.groupby("modality")["samples"].transform("sum")
    return table.assign(
        share=100 * table["samples"] / total, entry=table["dataset"].map(entries).fillna("")
    )


def accuracies(modality: str) -> pd.DataFrame:
    """Table 2 (multimodal) or 3 (text) as printed, and what follows from it.

    Returns:
        group (closed, 3B, 7B), model, a column per benchmark, Avg, Avg recomputed. After the
        models of a size: ARES minus the best other open model, as printed and recomputed.
    """
    name = TABLES[modality]
    table = wide(name)
    single = table.drop(columns=AVERAGE)
    table[RECOMPUTED] = single.mean(axis=1)
    group = scales(name)
    stated = paper("stated_differences")
    stated = stated[(stated["table"] == name) & stated["source"].str.startswith("Table")]
    parts = [_rows(table[group == "closed"], "closed")]
    for size in SIZES:
        ares = f"ARES-{size}"
        printed = stated[stated["model"] == ares].set_index("benchmark")["stated"]
        exact = table.loc[ares] - table[group == size].drop(index=ares).max()
        extra = pd.DataFrame(
            {f"{ares} minus {BEST_OPEN}, printed": printed, "the same, recomputed": exact}
        ).T.reindex(columns=table.columns)
        parts += [_rows(table[group == size], size), _rows(extra, f"{size}, difference")]
    return pd.concat(parts, ignore_index=True)


def _rows(table: pd.DataFrame, group: str) -> pd.DataFrame:
    found = table.rename_axis(index="model", columns=None).reset_index()
    found.insert(0, "group", group)
    return found


def our_accuracies(ours: Measured, modality: str) -> pd.DataFrame:
    """Our counterpart of Table 2 or 3: arm, runs, a column per benchmark or cell, Avg (percent).

    Benchmarks that the table lacks follow its Avg. Empty where none of the modality was measured.
    """
    rows = ours.of("benchmark", modality=modality)
    if rows.empty:
        return pd.DataFrame(columns=["arm", "runs", AVERAGE])
    table = rows.pivot(index="arm", columns="benchmark", values="accuracy")
    table = table.reindex(index=[arm for arm in ours.arms if arm in table.index])
    average = ours.of("average", modality=modality).set_index("arm")["accuracy"]
    runs = rows.groupby("arm")["runs"].min()
    names = ours.columns(modality)
    known = set(names if ours.kind == EVALUATION else paper(TABLES[modality])["benchmark"])
    own, more = ([n for n in names if (n in known) == inside] for inside in (True, False))
    table = table.assign(**{AVERAGE: average})[[*own, AVERAGE, *more]]
    table.insert(0, "runs", runs)
    return table.rename_axis(columns=None).reset_index()


def table4(ours: Measured) -> pd.DataFrame:
    """Accuracy and length of the two cold starts and after RL, by level and modality.

    Returns:
        quantity (accuracy in percent, length in tokens), level, modality, benchmark (the paper's),
        cell (ours), model (the paper's name), arm, paper, ours, low, high, over.
    """
    printed = paper("table4_accuracy_length").rename(columns={"response_length": "length"})
    text = paper(TABLES["text"])["benchmark"].unique()
    printed["modality"] = [
        "text" if name in (*text, "GSM8K") else "multimodal" for name in printed["benchmark"]
    ]
    printed = printed.melt(
        ["model", "benchmark", "level", "modality"], ["accuracy", "length"], "quantity", "paper"
    )
    rows = []
    for row in printed.to_dict("records"):
        arm = MODELS[row["model"]]
        rows.append(row | {"arm": arm} | _found(ours, arm, row))
    table = pd.DataFrame(rows)
    keys = ["quantity", "level", "modality", "model"]
    table = table.sort_values(keys, key=lambda column: column.map(RANK))
    columns = [*keys[:3], "benchmark", "cell", "model", "arm", "paper", *OURS, "over"]
    return table[columns].reset_index(drop=True)


def _found(ours: Measured, arm: str, row: dict) -> dict:
    """Our number beside one of Table 4: the same benchmark, or the cell of its level and kind."""
    rows = ours.of("benchmark", arm=arm)
    if ours.kind == EVALUATION:
        rows = rows[(rows["level"] == row["level"]) & (rows["modality"] == row["modality"])]
    else:
        rows = rows[rows["benchmark"] == row["benchmark"]]
    if rows.empty:
        return {"cell": "", "ours": NAN, "low": NAN, "high": NAN, "over": "none"}
    (found,) = rows.to_dict("records")
    names = ("accuracy", "low", "high")
    if row["quantity"] == "length":
        names = ("length", "length_low", "length_high")
    values = dict(zip(OURS, (found[name] for name in names), strict=True))
    return {"cell": found["benchmark"], **values, "over": found["over"]}


def wide4(table: pd.DataFrame, value: str) -> pd.DataFrame:
    """`table4` as the paper prints it, turned: a row per benchmark, models side by side.

    Args:
        value: the paper's column or ours.

    Returns:
        benchmark (or our cell), level, accuracy and tokens of the three models, and what RL
        changes against the adaptive cold start: points, and tokens in percent. Rows that were not
        measured are absent.
    """
    name = "benchmark" if value == "paper" else "cell"
    heads = {"cs-vanilla": "CS-Vanilla", "adacs": "CS", "ares": "RL"}
    found = table.dropna(subset=[value])
    rows = []
    for benchmark, own in found.groupby(name, sort=False):
        row = {name: benchmark, "level": own["level"].iloc[0]}
        number = own.set_index(["quantity", "arm"])[value]
        for quantity, word in (("accuracy", "acc"), ("length", "tokens")):
            row |= {f"{heads[a]}\n{word}": number.get((quantity, a), NAN) for a in heads}
        row["RL - CS\nacc"] = row["RL\nacc"] - row["CS\nacc"]
        row["RL - CS\ntokens, %"] = 100 * (row["RL\ntokens"] / row["CS\ntokens"] - 1)
        rows.append(row)
    return pd.DataFrame(rows)


def changes4(table: pd.DataFrame, before: str = "adacs", after: str = "ares") -> pd.DataFrame:
    """What RL changes, from `table4`: accuracy in points, length in percent of what it was.

    Returns:
        quantity, level, modality, benchmark, cell, paper, ours. No intervals: those of ours,
        paired, stand in notebook 10.
    """
    keys = ["quantity", "level", "modality", "benchmark"]
    first, last = (table[table["arm"] == arm].set_index(keys) for arm in (before, after))
    found = last[["cell"]].copy()
    for column in ("paper", "ours"):
        difference = last[column] - first[column]
        relative = 100 * difference / first[column]
        is_length = difference.index.get_level_values("quantity") == "length"
        found[column] = relative.where(is_length, difference)
    return found.reset_index()


def in_words(changes: pd.DataFrame) -> list[str]:
    """In how many cells RL moves ours as it moves the paper's, as sentences.

    Args:
        changes: from `changes4`.
    """
    known = changes.dropna(subset=["paper", "ours"])
    same = known["paper"] * known["ours"] > 0
    return [
        f"What RL changes in {quantity} has the paper's sign in {same[own.index].sum()} of "
        f"{len(own)} cells, whatever the interval"
        for quantity, own in known.groupby("quantity", sort=False)
    ]


def table5(ours: Measured) -> pd.DataFrame:
    """The parts of the method: the paper's averages and differences, recomputed, and ours.

    Returns:
        setting, arm, the paper's benchmarks, Avg, Avg recomputed, `to start, printed`, `to start`,
        `to grpo` (both recomputed from the printed averages), and for ours: ours, low, high,
        `ours to start`, `ours to grpo` with low and high each, over. Percent points.
    """
    printed = wide("table5_ablation")
    single = [name for name in printed.columns if name != AVERAGE]
    stated = paper("stated_differences").query(
        "source == 'Table 5' and benchmark == @AVERAGE", local_dict={"AVERAGE": AVERAGE}
    )
    start, grpo = "cold start", "cold start + GRPO"
    names = () if ours.kind == EVALUATION else single
    rows = []
    for setting, arm in TABLE5.items():
        own = printed.loc[setting]
        said = stated.loc[stated["model"] == setting, "stated"]
        row = {"setting": setting, "arm": arm, **own, RECOMPUTED: own[single].mean()}
        row["to start, printed"] = said.iloc[0] if len(said) else NAN
        for label, reference in (("start", start), ("grpo", grpo)):
            itself = setting == reference
            row[f"to {label}"] = NAN if itself else own[AVERAGE] - printed.loc[reference, AVERAGE]
        row |= dict(zip(OURS, overall(ours, arm, "accuracy", names), strict=True))
        for label, against in (("start", "adacs"), ("grpo", "grpo")):
            found = {"value": NAN, "low": NAN, "high": NAN}
            if arm != against:
                found = change(ours, arm, against, "accuracy", names)
            row[f"ours to {label}"] = found["value"]
            row[f"ours to {label}, low"], row[f"ours to {label}, high"] = (
                found["low"],
                found["high"],
            )
        rows.append(row)
    return pd.DataFrame(rows)


def overall(
    ours: Measured, arm: str, quantity: str, names: list[str] | tuple = ()
) -> tuple[float, float, float]:
    """An arm's mean over everything, or over some benchmarks, with low and high; NaN if unknown.

    Args:
        names: of benchmarks; none: all cells of an evaluation. All of them have to be there.
    """
    ends = ("low", "high") if quantity == "accuracy" else ("length_low", "length_high")
    if not names:
        rows = ours.of("average", arm=arm, modality="")
        if rows.empty:
            return NAN, NAN, NAN
        row = rows.iloc[0]
        return row[quantity], row[ends[0]], row[ends[1]]
    rows = ours.of("benchmark", arm=arm)
    rows = rows[rows["benchmark"].isin(list(names))]
    return (rows[quantity].mean() if len(rows) == len(names) else NAN), NAN, NAN


def with_interval(row: dict, column: str) -> str:
    """A number of `table5` and its interval as text; empty where it is unknown.

    >>> with_interval({"ours": 61.4, "low": 59.9, "high": 62.8}, "ours")
    '61.4 [59.9, 62.8]'
    """
    ends = ("low", "high") if column == "ours" else (f"{column}, low", f"{column}, high")
    value, low, high = (round(row[name], 1) + 0 for name in (column, *ends))  # no -0.0
    if pd.isna(value):
        return ""
    return f"{value:.1f}" if pd.isna(low) else f"{value:.1f} [{low:.1f}, {high:.1f}]"
