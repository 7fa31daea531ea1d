"""Items of a benchmark: rows turned into questions, when they are read.

Choices:
1. `limit` takes whole groups in a fixed order that has nothing to do with their place in the file:
   a small sample covers all subjects, variants stay together, a larger limit contains a smaller.
2. Choices that are no column of their own but stand in a text make a row a choice only where its
   answer is one of their letters.
3. What a row lacks is an error that names the row, never an empty gold answer.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, NamedTuple

from PIL import Image

from ares.backends.messages import messages, with_choices
from ares.data.items import Item, Lazy, row_seed
from ares.errors import UserError
from ares.evaluation.choices import gold_letters
from ares.evaluation.grades import Question
from ares.evaluation.registry import PLACES, Benchmark
from ares.evaluation.sources import DatasetPart, ItemError, parts
from ares.evaluation.steps import CHOICE_STEPS, TEXT_STEPS, accepted


def items(benchmark: Benchmark, limit: int | None = None) -> Items:
    """The questions of a benchmark; pictures are decoded when an item is read.

    Args:
        limit: at most so many, in whole groups, but at least one group.

    Raises:
        UserError: the data can't be loaded, a column is missing, or two rows have one id.
    """
    if limit is not None and limit < 1:
        raise UserError(f"limit {limit}: give 1 or more")
    readers = [_Reader(benchmark, part) for part in parts(benchmark)]
    rows = [row for reader in readers for row in reader.index()]
    if not rows:
        raise UserError(f"benchmark {benchmark.name}: no rows in {benchmark.source} are kept")
    twice = [name for name, count in Counter(row.id for row in rows).items() if count > 1]
    if twice:
        raise UserError(
            f"benchmark {benchmark.name}: {len(twice)} ids stand for several rows, {twice[0]!r} "
            "among them; name more columns under 'id', or @row"
        )
    origins = tuple(reader.part.origin for reader in readers)
    kept = rows if limit is None else _whole_groups(rows, limit)
    return Items(len(kept), lambda place: kept[place].reader.item(kept[place]), origins)


@dataclass(frozen=True, eq=False)
class Items(Lazy[Item]):
    """Lazy; reading one raises `ItemError` (a `UserError`) where its row can't be used.

    origins: what the rows were read from: hub data set and commit, or file and content.
    """

    origins: tuple[str, ...]


class _Row(NamedTuple):
    """A row that is kept: who reads it, where it is, its id and its group."""

    reader: _Reader
    place: int
    id: str
    group: str


def _whole_groups(rows: Sequence[_Row], limit: int) -> list[_Row]:
    """The rows of some groups: no more than `limit` rows, but at least one group."""
    sizes = Counter(row.group for row in rows)
    order = sorted(sizes, key=lambda name: hashlib.sha256(name.encode()).digest())
    totals = accumulate(sizes[group] for group in order)
    number = max(1, sum(total <= limit for total in totals))
    taken = set(order[:number])
    return [row for row in rows if row.group in taken]


class _Reader:
    """Turns the rows of one part into items."""

    def __init__(self, benchmark: Benchmark, part: DatasetPart) -> None:
        self.benchmark, self.part = benchmark, part
        self.images = _image_columns(benchmark, part)
        wanted = _wanted(benchmark, self.images)
        _check_columns(benchmark, part, wanted)
        columns = [name for name in wanted if name not in PLACES]
        self.view = part.table.select_columns(columns).with_format("arrow")

    def index(self) -> list[_Row]:
        """The rows that are kept."""
        columns, part = self.benchmark.columns, self.part
        ids = [part.column(name) for name in columns.id]
        groups = part.column(columns.group) if columns.group else None
        kept = [(part.column(name), set(values)) for name, values in self.benchmark.keep.items()]
        found = []
        for place in range(len(part.table)):
            if all(_text(values[place]) in wanted for values, wanted in kept):
                name = "/".join(_text(values[place]) for values in ids)
                found.append(_Row(self, place, name, _text(groups[place]) if groups else name))
        return found

    def item(self, kept: _Row) -> Item:
        """The item of a row.

        Raises:
            ItemError: the row can't be used; names it and says why.
        """
        row = self.view[kept.place : kept.place + 1].to_pylist()[0]
        row |= {"@row": kept.place, "@split": self.part.split, "@config": self.part.config}
        try:
            return self._item(row, kept.id, kept.group)
        except (ValueError, RecursionError) as error:
            place = f"benchmark {self.benchmark.name}, item {kept.id}"
            raise ItemError(f"{place}: {error}") from None

    def _item(self, row: dict[str, Any], name: str, group: str) -> Item:
        benchmark, columns = self.benchmark, self.benchmark.columns
        texts = [_stepped(row[column], benchmark.steps.question) for column in columns.question]
        question = "\n\n".join(text for text in texts if text)
        choices, letter = CHOICE_STEPS[benchmark.steps.choices](
            [row[column] for column in columns.choices], row_seed(0, "choices", name)
        )
        gold = letter or _stepped(row[columns.answer], benchmark.steps.answer, choices)
        either = "either of list" in benchmark.steps.answer and not letter
        kind = _kind(benchmark, row, gold, choices)
        if kind != "choice":
            choices = []
        asked = with_choices(question, choices if benchmark.listed else ())
        pictures = self._pictures(row)
        if not gold:
            raise ValueError("has no right answer")
        if not question and not pictures:
            raise ValueError("has no question")
        text = _text(row[columns.text]) if columns.text else ""
        return Item(
            benchmark=benchmark.name,
            id=name,
            messages=messages(asked, pictures, benchmark.prompt, benchmark.system),
            question=Question(
                gold=_letters(gold, choices) if kind == "choice" else gold,
                answer=kind,
                choices=tuple(choices),
                text=text or asked,
                accepted=accepted(row[columns.answer])[1:] if either else (),
                tolerance=self._tolerance(row),
            ),
            group=group,
            variant=_text(row[columns.variant]) if columns.variant else "",
            tags=self._tags(row),
        )

    def _tolerance(self, row: dict[str, Any]) -> float:
        columns = self.benchmark.columns
        if columns.decimals and (places := _number(row[columns.decimals])) is not None:
            return 0.5 * 10**-places
        own = _number(row[columns.tolerance]) if columns.tolerance else None
        return self.benchmark.tolerance if own is None else own

    def _tags(self, row: dict[str, Any]) -> dict[str, str]:
        columns = self.benchmark.columns
        tags = {tag: _text(row[column]) for tag, column in columns.tags.items()}
        if columns.trace:
            texts = [_stepped(row[name], self.benchmark.steps.trace) for name in columns.trace]
            form = "{}" if len(texts) == 1 else "<think> {} </think> {}"
            tags["trace"] = form.format(*texts)
        return tags

    def _pictures(self, row: dict[str, Any]) -> dict[int, Image.Image]:
        """The pictures of a row by number: that of their column, or their place."""
        values: list[tuple[int, Any]] = []
        for place, column in enumerate(self.images, 1):
            value = row[column]
            if isinstance(value, str) and value.startswith("["):
                value = json.loads(value)
            if isinstance(value, list):
                values += [(len(values) + 1 + extra, each) for extra, each in enumerate(value)]
            elif value not in (None, ""):
                number = re.search(r"(\d+)$", column)
                values.append((int(number.group(1)) if number else place, value))
        return {number: self.part.picture(value) for number, value in values}


def _kind(benchmark: Benchmark, row: dict[str, Any], gold: str, choices: Sequence[str]) -> str:
    """The type of answer of a row."""
    declared = benchmark.answer
    if by := benchmark.answer_by:
        value = _text(row[by.column])
        if value not in by.types:
            raise ValueError(
                f"column '{by.column}' holds '{value}', which 'answer_by' does not name "
                f"({', '.join(by.types)})"
            )
        declared = by.types[value]
    if not choices:
        return declared
    known = bool(gold_letters(gold, choices))
    if benchmark.steps.choices == "lettered":
        # Parts of a text need not be choices: the declared type and the answer decide.
        return "choice" if known and not benchmark.answer_by else declared
    if not known:
        raise ValueError(f"the answer '{gold}' is none of its {len(choices)} choices")
    return "choice"


def _letters(gold: str, choices: Sequence[str]) -> str:
    """A letter, or several, without brackets: "(b)" is B; the text of a choice is its letter."""
    found = gold_letters(gold, choices)
    return ", ".join(sorted(found)) if found else gold


def _number(value: Any) -> float | None:
    """A number, however it is written; None for anything else."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def usable(found: Items) -> tuple[Items, list[str]]:
    """The items whose rows can be used, and why the others can't be.

    Raises:
        UserError: none can be used.
    """
    kept, aside = [], []
    for place in range(len(found)):
        try:
            _ = found[place]
            kept.append(place)
        except ItemError as error:
            aside.append(str(error))
    if not kept:
        raise UserError(f"not one row can be used; {aside[0]}")
    return Items(len(kept), lambda at: found[kept[at]], found.origins), aside


def _stepped(value: Any, steps: Sequence[str], choices: Sequence[str] = ()) -> str:
    for step in steps:
        value = TEXT_STEPS[step](value, choices)
    return _text(value).strip()


def _text(value: Any) -> str:
    """A value as text: None is "", lists and mappings are JSON."""
    if value is None:
        return ""
    if isinstance(value, (list, dict)):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def _wanted(benchmark: Benchmark, images: Sequence[str]) -> list[str]:
    """All columns that an entry names, without repetition, in its order."""
    c, by = benchmark.columns, benchmark.answer_by
    named = [*c.id, *c.question, c.answer, *c.choices, *images, *c.trace, c.group, c.variant]
    named += [
        c.text,
        c.tolerance,
        c.decimals,
        *c.tags.values(),
        *benchmark.keep,
        by.column if by else "",
    ]
    return list(dict.fromkeys(filter(None, named)))


def _image_columns(benchmark: Benchmark, part: DatasetPart) -> list[str]:
    """The columns with pictures; a pattern `image_*` is every column of that form, by number."""
    found: list[str] = []
    for name in benchmark.columns.images:
        form = re.compile(re.escape(name).replace(r"\*", r"(\d+)"))
        numbered = [m for m in map(form.fullmatch, part.table.column_names) if m]
        if "*" in name and numbered:
            found += [m[0] for m in sorted(numbered, key=lambda m: int(m[1]))]
        else:
            found.append(name)  # `_check_columns` refuses a pattern that no column fits
    return found


def _check_columns(benchmark: Benchmark, part: DatasetPart, wanted: Sequence[str]) -> None:
    absent = [name for name in wanted if name not in {*part.table.column_names, *PLACES}]
    if absent:
        raise UserError(
            f"benchmark {benchmark.name}: {part.origin} has no column "
            f"{', '.join(map(repr, absent))}; it has {', '.join(part.table.column_names)}; "
            "correct 'columns' of its registry entry"
        )
    for name in wanted:
        if str(getattr(part.table.features.get(name), "dtype", "")).startswith(("date", "time")):
            raise UserError(
                f"benchmark {benchmark.name}: {part.origin}: texts in column '{name}' look like "
                "dates and were taken for dates when the file was read; store it as parquet or csv"
            )
