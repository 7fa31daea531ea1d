"""Benchmarks as data: what each one is, where its questions are, how its columns are read.

`config/benchmarks.yaml` holds the paper's. A user's file has the same form and adds to them; an
entry with `like: AIME24` and `path: my.jsonl` is another one read from a file of one's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import fastjsonschema

from ares import paths
from ares.benchmarks.steps import CHOICE_STEPS, TEXT_STEPS
from ares.config import (
    check_integers,
    check_keys,
    explain,
    read_yaml,
    schema,
    shown,
    suggestion,
    validated,
    with_defaults,
)
from ares.errors import UserError

REGISTRY = paths.CONFIG / "benchmarks.yaml"
#: Prompts of reinforcement learning and sources of the cold start, at the paper's scale.
TRAINING_DATA = paths.CONFIG / "training-data.yaml"

#: What an entry does not take over from the one it is like if it names another place: a file stands
#: for the same config and split, another data set has its own.
_ELSEWHERE = {
    "path": ("hub", "path", "revision", "files"),
    "hub": ("hub", "path", "revision", "files", "config", "split", "archive"),
}
#: Names of the place of a row, usable like columns.
PLACES = ("@row", "@split", "@config")
#: No tag may have the name of a column that every table of responses has, or of the trace.
_TAKEN = (
    *("model", "benchmark", "id", "group", "variant", "sample", "status", "correct", "finish"),
    *("n_tokens", "failure", "gold", "extracted", "by", "note", "trace"),
)


@dataclass(frozen=True)
class Columns:
    """Which columns hold what; () and "" where there is none. See `ares/schemas/benchmarks.json`.

    question: put below one another. images: columns, or a pattern `image_*`. trace: a column, or
    one with the thought and one with the answer. tags: tag and column.
    """

    id: tuple[str, ...]
    question: tuple[str, ...]
    answer: str
    choices: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    group: str = ""
    variant: str = ""
    text: str = ""
    trace: tuple[str, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Benchmark:
    """One entry of a registry, checked.

    hub, path: where the rows are; one of them is "". A path is absolute, a file or a folder.
    revision, files, config, split: on the hub; several configs and splits stand side by side.
    archive: zip file that holds the pictures which rows name by path.
    keep: column and the values of the rows to keep, as text.
    question_steps, answer_steps, trace_steps, choice_step: names in `ares.benchmarks.steps`.
    listed: whether the prompt lists the choices; else they stand in question or picture.
    answer: type of answer of a row without choices; answer_column, answer_types: the column that
        decides it where rows differ, and the type of each of its values.
    prompt: template with {question}. system: system message or "".
    metric: pass@1, average@k, worst or strict; samples: responses per item.
    level, paper, tables: difficulty, column name and tables in the paper.
    size: number of items as its authors count them, 0 where not known.
    """

    name: str
    columns: Columns
    answer: str
    prompt: str
    hub: str = ""
    path: str = ""
    revision: str = "main"
    files: str = ""
    config: tuple[str, ...] = ()
    split: tuple[str, ...] = ("train",)
    archive: str = ""
    keep: tuple[tuple[str, tuple[str, ...]], ...] = ()
    question_steps: tuple[str, ...] = ()
    answer_steps: tuple[str, ...] = ()
    trace_steps: tuple[str, ...] = ()
    choice_step: str = "as they are"
    listed: bool = True
    answer_column: str = ""
    answer_types: tuple[tuple[str, str], ...] = ()
    system: str = ""
    metric: str = "pass@1"
    samples: int = 1
    level: str = ""
    paper: str = ""
    tables: tuple[int, ...] = ()
    size: int = 0
    note: str = ""

    @property
    def source(self) -> str:
        """Where its rows come from, for people and records.

        >>> load_registry()["GSM8K"].source.split("@")[0]
        'openai/gsm8k'
        """
        return self.path or f"{self.hub}@{self.revision}"


def load_registry(
    *files: str | Path, local: Mapping[str, str | Path] | None = None
) -> dict[str, Benchmark]:
    """Read registry files; a later file may add entries and refer to earlier ones.

    Args:
        files: relative to the current directory; none: the paper's benchmarks.
        local: files or folders to read registered benchmarks from in place of the hub, by name;
            they have the columns of the hub's.

    Raises:
        UserError: an unreadable file, an unknown key, a value out of its bounds, a name twice, an
            unknown step, template or entry, no place to read from.
    """
    prompts: dict[str, str] = {}
    entries: dict[str, dict[str, Any]] = {}
    for file in map(Path, files or (REGISTRY,)):
        file = file.absolute()
        content = validated(read_yaml(file), schema("benchmarks"), shown(file))
        prompts = {**prompts, **content["prompts"]}  # a file may name templates anew, for itself
        _add(entries, _resolved(content["benchmarks"], entries, prompts, file), shown(file))
    for name, path in (local or {}).items():
        if name not in entries:
            raise UserError(f"unknown benchmark '{name}'{suggestion(name, entries)}")
        entries[name] = _moved(entries[name], Path(path).absolute())
    return {name: _benchmark(name, entry) for name, entry in entries.items()}


def _add(known: dict[str, Any], new: Mapping[str, Any], where: str) -> None:
    for name, value in new.items():
        if name in known:
            raise UserError(f"{where}: '{name}' is there already; give it another name")
        known[name] = value


def _resolved(
    entries: Mapping[str, Any],
    earlier: Mapping[str, dict[str, Any]],
    prompts: Mapping[str, str],
    file: Path,
) -> dict[str, dict[str, Any]]:
    """The entries of a file, checked, with defaults, templates and absolute paths."""
    known = dict(earlier)
    found: dict[str, dict[str, Any]] = {}
    for name, entry in entries.items():
        where = f"{shown(file)}: {name}"
        raw = _inherited(entry, known, where)
        checked = _checked(raw, where)
        if ("hub" in checked) == ("path" in checked):
            raise UserError(f"{where}: give either 'hub' or 'path'")
        if "path" in checked:
            checked["path"] = str(file.parent / checked["path"])
        checked["prompt"] = _template(where, checked["prompt"], prompts)
        _check_columns(where, checked["columns"])
        _check_steps(where, checked["steps"])
        known[name] = found[name] = checked
    return found


def _checked(entry: Any, where: str) -> dict[str, Any]:
    """As `ares.config.validated`; the schema is compiled once for all entries."""
    rules = schema("benchmarks")["definitions"]["entry"]
    check_keys(entry, rules, where)
    check_integers(entry, rules, where)
    try:
        _validator()(entry)
    except fastjsonschema.JsonSchemaValueException as error:
        raise UserError(f"{where}: {explain(error)}") from None
    return with_defaults(entry, rules)


@cache
def _validator() -> Callable[[Any], Any]:
    return fastjsonschema.compile(schema("benchmarks")["definitions"]["entry"], use_default=False)


def _inherited(entry: Any, known: Mapping[str, dict[str, Any]], where: str) -> Any:
    """An entry with what it takes over from the one it is like."""
    if not isinstance(entry, Mapping) or "like" not in entry:
        return entry
    model = entry["like"]
    if model not in known:
        raise UserError(f"{where}: like: unknown benchmark '{model}'{suggestion(model, known)}")
    left = {key for place, keys in _ELSEWHERE.items() if place in entry for key in keys}
    taken = {key: value for key, value in known[model].items() if key not in left}
    return {**taken, **{key: value for key, value in entry.items() if key != "like"}}


def _moved(entry: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The entry, read from a file or a folder."""
    left = _ELSEWHERE["path"]
    return {**{key: v for key, v in entry.items() if key not in left}, "path": str(path)}


def _benchmark(name: str, entry: Mapping[str, Any]) -> Benchmark:
    columns, steps, by = entry["columns"], entry["steps"], entry.get("answer_by", {})
    return Benchmark(
        name=name,
        columns=Columns(
            id=_tuple(columns["id"]),
            question=_tuple(columns["question"]),
            answer=columns["answer"],
            choices=_tuple(columns["choices"]),
            images=_tuple(columns["images"]),
            group=columns["group"],
            variant=columns["variant"],
            text=columns["text"],
            trace=_tuple(columns["trace"]),
            tags=tuple(columns["tags"].items()),
        ),
        answer=entry["answer"],
        hub=entry.get("hub", ""),
        path=entry.get("path", ""),
        config=_tuple(entry["config"]),
        split=_tuple(entry["split"]),
        keep=tuple((key, tuple(map(str, values))) for key, values in entry["keep"].items()),
        question_steps=tuple(steps["question"]),
        answer_steps=tuple(steps["answer"]),
        trace_steps=tuple(steps["trace"]),
        choice_step=steps["choices"],
        answer_column=by.get("column", ""),
        answer_types=tuple(by.get("types", {}).items()),
        tables=tuple(entry["tables"]),
        **{key: entry[key] for key in _PLAIN if key in entry},
    )


#: Keys that a benchmark keeps as they are.
_PLAIN = (
    *("revision", "files", "archive", "listed", "prompt", "system", "metric", "samples"),
    *("level", "paper", "size", "note"),
)


def _check_columns(where: str, columns: Mapping[str, Any]) -> None:
    for tag in columns["tags"]:
        if tag in _TAKEN:
            raise UserError(f"{where}: the tag '{tag}' has the name of a column of tables")
    if len(columns["trace"]) > 2 and not isinstance(columns["trace"], str):
        raise UserError(f"{where}: trace: one column, or two: the thought and the answer")


def _check_steps(where: str, steps: Mapping[str, Any]) -> None:
    for step in (*steps["question"], *steps["answer"], *steps["trace"]):
        _check_step(where, step, TEXT_STEPS)
    _check_step(where, steps["choices"], CHOICE_STEPS)


def _check_step(where: str, step: str, known: Mapping[str, Any]) -> None:
    if step not in known:
        raise UserError(
            f"{where}: unknown step '{step}'{suggestion(step, known)}; there are: "
            f"{', '.join(known)}"
        )


def _template(where: str, prompt: str, prompts: Mapping[str, str]) -> str:
    if "{question}" in prompt:
        return prompt
    if prompt not in prompts:
        raise UserError(
            f"{where}: prompt: unknown template '{prompt}'{suggestion(prompt, prompts)}; "
            "give the name of one under 'prompts', or a text with {question}"
        )
    return prompts[prompt]


def _tuple(value: str | list[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)
