"""What the paper claims about the ranks of its numbers, counted; and F12 with numbers of ours.

F12 is not in `config/findings.yaml`: no run of the small world can decide it. Its rule stands here.
"""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from ares.analysis.benchmarks import EVALUATION, TABLES, Measured
from ares.analysis.paper_audit import AVERAGE, others, paper, source_of, wide
from ares.analysis.paper_beside import OURS, SIZES


def f12(ours: Measured, size: str) -> tuple[str, str, pd.DataFrame]:
    """F12: ARES is the best open model of its size, wherever the paper's tables say so.

    A part is a benchmark on which they do. It is reproduced (contradicted) if the interval of our
    arm `ares` lies above (below) the score of the best other open model, as the paper prints it,
    and undecided otherwise; of several runs, the interval is their range. A benchmark that was
    asked in part is not judged: its first questions are no sample. The verdict follows from the
    parts as in `config/findings.yaml`, and is `reproduced` only if no part is missing.

    Args:
        size: of our model: 3B, 7B, or "" where it has no counterpart in the paper.

    Returns:
        Verdict, why, and the parts: table, benchmark, best open, its score, ours, low, high,
        verdict.
    """
    columns = ["table", "benchmark", "best", "score", *OURS, "verdict"]
    none = pd.DataFrame(columns=columns)
    if ours.kind == EVALUATION:
        why = "no benchmark of Tables 2 and 3 was run: Countdown is none of them"
        return "not testable at this scale", why, none
    if size not in SIZES:
        return "not testable", "our model has none of the sizes that the tables compare", none
    own = ours.of("benchmark", arm="ares").set_index("benchmark")
    rows, claimed = [], 0
    for name in TABLES.values():
        rest, ares = others(name, f"ARES-{size}"), wide(name).loc[f"ARES-{size}"]
        best = ares.index[ares > rest.max()].drop(AVERAGE)
        claimed += len(best)
        for benchmark in best.intersection(own.index, sort=False):
            found = own.loc[benchmark]
            if found["n"] < found["of"]:
                continue
            score = rest[benchmark].max()
            values = found["accuracy"], found["low"], found["high"]
            verdict = "reproduced" if found["low"] > score else "undecided"
            verdict = "contradicted" if found["high"] < score else verdict
            place = paper(name)["source"].iloc[0]
            rows.append((place, benchmark, rest[benchmark].idxmax(), score, *values, verdict))
    parts = pd.DataFrame(rows, columns=columns)
    count = parts["verdict"].value_counts()
    held, against = (int(count.get(word, 0)) for word in ("reproduced", "contradicted"))
    why = (
        f"of {claimed} benchmarks on which ARES-{size} is best in the paper, {len(parts)} were "
        f"asked whole; ours is above the best other open model on {held}, below it on {against}"
    )
    if parts.empty:
        return "not testable", "no benchmark of Tables 2 and 3 was asked whole", parts
    if held == claimed:
        return "reproduced", why, parts
    if against > held:
        return "contradicted", why, parts
    return ("partly" if held or against else "not at this scale"), why, parts


def claims() -> pd.DataFrame:
    """What the paper says about the ranking of its numbers, counted.

    Returns:
        where, claim, claimed of (all cases, most, or none: counted for comparison only), holds (in
        how many cases), of, verdict: 'holds' where it holds in all cases, or in more than half if
        it is claimed of most; else 'does not hold', or 'not claimed'.
    """
    rows = [*against_open_models(), *of_the_text(), *by_difficulty(), *of_the_parts()]
    table = pd.DataFrame(rows, columns=["where", "claim", "claimed of", "holds", "of"])
    enough = table["holds"] == table["of"]
    most = table["claimed of"] == "most"
    enough |= most & (2 * table["holds"] > table["of"])
    verdict = enough.map({True: "holds", False: "does not hold"})
    return table.assign(verdict=verdict.mask(table["claimed of"] == "none", "not claimed"))


def against_open_models() -> Iterator[tuple]:
    """ARES above every other open model of its size, benchmark by benchmark."""
    for name in ("table2_multimodal", "table3_text"):
        for model in ("ARES-3B", "ARES-7B"):
            best, own = others(name, model).max(), wide(name).loc[model]
            single = own.index != AVERAGE
            ahead = (own > best)[single]
            claim = f"{model} is the best open model of its size on every benchmark"
            # The caption of Table 3 says so; Table 2 shows where it is not.
            claimed = "all" if name == "table3_text" else "none"
            yield source_of(name), claim, claimed, int(ahead.sum()), len(ahead)
            claim = f"{model} has the best average of the open models of its size"
            yield source_of(name), claim, "all", int(own[AVERAGE] > best[AVERAGE]), 1


def of_the_text() -> Iterator[tuple]:
    """Sentences of sections 4 and 5 about single columns."""
    aime = others("table3_text", "ARES-7B")["AIME25"]
    claim = "most 7B baselines score below 3.3 on AIME25"
    yield "Section 4.2", claim, "most", int((aime < 3.3).sum()), len(aime)
    ends = paper("figure6_training_curves")
    last = ends[ends["step"] == ends["step"].max()].set_index("arm")
    own, rest = last.loc["ARES"], last.drop(index="ARES")
    for column, ahead in (
        ("accuracy", rest["accuracy"] < own["accuracy"]),
        ("length", rest["response_length"] > own["response_length"]),
    ):
        word = "most accurate" if column == "accuracy" else "shortest"
        yield "Fig. 6", f"ARES ends as the {word} of the arms", "all", int(ahead.sum()), len(rest)


def by_difficulty() -> Iterator[tuple]:
    """Table 4, Figs. 7 and 8: what reinforcement learning and the adaptive cold start change."""
    table = paper("table4_accuracy_length")
    level = table.groupby("benchmark")["level"].first()
    accuracy, length = (
        table.pivot(index="benchmark", columns="model", values=column)
        for column in ("accuracy", "response_length")
    )
    vanilla, start, rl = "ARES-CS-Vanilla", "ARES-CS-7B", "ARES-RL-7B"
    better = accuracy[rl] > accuracy[[vanilla, start]].max(axis=1)
    claim = "RL is more accurate than both cold starts on every benchmark"
    yield "Fig. 7", claim, "all", int(better.sum()), len(better)
    shorter = length[rl] < length[start]
    yield "Fig. 8", "RL shortens responses on most benchmarks", "most", int(shorter.sum()), 6
    for word, ahead in (("hard", ~shorter), ("easy", shorter)):
        change = "lengthens" if word == "hard" else "shortens"
        own = ahead[level == word]
        claim = f"RL {change} responses on {word} benchmarks"
        yield "Fig. 8", claim, "all", int(own.sum()), len(own)
    follows = (length[start] < length[vanilla]) == (level == "easy")
    claim = "AdaCS is shorter than CS-Vanilla on easy benchmarks and longer on others"
    yield "Table 4", claim, "all", int(follows.sum()), len(follows)
    right = accuracy[start] > accuracy[vanilla]
    claim = "AdaCS is more accurate than CS-Vanilla"
    yield "Table 4", claim, "none", int(right.sum()), len(right)


def of_the_parts() -> Iterator[tuple]:
    """Table 5: every part adds to plain GRPO, and both together are best."""
    table = wide("table5_ablation").drop(columns=AVERAGE)
    grpo, whole = "cold start + GRPO", "ARES-7B"
    for part in ("cold start + dynamic KL", "cold start + entropy shaping"):
        ahead = table.loc[part] > table.loc[grpo]
        claim = f"{part} is better than {grpo}"
        yield "Table 5", claim, "all", int(ahead.sum()), len(ahead)
    ahead = table.loc[whole] > table.drop(index=whole).max()
    yield "Table 5", "ARES-7B is best", "all", int(ahead.sum()), len(ahead)


def in_words(slips: pd.DataFrame, counted: pd.DataFrame) -> list[str]:
    """What the arithmetic and the ranks come to, as sentences.

    Args:
        slips: from `paper_audit.paper_slips`.
        counted: from `claims`.
    """
    agrees, rule = ((slips["verdict"] == word).sum() for word in ("agrees", "another rule"))
    rest = len(slips) - agrees - rule
    sentences = [
        f"Of {len(slips)} recomputed numbers of the paper {agrees} agree, {rule} follow another "
        f"rule than their column, {rest} agree with no reading"
    ]
    best = counted[counted["claim"].str.contains("best open model of its size on every")]
    sentences += [
        f"{row['where']}: {row['claim'].split(' is ')[0]} is the best open model of its size on "
        f"{row['holds']} of {row['of']} benchmarks"
        for row in best.to_dict("records")
    ]
    claimed = counted[counted["claimed of"] != "none"]
    holds = (claimed["verdict"] == "holds").sum()
    return [*sentences, f"Of {len(claimed)} sentences about ranks {holds} hold"]
