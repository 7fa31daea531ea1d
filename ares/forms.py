"""All tables of a run: columns, what their values are, what holds between them, how one is made.

Columns that a form does not name may stand in a table: the full tables of a run and the compact
ones of the repository have the same forms. `ares.tables` checks tables against them, the workflow
asks which there are and what they are joined from, `ares.findings.reference` what the compact ones
keep.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

LEVELS, PRESENTATIONS = ("easy", "medium", "hard"), ("text", "image")


@dataclass(frozen=True)
class Column:
    """What the values of a column are.

    kind: text, flag, integer, number, or a list of one of the last two ("integers", "numbers").
    low, high: bounds, themselves allowed. among: the texts there are, () for any.
    gaps: whether NaN may stand there.
    """

    kind: str
    low: float = -np.inf
    high: float = np.inf
    among: tuple[str, ...] = ()
    gaps: bool = False


@dataclass(frozen=True)
class Form:
    """Columns, those that tell one row from another, and what must hold between columns.

    empty: whether there may be no rows.
    parts: what it is joined from: shards, runs, or tests of all models; "" if it is made at once.
    files: its names in the folder of a run; none: that of the form.
    judged: whether findings are judged by it. timed: whether it holds wall times: other bytes in
    every run.
    left_out: columns that the repository's copy lacks. shortened: those whose entropies it rounds.
    """

    columns: Mapping[str, Column]
    key: tuple[str, ...]
    rules: tuple[Callable[[pd.DataFrame], str], ...] = ()
    empty: bool = False
    parts: Literal["", "shards", "runs", "models"] = ""
    files: tuple[str, ...] = ()
    judged: bool = False
    timed: bool = False
    left_out: tuple[str, ...] = ()
    shortened: tuple[str, ...] = ()


def _rule(what: str, holds: Callable[[pd.DataFrame], np.ndarray]) -> Callable[[pd.DataFrame], str]:
    """A rule between columns: `holds` says for every row whether it does."""

    def check(table: pd.DataFrame) -> str:
        wrong = ~np.asarray(holds(table), dtype=bool)
        return f"row {int(wrong.argmax())}: {what}" if wrong.any() else ""

    return check


def _named(table: pd.DataFrame) -> np.ndarray:
    """Whether a problem is named after its numbers and its target."""
    ids = [
        "-".join(map(str, sorted(numbers.tolist()))) + f"={target}"
        for numbers, target in zip(table["numbers"], table["target"], strict=True)
    ]
    return table["problem_id"].to_numpy() == np.array(ids, dtype=object)


def _one_level(table: pd.DataFrame) -> np.ndarray:
    return table.groupby("problem_id")["level"].transform("nunique").to_numpy() == 1


#: Columns with a value per token.
_LISTS = ("token_ids", "entropy", "logprob")
NAMED = _rule("problem_id is not that of its numbers and target", _named)
ONE_LEVEL = _rule("its problem has another level elsewhere", _one_level)
AS_MANY = _rule("k is not how many numbers there are", lambda t: t["numbers"].map(len) == t["k"])
AT_MOST = _rule("more correct than samples", lambda t: t["correct"] <= t["samples"])
SHARE = _rule(
    "pass_rate is not correct / samples",
    lambda t: np.isclose(t["pass_rate"], t["correct"] / t["samples"], rtol=0, atol=1e-9),
)
VERDICT = _rule(
    "correct and verdict contradict each other",
    lambda t: t["correct"] == t["verdict"].isin(["correct", "cut: correct"]),
)

LENGTHS = _rule(
    "its lists are not n_tokens long",
    lambda t: np.logical_and.reduce(
        [t[name].map(len) == t["n_tokens"] for name in _LISTS if name in t] or [t["n_tokens"] > 0]
    ),
)

_COUNT, _NATURAL = Column("integer", low=1), Column("integer", low=0)
_TEXT, _FLAG, _SHARE = Column("text"), Column("flag"), Column("number", 0, 1)
_LENGTH, _NATS = Column("number", low=0), Column("number", low=-1e-3, high=100)
_PROMPT = {
    "problem_id": _TEXT,
    "level": Column("text", among=LEVELS),
    "k": Column("integer", low=2),
    "presentation": Column("text", among=PRESENTATIONS),
}
_PROBLEM = {**_PROMPT, "numbers": Column("integers", low=1), "target": Column("integer", low=1)}
_PROBLEM_RULES = (AS_MANY, NAMED, ONE_LEVEL)
_RUN = {"arm": _TEXT, "seed": _NATURAL, "step": _NATURAL}
_ONE = ("problem_id", "presentation")
_ITEM = {
    "source": _TEXT,
    "row": _NATURAL,
    "problem_id": _TEXT,
    "prompt_tokens": _COUNT,
    "pictures": _NATURAL,
}
_RATE = {"samples": _COUNT, "correct": _NATURAL, "pass_rate": _SHARE}
_PLACE = {
    "pass_rate": _SHARE,
    "bracket": _SHARE,
    "target_tokens": Column("number", low=0, gaps=True),
}
_TRACE = {"habit": _TEXT, "trace": _NATURAL, "text": _TEXT, "n_tokens": _COUNT}

#: Tables of scales of the small world.
FORMS: dict[str, Form] = {
    "problems": Form({**_PROBLEM, "split": _TEXT}, _ONE, _PROBLEM_RULES),
    "rollouts": Form(
        {
            "rollout_id": _NATURAL,
            **_PROBLEM,
            "sample": _NATURAL,
            "text": _TEXT,
            "n_tokens": _COUNT,
            "finished": _FLAG,
            "correct": _FLAG,
            "verdict": _TEXT,
        },
        ("rollout_id",),
        (*_PROBLEM_RULES, VERDICT, LENGTHS),
        parts="shards",
        judged=True,
        left_out=_LISTS,
    ),
    "tokens": Form(
        {
            "rollout_id": _NATURAL,
            "position": _NATURAL,
            "token": _TEXT,
            "entropy": _NATS,
            "lexicon": _FLAG,
            "lexicon_top1": _FLAG,
            "decision": _TEXT,
            "slot": _TEXT,
            "class_entropy": _NATS,
        },
        ("rollout_id", "position"),
        judged=True,
        left_out=("logprob",),
        shortened=("entropy", "class_entropy"),
    ),
    "top_k": Form(
        {
            "rollout_id": _NATURAL,
            "position": _NATURAL,
            "entropy": _NATS,
            "sampled_logprob": Column("number", high=1e-3),
            "top_logprobs": Column("numbers", high=1e-3),
        },
        ("rollout_id", "position"),
    ),
    "causal": Form(
        {
            "rollout_id": _NATURAL,
            "position": _NATURAL,
            "alternatives": _NATURAL,
            "effect": Column("number", 0, 0.5),
            "causal": _FLAG,
        },
        ("rollout_id", "position"),
        parts="shards",
        judged=True,
    ),
    "pass_rates": Form(
        {**_PROBLEM, **_RATE, "n_tokens": _LENGTH},
        _ONE,
        (*_PROBLEM_RULES, AT_MOST, SHARE),
        parts="shards",
    ),
    "pool": Form(
        {**_PROMPT, "habit": _TEXT, "trace": _NATURAL, "n_tokens": _COUNT},
        (*_ONE, "habit", "trace"),
        (ONE_LEVEL,),
        parts="shards",
        left_out=("numbers", "target", "text"),
    ),
    "selection": Form(
        {
            "curation": _TEXT,
            **_PROBLEM,
            **_PLACE,
            "habit": _TEXT,
            "text": _TEXT,
            "n_tokens": _COUNT,
        },
        ("curation", *_ONE, "habit", "text"),
        _PROBLEM_RULES,
    ),
    "steps": Form(
        {**_RUN, "metric": _TEXT, "bucket": _TEXT, "value": Column("number")},
        ("arm", "seed", "step", "metric", "bucket"),
        parts="runs",
        judged=True,
    ),
    "timings": Form(
        {**_RUN, "phase": _TEXT, "seconds": _LENGTH},
        ("arm", "seed", "step", "phase"),
        parts="runs",
        timed=True,
    ),
    "validation": Form(
        {
            **_RUN,
            "level": _TEXT,
            "presentation": _TEXT,
            "responses": _COUNT,
            "accuracy": _SHARE,
            "n_tokens": _LENGTH,
            "finished": _SHARE,
        },
        ("arm", "seed", "step", "level", "presentation"),
        parts="runs",
    ),
    "trees": Form(
        {
            **_RUN,
            "prompt_index": _NATURAL,
            "rollout": _NATURAL,
            "parent": Column("integer", low=-1),
            "branch_at": _NATURAL,
            "n_tokens": _COUNT,
            "correct": _FLAG,
            "text": _TEXT,
        },
        ("arm", "seed", "step", "prompt_index", "rollout"),
        empty=True,
        parts="runs",
    ),
    "evaluation": Form(
        {
            "arm": _TEXT,
            "seed": _NATURAL,
            **_PROMPT,
            "samples": _COUNT,
            "correct": _NATURAL,
            "n_tokens": _LENGTH,
            "finished": _NATURAL,
            "entropy": _NATS,
            "hwe": _LENGTH,
            "hwe_threshold": Column("number"),
        },
        ("arm", "seed", *_ONE),
        (ONE_LEVEL, AT_MOST),
        parts="models",
        judged=True,
        shortened=("entropy",),
    ),
}

#: Tables of scales whose material is data sets: there, problems are rows of these.
DATA_FORMS: dict[str, Form] = {
    **{name: FORMS[name] for name in ("steps", "timings")},
    "problems": Form(
        _ITEM,
        ("source", "row"),
        files=("problems/cold-start", "problems/aepo"),
    ),
    "pass_rates": Form(
        {
            "source": _TEXT,
            "problem_id": _TEXT,
            "prompt_tokens": _COUNT,
            **_RATE,
            "n_tokens": Column("number", low=0, gaps=True),
        },
        ("source", "problem_id"),
        (AT_MOST, SHARE),
        parts="shards",
    ),
    "pool": Form(
        {**_ITEM, **_TRACE},
        ("source", "row", "habit", "trace"),
        parts="shards",
    ),
    "selection": Form(
        {"curation": _TEXT, **_ITEM, **_PLACE, "habit": _TEXT, "text": _TEXT, "n_tokens": _COUNT},
        ("curation", "source", "row", "habit", "text"),
    ),
    "losses": Form(
        {"step": _COUNT, "loss": Column("number"), "lr": Column("number", low=0)},
        ("curation", "step"),
        files=("losses/adacs", "losses/cs-vanilla"),
    ),
    "scores": Form(
        {"model": _TEXT, "benchmark": _TEXT, "metric": _TEXT, "score": Column("number", 0, 100)},
        ("model", "benchmark", "metric"),
        parts="models",
    ),
}


def tables_of(data: bool) -> dict[str, Form]:
    """The tables that a scale makes, by the names of their files without the ending.

    Args:
        data: whether the material is data sets; else it is the small world.

    >>> [name for name, form in tables_of(data=True).items() if form.parts == "runs"]
    ['steps', 'timings']
    """
    forms = DATA_FORMS if data else FORMS
    return {file: form for name, form in forms.items() for file in form.files or (name,)}


#: Columns that only a run's own tables have.
FULL = {
    "token_ids": Column("integers", low=0),
    "entropy": Column("numbers", low=-1e-3, high=100),
    "logprob": Column("numbers", high=1e-3),
    "numbers": Column("integers", low=1),
    "target": Column("integer", low=1),
    "text": _TEXT,
}
