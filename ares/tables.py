"""All tables of a run: columns, what holds between them, how one is made; and reading one, checked.

A table that lacks a column, has one of another type, a value out of its bounds, a row twice or
numbers that contradict each other is refused before a number is computed from it. Columns that a
form does not name may stand in a table. The compact tables of the repository have the forms of the
full ones, but for the columns that are `left_out`.

A name has one form, whoever makes the table: a scale of the small world ("world"), one of data sets
("data"), the judge of its findings ("findings"), `ares analyze` ("traces") or `ares benchmark`
("benchmark"). What only some makers can say, such as how a problem is named, is a column of theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import pandas as pd

from ares.errors import UserError
from ares.io import read_table

Maker = Literal["world", "data", "traces", "benchmark", "findings"]
LEVELS, PRESENTATIONS = ("easy", "medium", "hard"), ("text", "image")


@dataclass(frozen=True)
class Column:
    """What the values of a column are.

    kind: text, flag, integer, number, or a list of one of the last two ("integers", "numbers").
    low, high: bounds, themselves allowed. among: the texts there are, () for any.
    gaps: whether NaN may stand there.
    of: the makers whose tables have it, () for all.
    """

    kind: str
    low: float = -np.inf
    high: float = np.inf
    among: tuple[str, ...] = ()
    gaps: bool = False
    of: tuple[Maker, ...] = ()


@dataclass(frozen=True)
class Form:
    """Columns, and those that tell one row from another.

    of: the makers that make such a table.
    parts: what it is joined from: shards, runs, or tests of all models; "" if it is made at once.
    empty: whether there may be no rows.
    files: a maker's names for it in the folder of a run; none: that of the form.
    judged: whether findings are judged by it. timed: whether it holds wall times: other bytes in
    every run.
    left_out: columns that the repository's copy lacks. shortened: those whose entropies it rounds.
    """

    columns: Mapping[str, Column]
    key: tuple[str, ...]
    of: tuple[Maker, ...] = ("world",)
    parts: Literal["", "shards", "runs", "models"] = ""
    empty: bool = False
    files: Mapping[Maker, tuple[str, ...]] = field(default_factory=dict)
    judged: bool = False
    timed: bool = False
    left_out: tuple[str, ...] = ()
    shortened: tuple[str, ...] = ()


def _named(table: pd.DataFrame) -> list[bool]:
    """Whether a problem is named after its numbers and its target."""
    shown = (table[name] for name in ("problem_id", "numbers", "target"))
    return [
        problem_id == "-".join(map(str, sorted(numbers.tolist()))) + f"={target}"
        for problem_id, numbers, target in zip(*shown, strict=True)
    ]


def _lengths(table: pd.DataFrame) -> np.ndarray:
    lists = [table[name] for name in _LISTED if name in table]
    return np.logical_and.reduce([cells.map(len) == table["n_tokens"] for cells in lists])


#: What does not hold, in words: the columns that show it, and in which rows it does hold. A table
#: without one of these columns has nothing to contradict.
_RULES: dict[str, tuple[tuple[str, ...], Callable[[pd.DataFrame], Any]]] = {
    "k is not how many numbers there are": (
        ("numbers", "k"),
        lambda table: table["numbers"].map(len) == table["k"],
    ),
    "problem_id is not that of its numbers and target": (
        ("problem_id", "numbers", "target"),
        _named,
    ),
    "its problem has another level elsewhere": (
        ("problem_id", "level"),
        lambda table: table.groupby("problem_id")["level"].transform("nunique") == 1,
    ),
    "more correct than samples": (
        ("correct", "samples"),
        lambda table: table["correct"] <= table["samples"],
    ),
    "pass_rate is not correct / samples": (
        ("pass_rate", "correct", "samples"),
        lambda t: np.isclose(t["pass_rate"], t["correct"] / t["samples"], rtol=0, atol=1e-9),
    ),
    "correct and verdict contradict each other": (
        ("correct", "verdict"),
        lambda table: table["correct"] == table["verdict"].isin(["correct", "cut: correct"]),
    ),
    "its lists are not n_tokens long": (("token_ids", "n_tokens"), _lengths),
}

_COUNT, _NATURAL = Column("integer", low=1), Column("integer", low=0)
_TEXT, _FLAG, _NUMBER = Column("text"), Column("flag"), Column("number")
_SHARE, _LENGTH = Column("number", 0, 1), Column("number", low=0)
_MEAN, _MEAN_NATS = (Column("number", low=0, high=most, gaps=True) for most in (np.inf, 100))
_LISTED = {
    "token_ids": Column("integers", low=0),
    "entropy": Column("numbers", low=-1e-3, high=100),
    "logprob": Column("numbers", high=1e-3),
}
#: What the columns of a name hold, but where a form says otherwise.
_NAMES: dict[Column, str] = {
    _TEXT: "arm benchmark bucket by category claim curation decision difficulty extracted failure "
    "finish gold group habit id metric model note phase problem problem_id scale slot source split "
    "status text token unit variant verdict",
    _FLAG: "causal correct finished hwe lexicon lexicon_top1",
    _COUNT: "n_groups n_items n_tokens prompt_tokens responses samples target",
    _NATURAL: "alternatives branch_at failed hwe_validated n_seeds no_answer pictures position "
    "prompt_index rollout rollout_id row sample seed step trace ungradable",
    _NUMBER: "hwe_threshold loss value",
    _SHARE: "accuracy bracket pass_rate",
    _LENGTH: "grad_norm lr seconds",
    _MEAN: "target_tokens",
    _MEAN_NATS: "max_window window",
    Column("number", 0, 100): "ci_high ci_low score",
    Column("number", low=-1e-3, high=100): "class_entropy entropy",
    Column("number", high=1e-3): "logprob sampled_logprob",
    Column("numbers", high=1e-3): "top_logprobs",
    Column("number", 0, 0.5): "effect",
    Column("number", 0, 1, gaps=True): "unlisted",
    Column("integer", low=0, gaps=True): "top_k",
    Column("integer", low=-1): "parent",
    Column("integer", low=2): "k",
    Column("integers", low=1): "numbers",
    Column("text", among=LEVELS): "level",
    Column("text", among=PRESENTATIONS): "presentation",
}
_COLUMNS = {name: column for column, names in _NAMES.items() for name in names.split()}


def _columns(names: str, **others: Column) -> dict[str, Column]:
    """Columns by their names.

    Args:
        names: `slot@world` is a column of that maker's tables alone.
        others: what those hold that differ from the columns of their name.
    """
    found = {}
    for each in names.split():
        name, _, maker = each.partition("@")
        column = others.get(name) or _COLUMNS[name]
        found[name] = replace(column, of=(cast("Maker", maker),)) if maker else column
    return found


#: A problem of the small world as it is shown, or of a data set.
_PROMPT = (
    "source@data row@data problem_id prompt_tokens@data pictures@data level@world k@world "
    "presentation@world"
)
_PROBLEM = f"{_PROMPT} numbers@world target@world"
_ONE = ("source", "problem_id", "presentation")
_TOKEN, _STEP = ("rollout_id", "position"), ("arm", "seed", "step")
_WORKFLOW: tuple[Maker, ...] = ("world", "data")
#: What the pool of traces has beside the columns of their problems.
TRACE = _columns("habit trace text n_tokens")

#: All tables by name.
FORMS: dict[str, Form] = {
    "problems": Form(
        _columns(f"{_PROBLEM} split@world"),
        _ONE,
        _WORKFLOW,
        files={"data": ("problems", "problems/cold-start", "problems/aepo")},
    ),
    "rollouts": Form(
        _columns(
            f"rollout_id {_PROBLEM} sample text n_tokens finished correct verdict token_ids "
            "entropy logprob",
            **_LISTED,
        ),
        ("rollout_id",),
        _WORKFLOW,
        "shards",
        judged=True,
        left_out=tuple(_LISTED),
    ),
    "tokens": Form(
        _columns(
            "rollout_id position token entropy lexicon lexicon_top1 decision@world slot@world "
            "class_entropy@world logprob category@traces unlisted@traces window@traces hwe@traces",
            lexicon_top1=Column("flag", of=_WORKFLOW),
            logprob=Column("number", high=1e-3, of=_WORKFLOW),
            unlisted=_SHARE,
        ),
        _TOKEN,
        (*_WORKFLOW, "traces"),
        judged=True,
        left_out=("logprob",),
        shortened=("entropy", "class_entropy"),
    ),
    "top_k": Form(
        _columns("rollout_id position entropy sampled_logprob top_logprobs"), _TOKEN, _WORKFLOW
    ),
    "causal": Form(
        _columns("rollout_id position alternatives effect causal"),
        _TOKEN,
        parts="shards",
        judged=True,
    ),
    "pass_rates": Form(
        _columns(
            f"{_PROBLEM} samples correct pass_rate n_tokens", correct=_NATURAL, n_tokens=_LENGTH
        ),
        _ONE,
        _WORKFLOW,
        "shards",
    ),
    "pool": Form(
        _columns(_PROBLEM) | TRACE,
        (*_ONE, "habit", "trace"),
        _WORKFLOW,
        "shards",
        left_out=("numbers", "target", "text"),
    ),
    "selection": Form(
        _columns(f"curation {_PROBLEM} pass_rate bracket target_tokens habit text n_tokens"),
        ("curation", *_ONE, "habit", "text"),
        _WORKFLOW,
    ),
    "steps": Form(
        _columns("arm seed step metric bucket value"),
        (*_STEP, "metric", "bucket"),
        _WORKFLOW,
        "runs",
        judged=True,
    ),
    "timings": Form(
        _columns("arm seed step phase seconds"), (*_STEP, "phase"), _WORKFLOW, "runs", timed=True
    ),
    "validation": Form(
        _columns(
            "arm seed step level presentation responses accuracy n_tokens finished",
            level=_TEXT,
            presentation=_TEXT,
            n_tokens=_LENGTH,
            finished=_SHARE,
        ),
        (*_STEP, "level", "presentation"),
        parts="runs",
    ),
    "trees": Form(
        _columns("arm seed step prompt_index rollout parent branch_at n_tokens correct text"),
        (*_STEP, "prompt_index", "rollout"),
        parts="runs",
        empty=True,
    ),
    "evaluation": Form(
        _columns(
            f"arm seed {_PROMPT} samples correct n_tokens finished entropy hwe hwe_threshold",
            **dict.fromkeys(("correct", "finished"), _NATURAL),
            **dict.fromkeys(("n_tokens", "hwe"), _LENGTH),
        ),
        ("arm", "seed", *_ONE),
        parts="models",
        judged=True,
        shortened=("entropy",),
    ),
    "losses": Form(
        _columns("step loss lr grad_norm curation", step=_COUNT),
        ("curation", "step"),
        ("data",),
        files={"data": ("losses/adacs", "losses/cs-vanilla")},
    ),
    "scores": Form(
        _columns(
            "model benchmark metric score ci_low ci_high n_items n_groups samples n_tokens "
            "finished no_answer ungradable failed source",
            n_tokens=_MEAN,
            finished=Column("number", 0, 1, gaps=True),
        ),
        ("model", "benchmark", "metric"),
        ("data", "benchmark"),
        "models",
    ),
    "responses": Form(
        _columns(
            "model benchmark id group variant sample status correct finish n_tokens failure gold "
            "extracted by note",
            n_tokens=_MEAN,
        ),
        ("model", "benchmark", "id", "sample"),
        ("benchmark",),
    ),
    "findings": Form(
        _columns(
            "id claim paper ours ci_low ci_high p unit n_seeds verdict scale",
            **dict.fromkeys(("paper", "ours", "ci_low", "ci_high"), Column("number", gaps=True)),
            p=Column("number", 0, 1, gaps=True),
        ),
        ("id",),
        ("findings",),
    ),
    "findings_by_seed": Form(_columns("id seed value unit"), ("id", "seed"), ("findings",)),
    "traces": Form(
        _columns(
            "rollout_id id problem benchmark difficulty correct finish n_tokens entropy hwe "
            "hwe_validated max_window top_k unlisted",
            **dict.fromkeys(("n_tokens", "hwe"), _NATURAL),
            correct=Column("flag", gaps=True),
            entropy=_MEAN_NATS,
        ),
        ("rollout_id",),
        ("traces",),
    ),
}


def form_of(name: str, maker: Maker = "world") -> Form:
    """The form of a table as a maker makes it: its own columns, and the key among them."""
    form = FORMS[name]
    columns = {
        column: each for column, each in form.columns.items() if not each.of or maker in each.of
    }
    return replace(form, columns=columns, key=tuple(c for c in form.key if c in columns))


def columns_of(name: str, maker: Maker = "world") -> list[str]:
    """The columns of a table as a maker makes it, in their order.

    >>> columns_of("timings")
    ['arm', 'seed', 'step', 'phase', 'seconds']
    """
    return list(form_of(name, maker).columns)


def tables_of(maker: Maker) -> dict[str, Form]:
    """The tables that a maker makes, by the names of their files without the ending.

    >>> [name for name, form in tables_of("data").items() if form.parts == "runs"]
    ['steps', 'timings']
    """
    forms = {name: form_of(name, maker) for name, form in FORMS.items() if maker in form.of}
    return {file: form for name, form in forms.items() for file in form.files.get(maker, (name,))}


def read_form(path: str | Path, name: str, *more: str, maker: Maker = "world") -> pd.DataFrame:
    """Read a table and check it as `check_form`; UserError also where it is missing or damaged."""
    table = read_table(path)
    check_form(table, path, name, *more, maker=maker)
    return table


def check_form(
    table: pd.DataFrame, path: str | Path, name: str, *more: str, maker: Maker = "world"
) -> None:
    """Refuse a table that is not of a form.

    Args:
        path: where it comes from, for messages.
        name: a key of `FORMS`.
        more: left-out columns that are needed: a run's own table has them, a compact one has not.
        maker: who made it.

    Raises:
        UserError: names the column and row.
    """
    form = form_of(name, maker)
    for column, values in form.columns.items():
        if column in form.left_out and column not in more:
            continue
        if column not in table.columns:
            raise UserError(
                f"{path}: has no column '{column}', so it is no table of {name}; give another, or "
                "run the workflow that makes it"
            )
        if len(table) and (wrong := _wrong(table[column], values)):
            raise UserError(f"{path}: column '{column}': {wrong}; make the table again")
    if not len(table) and not form.empty:
        raise UserError(f"{path}: has no rows; make the table again")
    once = f"has the {', '.join(form.key)} of an earlier one"
    rules = {once: (form.key, lambda rows: ~rows.duplicated(list(form.key))), **_RULES}
    for what, (needed, holds) in rules.items():
        if len(table) and set(needed) <= set(table.columns):
            broken = ~np.asarray(holds(table), dtype=bool)
            if broken.any():
                raise UserError(f"{path}: row {broken.argmax()}: {what}; make the table again")


_KINDS = {"flag": "b", "integer": "iu", "number": "iuf", "integers": "iu", "numbers": "iuf"}


def _wrong(values: pd.Series, column: Column) -> str:
    """What is wrong with the values of a column, "" if nothing is."""
    if column.kind in ("integers", "numbers"):
        strange = ~values.map(lambda cell: _is_list(cell, column)).to_numpy(bool)
    elif column.kind == "text" and pd.api.types.is_string_dtype(values.dtype):
        strange = (~values.isin(column.among) if column.among else values.isna()).to_numpy()
    elif values.dtype.kind not in _KINDS.get(column.kind, ""):
        return f"holds {values.dtype} where {column.kind} belongs"
    else:
        strange = ~_inside(values.to_numpy(), column)
        if column.gaps:
            strange &= values.notna().to_numpy()
    row = int(strange.argmax())
    return f"row {row} holds {str(values.iloc[row])[:80]!r}" if strange.any() else ""


def _is_list(cell: Any, column: Column) -> bool:
    known = isinstance(cell, np.ndarray) and cell.ndim == 1
    return known and cell.dtype.kind in _KINDS[column.kind] and bool(_inside(cell, column).all())


def _inside(values: np.ndarray, column: Column) -> np.ndarray:
    return np.isfinite(values) & (values >= column.low) & (values <= column.high)


def join(paths: Sequence[str | Path]) -> pd.DataFrame:
    """The rows of all parts of a table, part by part.

    Raises:
        UserError: a part is missing or named twice, or its columns are others than the first's.
    """
    twice = next((path for path in paths if paths.count(path) > 1), None)
    if twice:
        raise UserError(f"{twice}: is named twice; its rows would count twice")
    tables = [read_table(path) for path in paths]
    # A table without rows has lost the types of its columns and would blur those of the others.
    filled = [table for table in tables if len(table)] or tables[:1]
    for path, table in zip(paths, tables, strict=True):
        same = table.dtypes.equals(filled[0].dtypes) if len(table) else True
        if not same or list(table.columns) != list(filled[0].columns):
            raise UserError(
                f"{path}: its columns differ from those of the other parts, in name or type; the "
                "parts are of different tables or of different versions of the code: remove them "
                "and run again"
            )
    return pd.concat(filled, ignore_index=True)
