"""The table of benchmarks in docs/benchmarks.md: `python docs/benchmarks_table.py` renews it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ares.evaluation.registry import Benchmark, load_registry

PAGE = Path(__file__).with_name("benchmarks.md")
BEGIN, END = "<!-- begin: table of config/benchmarks.yaml -->", "<!-- end -->"
HEAD = """\
| benchmark | data set | config, split | items | answer | metric | level | in tables |
|---|---|---|---|---|---|---|---|"""


def renewed(page: str) -> str:
    """The page with its table, and what could not be verified, made anew."""
    before, _, rest = page.partition(BEGIN)
    after = rest.partition(END)[2]
    known = list(load_registry().values())
    notes = [f"- **{b.name}**: {b.note}" for b in known if b.note]
    lines = [BEGIN, HEAD, *table(known), "", *notes, END]
    return before + "\n".join(lines) + after


def table(benchmarks: Iterable[Benchmark]) -> Iterable[str]:
    """One row per benchmark, as Markdown."""
    for b in benchmarks:
        types = dict.fromkeys(b.answer_by.types.values() if b.answer_by else [b.answer])
        if b.columns.choices and "choice" not in types:
            types = {"choice": None, **types}
        splits = b.split if len(b.split) < 3 else (b.split[0], "...", b.split[-1])
        place = ", ".join((*b.config, *splits))
        metric = b.metric.replace("@k", f"@{b.samples}")
        tables = ", ".join(map(str, b.tables))
        yield (
            f"| {b.name} | `{b.hub}` | {place} | {b.size:,} | {', '.join(types)} | {metric} | "
            f"{b.level} | {tables} |"
        )


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
