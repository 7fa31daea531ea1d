"""The paper's own arithmetic, checked against the numbers that it prints.

Rules:
1. Printed numbers have one decimal, so each is known to 0.05 (half a unit). A difference of two of
   them is known to 0.1, a mean of any number of them to 0.05, and what is printed for the result
   adds another 0.05: `tolerance`.
2. A recomputed number that prints the same `agrees`. One that does not, but lies within the
   tolerance, is `rounding`: the unrounded numbers may give what is printed. A number outside it
   is a `slip`, unless another reading of the column gives it: `another rule`, and the note says
   which.
3. What no rounding can give is a slip of the numbers, not of the conclusions drawn from them; the
   note says what else could explain it.
"""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from ares import paths
from ares.io import read_table

#: Half a unit of the last printed digit, percent points or tokens.
HALF = 0.05
AVERAGE = "Avg"
BEST_OPEN = "best open"
#: One model under several names.
SAME = {"ARES-RL-7B": "ARES-7B", "ARES-CS-7B": "cold start"}
#: Tables whose last column is a mean, and the column that names their rows.
AVERAGED = {"table2_multimodal": "model", "table3_text": "model", "table5_ablation": "setting"}
COLUMNS = ["where", "what", "printed", "recomputed", "difference", "tolerance", "verdict", "note"]


def paper(name: str) -> pd.DataFrame:
    """A table of the numbers that the paper reports, by its name in `data/paper` without ending."""
    return read_table(paths.DATA / "paper" / f"{name}.csv")


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


def paper_slips() -> pd.DataFrame:
    """Everything printed that can be recomputed: averages, differences, repeated numbers, bounds.

    Returns:
        where, what, printed, recomputed, difference (printed minus recomputed), tolerance, verdict
        (agrees, rounding, another rule or slip), note.
    """
    rows = [*averages(), *differences(), *repeated(), *bounds()]
    return pd.DataFrame(rows, columns=COLUMNS)


def averages() -> Iterator[dict]:
    """The averages of Tables 2, 3 and 5: plain means of what is printed in the row."""
    for name in AVERAGED:
        table = wide(name)
        single = table.drop(columns=AVERAGE)
        for model, row in single.iterrows():
            gaps = list(row.index[row.isna()])
            note = f"of {row.count()} benchmarks, without {', '.join(gaps)}" if gaps else ""
            printed = table.loc[model, AVERAGE]
            where = f"{source_of(name)}, {AVERAGE}"
            yield checked(where, str(model), printed, row.mean(), 2 * HALF, note)


def differences() -> Iterator[dict]:
    """The differences that tables and text state.

    Against "best open": the best of the other open models of the same size, column by column; in
    the column of averages the best average.
    """
    for _, group in paper("stated_differences").groupby(["source", "model"], sort=False):
        single = group[group["benchmark"] != AVERAGE]["stated"]
        for stated in group.itertuples():
            table = wide(stated.table)
            if stated.against == BEST_OPEN:
                reference = others(stated.table, stated.model)[stated.benchmark].max()
            else:
                reference = table.loc[stated.against, stated.benchmark]
            recomputed = table.loc[stated.model, stated.benchmark] - reference
            what = f"{stated.model} minus {stated.against}, {stated.benchmark}"
            row = checked(stated.source, what, stated.stated, recomputed, 3 * HALF)
            if row["verdict"] == "slip" and stated.benchmark == AVERAGE and len(single):
                row = row | as_mean_of_the_row(stated.stated, single.mean())
            yield row


def as_mean_of_the_row(stated: float, mean: float) -> dict:
    """What changes where a stated difference of averages is the mean of the row's differences."""
    if abs(stated - mean) > 2 * HALF:
        return {}
    note = f"is the mean of the row's own differences ({mean:.2f}), each to another model"
    return {"verdict": "another rule", "note": note}


def repeated() -> Iterator[dict]:
    """Accuracies of one model on one benchmark in two places, compared with the first place."""
    places = [
        *((name, paper(name)) for name in ("table2_multimodal", "table3_text")),
        ("table5_ablation", paper("table5_ablation").rename(columns={"setting": "model"})),
        ("table4_accuracy_length", paper("table4_accuracy_length")),
    ]
    columns = ["source", "model", "benchmark", "accuracy"]
    every = pd.concat([table[columns] for _, table in places], ignore_index=True)
    every = every[every["benchmark"] != AVERAGE].replace({"model": SAME})
    for (model, benchmark), rows in every.groupby(["model", "benchmark"], sort=False):
        first, *more = rows.itertuples()
        for other in more:
            where = f"{other.source} against {first.source}"
            # The same number printed twice: rounding can't tell the two apart.
            yield checked(where, f"{model}, {benchmark}", other.accuracy, first.accuracy, 0.0)


def bounds() -> Iterator[dict]:
    """Fig. 4: a mean over all responses lies between the means over right and over wrong ones.

    The share of right ones that the three lengths imply must then be an accuracy that lies between
    those of panel i. Both hold only if the panels show the same responses, which the paper does not
    say.
    """
    figure = paper("figure4_entropy_difficulty").set_index(["panel", "difficulty", "condition"])
    value = figure["value"]
    note = "unless the panels show different responses"
    for level in ("easy", "hard"):
        overall, right, wrong = (
            value[panel, level, condition]
            for panel, condition in (("ii", "all"), ("iv", "right"), ("iv", "wrong"))
        )
        nearest = min(max(overall, min(right, wrong)), max(right, wrong))
        what = f"{level}: length of all responses, between right ({right}) and wrong ({wrong})"
        row = checked("Fig. 4 ii against iv", what, overall, nearest, 2 * HALF)
        yield row | ({"note": note} if row["verdict"] == "slip" else {})
        if row["verdict"] == "slip":
            continue  # no share of right responses gives such a mean
        share = 100 * (wrong - overall) / (wrong - right)
        inside = sorted(100 * value["i", level, f"{side} threshold"] for side in ("above", "below"))
        nearest = min(max(share, inside[0]), inside[1])
        what = f"{level}: accuracy that the lengths of ii and iv imply, in percent, between"
        what += f" {inside[0]:.1f} and {inside[1]:.1f}"
        # The lengths are known to a part in 30,000, so the share to about 0.01.
        row = checked("Fig. 4 iv against i", what, nearest, share, 2 * HALF)
        yield row | ({"note": note} if row["verdict"] == "slip" else {})


def checked(
    where: str,
    what: str,
    printed: float,
    recomputed: float,
    tolerance: float,
    note: str = "",
) -> dict:
    """A row of `paper_slips`, with its verdict by rule 2.

    Args:
        tolerance: by which rounding alone can part the two.

    >>> [checked("", "", printed, 45.95, 0.1)["verdict"] for printed in (46.0, 45.9, 46.05, 46.1)]
    ['agrees', 'agrees', 'rounding', 'slip']
    """
    difference = printed - recomputed
    exact = 1e-9  # what binary fractions leave over
    if abs(difference) <= min(tolerance, HALF) + exact:
        verdict = "agrees"
    else:
        verdict = "rounding" if abs(difference) <= tolerance + exact else "slip"
    values = (where, what, printed, recomputed, difference, tolerance, verdict, note)
    return dict(zip(COLUMNS, values, strict=True))


def marks(slips: pd.DataFrame, table: str, slip: str, gap: str) -> dict[tuple[str, str], str]:
    """Signs for the cells of a table, by row and column: what does not agree, what has gaps.

    Args:
        slips: from `paper_slips`.
        table: as the paper calls it ("Table 3").
        slip, gap: the signs.
    """
    found: dict[tuple[str, str], str] = {}
    for row in slips[slips["where"].str.contains(table)].itertuples():
        if row.note.startswith("of "):
            found[row.what, AVERAGE] = gap
        if row.verdict in ("agrees", "rounding"):
            continue
        of, _, benchmark = row.what.rpartition(", ")
        if " minus " in of:
            found[f"{of}, printed", benchmark] = slip
        else:
            names = [of, *(alias for alias, name in SAME.items() if name == of)]
            found |= {(name, benchmark): slip for name in names}
    return found


def source_of(name: str) -> str:
    """What the paper calls a table.

    >>> source_of("table3_text")
    'Table 3'
    """
    return paper(name)["source"].iloc[0]
