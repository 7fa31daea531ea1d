"""An evaluation on benchmarks: tables of responses and scores, lines for `ares analyze`.

A row of the table of responses is one sample of one question, without its text; the text is in the
traces. The difficulty of a trace is that of eq. 10 where a question was sampled at least eight
times (easy from 3/4 right, medium from 3/8); with fewer samples it is the level that the registry
gives the benchmark, or none.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import compress, groupby
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from ares.backends.base import Decoding, Failure
from ares.backends.messages import as_texts, parts
from ares.backends.store import CachedBackend
from ares.data.items import Item
from ares.errors import UserError
from ares.evaluation.grader import Grader
from ares.evaluation.grades import Grade
from ares.evaluation.load import Items, items, usable
from ares.evaluation.metrics import scores
from ares.evaluation.registry import Benchmark
from ares.evaluation.run import Answered, answered, requests_of
from ares.io import atomic_path
from ares.method.difficulty import BUCKETS, buckets
from ares.model.load import load_processor
from ares.model.processor import prompt_text, tokenizer_of
from ares.stats import NAN
from ares.tables import columns_of

#: Samples of a question from which its pass rate says how difficult it is (eq. 10).
ENOUGH = 8
#: Of the table of responses, but for the model, which the command knows.
COLUMNS = columns_of("responses", "benchmark")[1:]
#: Rules of thumb: characters of English text per token, and pixels of a visual token of Qwen2.5-VL.
CHARACTERS, PIXELS = 4, 28 * 28


@dataclass(frozen=True)
class Plan:
    """What is asked: questions of benchmarks, `limit` of each, and how responses are drawn."""

    benchmarks: list[Benchmark]
    limit: int | None
    samples: int | None
    decoding: Decoding
    seed: int

    def cost(self, backend: CachedBackend, tokenizer: str) -> str:
        """How many requests and tokens an evaluation would take, in words; asks nothing.

        Args:
            tokenizer: model whose tokenizer counts the text of prompts; "" for an estimate.
        """
        processor, rows = load_processor(tokenizer) if tokenizer else None, []
        if processor and not processor.chat_template:
            raise UserError(f"{tokenizer}: its tokenizer has no chat template")
        for benchmark in self.benchmarks:
            samples = self.samples or benchmark.samples
            found = _usable(benchmark, self.limit)
            requests = requests_of(found, samples, self.decoding, self.seed)
            missing = [backend.key(request) not in backend.store for request in requests]
            prompt = sum(
                _prompt_tokens(request.item, processor) for request in compress(requests, missing)
            )
            rows.append((benchmark.name, len(found), samples, sum(missing), prompt))
        columns = ["benchmark", "questions", "samples", "requests", "prompt tokens"]
        table = pd.DataFrame(rows, columns=columns)
        table["response tokens, at most"] = table["requests"] * self.decoding.max_tokens
        kept = int((table["questions"] * table["samples"] - table["requests"]).sum())
        how = "counted" if tokenizer else f"estimated at {CHARACTERS} characters a token"
        return (
            f"{table.to_string(index=False)}\n{table['requests'].sum()} requests to ask, {kept} "
            f"answers are in {backend.store.path}; prompt tokens of text are {how}, of pictures "
            "estimated at one per 28 x 28 pixels"
        )

    def carry_out(
        self, backend: CachedBackend, judge: CachedBackend | None, traces_out: Path | None
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Ask and grade; the table of responses and that of scores.

        Args:
            traces_out: appears whole at the end, or not at all.
        """
        tables, scored = [], []
        place = atomic_path(traces_out) if traces_out else nullcontext(Path(os.devnull))
        with (
            Grader(judge=judge) as grader,
            place as temporary,
            temporary.open("w", encoding="utf-8", newline="\n") as file,
        ):
            for benchmark in self.benchmarks:
                found = _usable(benchmark, self.limit)
                how = self.decoding, self.samples or benchmark.samples, self.seed
                answers = answered(found, backend, grader, *how, progress=benchmark.name)
                rows: list[dict[str, Any]] = []
                # The samples of a question follow one another.
                for _, group in groupby(answers, key=lambda done: done.item.id):
                    samples = list(group)
                    rows += map(row, samples)
                    for trace in _traces(samples, benchmark.level):
                        file.write(json.dumps(trace, ensure_ascii=False) + "\n")
                tables.append(pd.DataFrame(rows))
                source = " ".join(found.origins)
                scored.append(scores(tables[-1], benchmark).assign(source=source))
        return pd.concat(tables, ignore_index=True), pd.concat(scored, ignore_index=True)


def _usable(benchmark: Benchmark, limit: int | None) -> Items:
    """The questions that are asked; says which rows are set aside: no score counts them."""
    found, aside = usable(items(benchmark, limit))
    for reason in aside[:10]:
        print(f"set aside: {reason}")
    if aside:
        print(f"{benchmark.name}: {len(aside)} of {len(aside) + len(found)} rows are set aside")
    return found


def row(done: Answered) -> dict[str, Any]:
    """One sample as a row: `COLUMNS`, then the tags of the question.

    status: see `ares.evaluation.grades.Grade`, or "failed" where there is no response. n_tokens: of
    the response; NaN where the backend does not say.
    """
    item, outcome, grade = done.item, done.outcome, done.grade or Grade("failed", by="")
    if isinstance(outcome, Failure):
        came = ("", NAN, outcome.reason)
    else:
        came = (outcome.finish, NAN if outcome.tokens is None else float(outcome.tokens), "")
    names = (item.benchmark, item.id, item.group, item.variant, done.sample)
    graded = (item.question.gold, grade.extracted, grade.by, grade.note)
    values = (*names, grade.status, grade.correct, *came, *graded)
    return {**dict(zip(COLUMNS, values, strict=True)), **item.tags}


def _traces(samples: list[Answered], level: str | None) -> Iterator[dict[str, Any]]:
    """The responses to one question as lines for `ares analyze`; failures have none.

    Args:
        samples: all of the question.
        level: of the benchmark, for questions with few samples.
    """
    right = [done.grade.correct for done in samples if done.grade]
    if len(right) >= ENOUGH:
        level = BUCKETS[int(buckets(torch.tensor(sum(right) / len(right))))]
    for done in samples:
        item, response, grade = done.item, done.outcome, done.grade
        if isinstance(response, Failure) or grade is None:
            continue
        yield {
            "id": item.id,
            "benchmark": item.benchmark,
            "sample": done.sample,
            "prompt": as_texts(item.messages[-1:], "[picture]", " ")[0]["content"],
            "gold": item.question.gold,
            "extracted": grade.extracted,
            "status": grade.status,
            "correct": grade.correct,
            "difficulty": level,
            **response.traced(),
        }


def _prompt_tokens(item: Item, processor: Any) -> int:
    """Tokens of a prompt, estimated at four characters a token where there is no processor.

    Pictures are always estimated, at one token per 28 x 28 pixels, before any resizing.
    """
    visual = sum(-(-image.width * image.height // PIXELS) for image in item.images)
    if processor is None:
        characters = sum(len(part.get("text", "")) for part in parts(item.messages))
        return visual + -(-characters // CHARACTERS)
    text = prompt_text(item, processor)
    return visual + len(tokenizer_of(processor)(text, add_special_tokens=False)["input_ids"])
