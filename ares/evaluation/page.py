"""The table of all benchmarks in docs/benchmarks.md: `python -m ares.evaluation.page` renews it."""

from __future__ import annotations

from collections.abc import Iterable

from ares import paths
from ares.errors import UserError
from ares.evaluation.registry import Benchmark, load_registry
from ares.io import write_text

PAGE = paths.ROOT / "docs" / "benchmarks.md"
BEGIN, END = "<!-- begin: table of config/benchmarks.yaml -->", "<!-- end -->"


def table(benchmarks: Iterable[Benchmark]) -> str:
    """One row per benchmark, as Markdown."""
    lines = [
        "| benchmark | data set | config, split | items | answer | metric | level | in tables |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for b in benchmarks:
        types = dict.fromkeys(b.answer_by.types.values() if b.answer_by else [b.answer])
        if b.columns.choices and "choice" not in types:
            types = {"choice": None, **types}
        splits = b.split if len(b.split) < 3 else (b.split[0], "...", b.split[-1])
        place = ", ".join((*b.config, *splits))
        metric = b.metric.replace("@k", f"@{b.samples}")
        tables = ", ".join(map(str, b.tables))
        lines.append(
            f"| {b.name} | `{b.hub}` | {place} | {b.size:,} | {', '.join(types)} | {metric} | "
            f"{b.level} | {tables} |"
        )
    return "\n".join(lines)


def notes(benchmarks: Iterable[Benchmark]) -> str:
    """What could not be verified, one item per benchmark."""
    return "\n".join(f"- **{b.name}**: {b.note}" for b in benchmarks if b.note)


def renewed(page: str) -> str:
    """The page with its table and notes made anew.

    Raises:
        UserError: the page has no marks to put them between.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise UserError(f"{PAGE.name}: the marks '{BEGIN}' and '{END}' are not there")
    found = list(load_registry().values())
    return f"{before}{begin}\n{table(found)}\n\n{notes(found)}\n{end}{after}"


if __name__ == "__main__":
    write_text(PAGE, renewed(PAGE.read_text(encoding="utf-8")))
