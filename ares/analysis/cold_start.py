"""Fig. 5 and finding F7: lengths in the cold start's data, and what its models learned from them.

Choices:
1. Difficulty is one minus the base model's pass rate of a prompt (problem and presentation).
2. How far length follows difficulty is the least-squares slope of a prompt's mean response length
   on that pass rate, in tokens per unit of pass rate: the steeper it falls, the more it follows.
3. A model that writes more everywhere has a steeper slope for that alone. The same slope of the
   logarithm of the length (a rise in proportion) is reported beside it and decides nothing.
4. The pass rate of the models' prompts is measured on the base model's own test responses: for the
   base model itself, length and pass rate share their noise; for the other two they do not.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from ares.analysis.stats import Estimate, Resampler, means, slope
from ares.errors import UserError

#: The models of the cold start, and the three sets of traces, in the order of the figures.
MODELS = ("base", "cs-vanilla", "adacs")
SETS = ("pool", "cs-vanilla", "adacs")
PROMPT = ["problem_id", "presentation"]


def three_sets(
    pool: pd.DataFrame, pass_rates: pd.DataFrame, selection: pd.DataFrame
) -> pd.DataFrame:
    """The traces before selection ('pool') and after each curation, in one table.

    Columns: set, source (presentation), pass_rate (of the base model), n_tokens, habit and
    target_tokens (NaN but for adacs).

    Raises:
        UserError: a trace of the pool whose problem has no pass rate.
    """
    rates = pass_rates[[*PROMPT, "pass_rate"]]
    before = pool.merge(rates, on=PROMPT, how="left", validate="m:1")
    if before["pass_rate"].isna().any():
        raise UserError("pool and pass_rates are of different runs: make both tables again")
    both = pd.concat([before.assign(set="pool"), selection.assign(set=selection["curation"])])
    columns = ["set", "source", "pass_rate", "n_tokens", "habit", "target_tokens"]
    return both.rename(columns={"presentation": "source"})[columns].reset_index(drop=True)


def length_by_bracket(traces: pd.DataFrame) -> pd.DataFrame:
    """Fig. 5: spread of the lengths in every bracket, before and after selection.

    Args:
        traces: from `three_sets`.

    Returns:
        One row per set, source and pass rate: traces (count), mean, q10, q25, median, q75, q90 and
        target, in tokens.
    """
    groups = traces.groupby(["set", "source", "pass_rate"], sort=True)
    quantiles = groups["n_tokens"].quantile([0.1, 0.25, 0.5, 0.75, 0.9]).unstack()
    quantiles.columns = ["q10", "q25", "median", "q75", "q90"]
    table = groups.agg(
        traces=("n_tokens", "size"), mean=("n_tokens", "mean"), target=("target_tokens", "first")
    )
    return table.join(quantiles).reset_index()


def length_counts(traces: pd.DataFrame, edges: list[int]) -> pd.DataFrame:
    """Fig. 5, distribution by length: traces in each interval of `edges` (tokens), by set.

    Columns: set, low, high (tokens, low <= n_tokens < high), traces (count), share (fraction of
    the set). Lengths outside the edges belong to no interval.
    """
    rows = []
    for name, group in traces.groupby("set", sort=True):
        counts, _ = np.histogram(group["n_tokens"], bins=[*edges, np.inf])
        for low, high, count in zip(edges[:-1], edges[1:], counts[:-1], strict=True):
            rows.append((name, low, high, int(count), count / len(group)))
    return pd.DataFrame(rows, columns=["set", "low", "high", "traces", "share"])


def length_edges(traces: pd.DataFrame, width: int = 16) -> list[int]:
    """Edges of `length_counts` (tokens) that leave out the longest hundredth of the traces."""
    return list(range(0, int(traces["n_tokens"].quantile(0.99)) + width, width))


def beside_paper(traces: pd.DataFrame, paper: pd.DataFrame) -> pd.DataFrame:
    """Mean length of the AdaCS data by difficulty, ours and the paper's Fig. 5b.

    Args:
        traces: from `three_sets`; sources are pooled.
        paper: `data/paper/figure5_cold_start_length.csv`.

    Returns:
        One row per difficulty (1 - pass rate) that both have, rising: ours, paper (tokens), and
        each over its own value in the first row.
    """
    chosen = traces[traces["set"] == "adacs"]
    ours = chosen.groupby(1 - chosen["pass_rate"])["n_tokens"].mean()
    theirs = paper.set_index("difficulty_score")["mean_thought_length"]
    table = pd.DataFrame({"ours": ours, "paper": theirs}).dropna().rename_axis("difficulty")
    for name in ("ours", "paper"):
        table[f"{name}_relative"] = table[name] / table[name].iloc[0]
    return table.reset_index()


def with_base_pass_rate(evaluation: pd.DataFrame) -> pd.DataFrame:
    """Evaluations of the three models, each prompt with the base model's pass rate.

    Adds pass_rate (fraction), accuracy (fraction) and log_tokens (natural log of the mean length).

    Raises:
        UserError: a model is missing, or was tested on other problems than the base.
    """
    missing = [arm for arm in MODELS if not (evaluation["arm"] == arm).any()]
    if missing:
        raise UserError(f"the evaluation table holds no arm {', '.join(missing)}: evaluate it")
    table = evaluation[evaluation["arm"].isin(MODELS)]
    table = table.assign(
        accuracy=table["correct"] / table["samples"], log_tokens=np.log(table["n_tokens"])
    )
    base = table.loc[table["arm"] == "base", [*PROMPT, "accuracy"]]
    joined = table.merge(base.rename(columns={"accuracy": "pass_rate"}), on=PROMPT, how="left")
    if joined["pass_rate"].isna().any() or len(joined) != len(MODELS) * len(base):
        raise UserError("the three models were tested on different problems: evaluate them again")
    return joined


def length_by_pass_rate(table: pd.DataFrame, resampler: Resampler) -> pd.DataFrame:
    """Mean length (tokens) by arm, presentation and base pass rate, with intervals.

    Args:
        table: from `with_base_pass_rate`.
    """
    return means(resampler, table, "n_tokens", ["arm", "presentation", "pass_rate"])


def taught_and_learned(traces: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Mean length of a curation's traces beside that of its model's responses, by pass rate.

    Args:
        traces: from `three_sets` (training prompts).
        table: from `with_base_pass_rate` (test prompts).

    Returns:
        One row per curation and pass rate that both have: arm, pass_rate, taught, learned (tokens).
    """
    taught = traces.rename(columns={"set": "arm"}).groupby(["arm", "pass_rate"])["n_tokens"].mean()
    learned = table.groupby(["arm", "pass_rate"])["n_tokens"].mean()
    both = pd.DataFrame({"taught": taught, "learned": learned}).dropna()
    return both.reset_index()


def bracket_slopes(both: pd.DataFrame) -> pd.DataFrame:
    """Slopes of the rows of `taught_and_learned` on the pass rate (tokens per unit), by arm.

    NaN where an arm has fewer than two brackets, as after a base that hardly ever succeeds.
    """

    def steepness(part: pd.DataFrame, name: str) -> float:
        return np.polyfit(part["pass_rate"], part[name], 1)[0] if len(part) > 1 else np.nan

    rows = [
        (arm, *(steepness(part, name) for name in ("taught", "learned")))
        for arm, part in both.groupby("arm", sort=True)
    ]
    return pd.DataFrame(rows, columns=["arm", "slope_taught", "slope_learned"])


def slopes(table: pd.DataFrame, resampler: Resampler, column: str = "n_tokens") -> pd.DataFrame:
    """Slope of a column on the base pass rate, by presentation ('all' pools them) and arm.

    Columns: presentation, arm, value, low, high (column units per unit of pass rate).
    """
    rows = []
    for presentation, part in _parts(table):
        for arm in MODELS:
            rows_of_arm = part[part["arm"] == arm]
            found = resampler.estimate(slope(resampler, rows_of_arm, "pass_rate", column))
            rows.append((presentation, arm, found.value, found.low, found.high))
    return pd.DataFrame(rows, columns=["presentation", "arm", "value", "low", "high"])


def steeper(
    table: pd.DataFrame,
    resampler: Resampler,
    of: str = "adacs",
    against: str = "cs-vanilla",
    column: str = "n_tokens",
) -> dict[str, Estimate]:
    """F7: by how much more the length of one model falls with the pass rate than that of another.

    Slope of `against` minus slope of `of`, by presentation ('all' pools them): above zero if `of`
    follows difficulty more. Both models answer the same problems, so the difference is paired.
    """
    found = {}
    for presentation, part in _parts(table):
        more, less = (
            slope(resampler, part[part["arm"] == arm], "pass_rate", column) for arm in (of, against)
        )
        found[presentation] = resampler.estimate(less - more)
    return found


def claims(table: pd.DataFrame, resampler: Resampler) -> dict[str, Estimate]:
    """F7 by presentation, then each cold start against the base: by how much it is steeper."""
    found = {
        f"F7 ({part}): AdaCS steeper than CS-Vanilla": found
        for part, found in steeper(table, resampler).items()
    }
    for arm in ("adacs", "cs-vanilla"):
        found[f"(all): {arm} steeper than the base"] = steeper(table, resampler, arm, "base")["all"]
    return found


def size_in_words(table: pd.DataFrame, level: float) -> str:
    """How many problems and samples a table of evaluations has, and what its intervals are.

    Args:
        level: of the intervals (fraction).
    """
    number, samples = table["problem_id"].nunique(), table["samples"].max()
    return (
        f"n = {number} test problems, each as text and as image, {samples} samples each, one model "
        f"an arm. Bands and bars: {level:.0%} intervals, bootstrap over problems."
    )


def in_words(
    found: dict[str, Estimate], relative: dict[str, Estimate], both: pd.DataFrame
) -> list[str]:
    """The conclusions as sentences.

    Args:
        found: from `claims`.
        relative: from `steeper`, of the logarithm of the length.
        both: from `taught_and_learned`.
    """
    (first, *_), share = found.items(), relative["all"]
    sentences = [
        f"{first[0]}: {first[1].verdict}, by {first[1]:.1f} tokens per unit of pass rate",
        f"In proportion to its length AdaCS is steeper: {share.verdict} ({share:.3f})",
    ]
    for row in bracket_slopes(both).itertuples():
        sentences.append(
            f"{row.arm} was taught a slope of {row.slope_taught:.1f} tokens and has learned "
            f"{row.slope_learned:.1f}, {row.slope_learned / row.slope_taught:.2f} times as steep"
        )
    return sentences


def _parts(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """All rows, then the rows of each presentation."""
    yield "all", table
    yield from table.groupby("presentation", sort=False)
