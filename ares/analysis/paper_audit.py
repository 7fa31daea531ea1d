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

import numpy as np
import pandas as pd

from ares import paths
from ares.io import read_table

#: Half a unit of the last printed digit, percent points or tokens.
HALF = 0.05
AVERAGE, BEST_OPEN = "Avg", "best open"
#: One model under several names.
SAME = {"ARES-RL-7B": "ARES-7B", "ARES-CS-7B": "cold start"}
#: Tables whose last column is a mean, and the column that names their rows.
AVERAGED = {"table2_multimodal": "model", "table3_text": "model", "table5_ablation": "setting"}
COLUMNS = ["where", "what", "printed", "recomputed", "difference", "tolerance", "verdict", "note"]


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


def paper_slips() -> pd.DataFrame:
    """Everything printed that can be recomputed: averages, differences, repeated numbers, bounds.

    Returns:
        where, what, printed, recomputed, difference (printed minus recomputed), tolerance, verdict
        (agrees, rounding, another rule or slip), note.
    """
    rows = [*_averages(), *_differences(), *_repeated(), *_bounds()]
    return pd.DataFrame(rows, columns=COLUMNS)


def _averages() -> Iterator[dict]:
    """The averages of Tables 2, 3 and 5: plain means of what is printed in the row."""
    for name in AVERAGED:
        table = wide(name)
        for model, row in table.drop(columns=AVERAGE).iterrows():
            gaps = ", ".join(row.index[row.isna()])
            note = f"of {row.count()} benchmarks, without {gaps}" if gaps else ""
            where, printed = f"{source_of(name)}, {AVERAGE}", table.loc[model, AVERAGE]
            yield checked(where, str(model), printed, row.mean(), 2 * HALF, note)


def _differences() -> Iterator[dict]:
    """The differences that tables and text state.

    Against "best open": the best of the other open models of the same size, column by column; in
    the column of averages the best average.
    """
    for _, group in paper("stated_differences").groupby(["source", "model"], sort=False):
        mean = group[group["benchmark"] != AVERAGE]["stated"].mean()
        for stated in group.itertuples():
            table = wide(stated.table)
            if stated.against == BEST_OPEN:
                reference = others(stated.table, stated.model)[stated.benchmark].max()
            else:
                reference = table.loc[stated.against, stated.benchmark]
            recomputed = table.loc[stated.model, stated.benchmark] - reference
            what = f"{stated.model} minus {stated.against}, {stated.benchmark}"
            row = checked(stated.source, what, stated.stated, recomputed, 3 * HALF)
            average = row["verdict"] == "slip" and stated.benchmark == AVERAGE
            if average and abs(stated.stated - mean) <= 2 * HALF:
                note = f"is the mean of the row's own differences ({mean:.2f})"
                row |= {"verdict": "another rule", "note": f"{note}, each to another model"}
            yield row


def _repeated() -> Iterator[dict]:
    """Accuracies of one model on one benchmark in two places, compared with the first place."""
    names = ("table2_multimodal", "table3_text", "table5_ablation", "table4_accuracy_length")
    places = [paper(name).rename(columns={"setting": "model"}) for name in names]
    columns = ["source", "model", "benchmark", "accuracy"]
    every = pd.concat([table[columns] for table in places], ignore_index=True)
    every = every[every["benchmark"] != AVERAGE].replace({"model": SAME})
    for (model, benchmark), rows in every.groupby(["model", "benchmark"], sort=False):
        first, *more = rows.itertuples()
        for other in more:
            where = f"{other.source} against {first.source}"
            # The same number printed twice: rounding can't tell the two apart.
            yield checked(where, f"{model}, {benchmark}", other.accuracy, first.accuracy, 0.0)


def _bounds() -> Iterator[dict]:
    """Fig. 4: a mean over all responses lies between the means over right and over wrong ones.

    The share of right ones that the three lengths imply must then be an accuracy that lies between
    those of panel i. Both hold only if the panels show the same responses, which the paper does not
    say.
    """
    figure = paper("figure4_entropy_difficulty").set_index(["panel", "difficulty", "condition"])
    value = figure["value"]

    def noted(where: str, what: str, printed: float, recomputed: float) -> dict:
        found = checked(where, what, printed, recomputed, 2 * HALF)
        slip = found["verdict"] == "slip"
        return found | ({"note": "unless the panels show different responses"} if slip else {})

    for level in ("easy", "hard"):
        overall = value["ii", level, "all"]
        right, wrong = value["iv", level, "right"], value["iv", level, "wrong"]
        what = f"{level}: length of all responses, between right ({right}) and wrong ({wrong})"
        nearest = np.clip(overall, *sorted((right, wrong)))
        row = noted("Fig. 4 ii against iv", what, overall, nearest)
        yield row
        if row["verdict"] == "slip":
            continue  # no share of right responses gives such a mean
        share = 100 * (wrong - overall) / (wrong - right)
        inside = sorted(100 * value["i", level, f"{side} threshold"] for side in ("above", "below"))
        what = f"{level}: accuracy that the lengths of ii and iv imply, in percent, between"
        what += f" {inside[0]:.1f} and {inside[1]:.1f}"
        # The lengths are known to a part in 30,000, so the share to about 0.01.
        yield noted("Fig. 4 iv against i", what, np.clip(share, *inside), share)


def checked(
    where: str, what: str, printed: float, recomputed: float, tolerance: float, note: str = ""
) -> dict:
    """A row of `paper_slips`, with its verdict by rule 2.

    Args:
        tolerance: by which rounding alone can part the two.

    >>> [checked("", "", printed, 45.95, 0.1)["verdict"] for printed in (46.0, 45.9, 46.05, 46.1)]
    ['agrees', 'agrees', 'rounding', 'slip']
    """
    difference = printed - recomputed
    apart = abs(difference) - 1e-9  # what binary fractions leave over
    verdict = "agrees" if apart <= HALF else "rounding"
    verdict = verdict if apart <= tolerance else "slip"
    values = (where, what, printed, recomputed, difference, tolerance, verdict, note)
    return dict(zip(COLUMNS, values, strict=True))
