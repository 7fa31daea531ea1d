"""Benchmarks as data: what each one is, where its questions are, how its columns are read.

`config/benchmarks.yaml` holds the paper's. A user's file has the same form and adds to them; an
entry with `like: AIME24` and `path: my.jsonl` is that benchmark read from your own file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator

from ares import paths
from ares.errors import UserError
from ares.evaluation.grades import Answer
from ares.evaluation.steps import CHOICE_STEPS, TEXT_STEPS
from ares.settings import Natural, Settings, Text, checked, read_yaml, shown, suggestion

REGISTRY = paths.CONFIG / "benchmarks.yaml"

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


def _listed(value: Any) -> Any:
    """A name by itself as a list of one."""
    return (value,) if isinstance(value, str) else tuple(value) if type(value) is list else value


#: One name or several.
Names = Annotated[
    tuple[str, ...], BeforeValidator(_listed, json_schema_input_type=str | tuple[str, ...])
]
_OneName = Annotated[Names, Field(min_length=1)]
if TYPE_CHECKING:
    _TextStep = _ChoiceStep = str
else:
    _TextStep, _ChoiceStep = Literal[tuple(TEXT_STEPS)], Literal[tuple(CHOICE_STEPS)]
_Values = Annotated[
    tuple[str | int | float | bool, ...],
    Field(min_length=1),
    AfterValidator(lambda values: tuple(map(str, values))),
]


class Columns(Settings):
    """Which columns hold what; @row, @split and @config are the place of a row."""

    id: Names = ("@row",)
    """Column or columns that name a row, joined by /"""
    question: _OneName
    """Column or columns, one below the other; empty ones are left out"""
    answer: str
    """The right answer"""
    choices: Names = ()
    """A column with all of them, or one column each"""
    images: Names = ()
    """Column or columns; image_* takes every column of that form, by number"""
    group: str = ""
    """Shared by the variants of one question"""
    variant: str = ""
    """Which variant it is"""
    text: str = ""
    """The question in words, for a judge, where it differs from what is asked"""
    tolerance: str = ""
    """By how much a number may differ from the right one; a row without has none"""
    decimals: str = ""
    """To how many decimals an answer is rounded before it is compared; a row without is not"""
    trace: Names = ()
    """A reasoning trace that comes with the row; two columns: thought and answer"""
    tags: dict[str, str] = Field({})
    """Further columns to keep as text: tag to column"""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        for tag in self.tags:
            if tag in _TAKEN:
                raise ValueError(f"the tag '{tag}' has the name of a column of tables")
        if len(self.trace) > 2:
            raise ValueError("trace: one column, or two: the thought and the answer")
        return self


class Steps(Settings):
    """Named steps from columns to question, answer and choices (ares/evaluation/steps.py)."""

    question: tuple[_TextStep, ...] = ()
    """Steps of the question, in order"""
    answer: tuple[_TextStep, ...] = ()
    """Steps of the answer, in order"""
    choices: _ChoiceStep = "as they are"
    """Step of the choices"""
    trace: tuple[_TextStep, ...] = ()
    """Steps of the trace, in order"""


class AnswerBy(Settings):
    """The column whose value decides the type of answer, where rows differ."""

    column: str
    """Its name"""
    types: dict[str, Answer]
    """Type of answer by value"""


class Benchmark(Settings):
    """One entry of a registry; its rows are on the hub or in a file or folder."""

    name: str = ""
    """Its name in the registry"""
    hub: Annotated[str, StringConstraints(pattern=r"^([\w.-]+/[\w.-]+)?$")] = ""
    """Data set on the Hugging Face hub, owner/name"""
    path: str = ""
    """Local file (parquet, jsonl, json, csv) in place of the hub, relative to the registry file; a
    folder of <config>/<split>.<suffix> for several"""
    revision: str = "main"
    """Commit or tag on the hub; a branch (main) moves"""
    files: str = ""
    """Data file or pattern in the data set, where it holds several kinds"""
    config: Names = ()
    """Subset or subsets on the hub, side by side"""
    split: _OneName = ("train",)
    """Split or splits, side by side"""
    archive: str = ""
    """Zip file of the data set that holds the pictures its rows name"""
    columns: Columns
    """Which columns hold what"""
    keep: dict[str, _Values] = Field({})
    """Rows to keep: column to the values wanted, compared as text"""
    steps: Steps = Steps()
    """Named steps from columns to question, answer and choices"""
    listed: bool = True
    """false: the choices stand in the question or the picture already"""
    answer: Answer
    """Type of answer of rows without choices"""
    answer_by: AnswerBy | None = None
    """What decides the type of answer where rows differ"""
    prompt: Text
    """Name of a template, or a template with {question}"""
    system: str = ""
    """System message, or nothing"""
    metric: Literal["pass@1", "average@k", "worst", "strict"] = "pass@1"
    """pass@1 and average@k: mean over items and samples; worst: all variants right; strict:
    We-Math's score"""
    samples: Natural = 1
    """Responses per item"""
    tolerance: float = Field(0.0, ge=0)
    """By how much a number may differ from the right one, where rows do not say"""
    level: Literal["", "easy", "medium", "hard"] = ""
    """Difficulty by Table 4 of the paper"""
    paper: str = ""
    """Name of its column in data/paper/"""
    tables: tuple[int, ...] = ()
    """Tables of the paper that report it"""
    size: int = Field(0, ge=0)
    """Items as its authors count them; 0 where not known"""
    note: str = ""
    """What could not be verified, and what is particular"""

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if bool(self.hub) == bool(self.path):
            raise ValueError("give either 'hub' or 'path'")
        return self

    @property
    def source(self) -> str:
        """Where its rows come from, for people and records.

        >>> load_registry()["GSM8K"].source.split("@")[0]
        'openai/gsm8k'
        """
        return self.path or f"{self.hub}@{self.revision}"


class Registry(Settings):
    """A registry file."""

    prompts: dict[str, Annotated[str, StringConstraints(pattern=r"\{question\}")]] = Field({})
    """Templates by name; {question} is replaced"""
    benchmarks: dict[str, Any] = Field(min_length=1)
    """Entries by name; `like` names an earlier entry whose other keys one takes over"""


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
    known: dict[str, Benchmark] = {}
    for file in map(Path, files or (REGISTRY,)):
        file = file.absolute()
        content = checked(Registry, read_yaml(file), shown(file))
        prompts = {**prompts, **content.prompts}  # a file may name templates anew, for itself
        for name, entry in content.benchmarks.items():
            if name in known:
                raise UserError(f"{shown(file)}: '{name}' is there already; give it another name")
            known[name] = _benchmark(name, entry, known, prompts, file)
    for name, path in (local or {}).items():
        entry = {"like": name, "path": str(Path(path).absolute())}
        known[name] = _benchmark(name, entry, known, prompts, file)
    return known


def _benchmark(
    name: str, entry: Any, known: Mapping[str, Benchmark], prompts: Mapping[str, str], file: Path
) -> Benchmark:
    """An entry of a file, checked, with its template and an absolute path."""
    where = f"{shown(file)}: {name}"
    if isinstance(entry, Mapping) and "like" in entry:
        model = entry["like"]
        if model not in known:
            raise UserError(f"{where}: like: unknown benchmark '{model}'{suggestion(model, known)}")
        left = {key for place, keys in _ELSEWHERE.items() if place in entry for key in keys}
        taken = known[model].model_dump(mode="json", exclude_unset=True, exclude=left)
        entry = {**taken, **{key: value for key, value in entry.items() if key != "like"}}
    found = checked(Benchmark, entry, where)
    if "{question}" not in found.prompt and found.prompt not in prompts:
        raise UserError(
            f"{where}: prompt: unknown template '{found.prompt}'"
            f"{suggestion(found.prompt, prompts)}; give the name of one under 'prompts', or a text "
            "with {question}"
        )
    path = found.path and str(file.parent / found.path)
    prompt = prompts.get(found.prompt, found.prompt)
    return found.model_copy(update={"name": name, "path": path, "prompt": prompt})
