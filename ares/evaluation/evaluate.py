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

from ares.answers.grader import Grader
from ares.answers.judge import ModelJudge
from ares.backends.base import Decoding, Failure
from ares.backends.messages import Messages, as_texts, characters, pictures
from ares.backends.store import Kept
from ares.backends.weights import local_folder
from ares.errors import UserError
from ares.evaluation.load import items
from ares.evaluation.metrics import scores
from ares.evaluation.registry import Benchmark
from ares.evaluation.run import Answered, answered, requests_of
from ares.io import atomic_path
from ares.method.difficulty import BUCKETS, buckets

#: Samples of a question from which its pass rate says how difficult it is (eq. 10).
ENOUGH = 8
COLUMNS = [
    *("benchmark", "id", "group", "variant", "sample", "status", "correct", "finish"),
    *("n_tokens", "failure", "gold", "extracted", "by", "note"),
]
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

    def told(self, backend: Kept, tokenizer: str) -> str:
        """How many requests and tokens an evaluation would take; asks nothing."""
        counting = _load_tokenizer(tokenizer) if tokenizer else None
        rows = []
        for benchmark in self.benchmarks:
            samples = self.samples or benchmark.samples
            found = items(benchmark, self.limit)
            requests = requests_of(found, samples, self.decoding, self.seed)
            missing = [backend.key(request) not in backend.store for request in requests]
            prompt = sum(
                _prompt_tokens(asked.messages, counting) for asked in compress(requests, missing)
            )
            rows.append((benchmark.name, len(found), samples, sum(missing), prompt))
        columns = ["benchmark", "questions", "samples", "requests", "prompt tokens"]
        table = pd.DataFrame(rows, columns=columns)
        table["response tokens, at most"] = table["requests"] * self.decoding.max_tokens
        kept = int((table["questions"] * table["samples"] - table["requests"]).sum())
        how = "counted" if tokenizer else "estimated at 4 characters a token"
        return (
            f"{table.to_string(index=False)}\n{table['requests'].sum()} requests to ask, {kept} "
            f"answers are in {backend.store.path}; prompt tokens of text are {how}, of pictures "
            "estimated at one per 28 x 28 pixels"
        )

    def carried_out(
        self, backend: Kept, judge: ModelJudge | None, traces_out: Path | None
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
                found = items(benchmark, self.limit)
                how = self.decoding, self.samples or benchmark.samples, self.seed
                rows: list[dict[str, Any]] = []
                for of_item in _by_item(
                    answered(found, backend, grader, *how, progress=benchmark.name)
                ):
                    for trace in _traces(of_item, benchmark.level):
                        file.write(json.dumps(trace, ensure_ascii=False) + "\n")
                    rows += map(row, of_item)
                tables.append(pd.DataFrame(rows))
                source = " ".join(found.origins)
                scored.append(scores(tables[-1], benchmark).assign(source=source))
        return pd.concat(tables, ignore_index=True), pd.concat(scored, ignore_index=True)


def row(done: Answered) -> dict[str, Any]:
    """One sample as a row: `COLUMNS`, then the tags of the question.

    status: see `ares.answers.base.STATUSES`, or "failed" where there is no response. n_tokens: of
    the response; NaN where the backend does not say.
    """
    item, outcome, grade = done.item, done.outcome, done.grade
    names = (item.benchmark, item.id, item.group, item.variant, done.sample)
    if isinstance(outcome, Failure) or grade is None:
        reason = outcome.reason if isinstance(outcome, Failure) else ""
        values = ("failed", False, "", float("nan"), reason, item.question.gold, "", "", "")
    else:
        tokens = float("nan") if outcome.tokens is None else float(outcome.tokens)
        values = (
            *(grade.status, grade.correct, outcome.finish, tokens, ""),
            *(item.question.gold, grade.extracted, grade.by, grade.note),
        )
    return {**dict(zip(COLUMNS, (*names, *values), strict=True)), **item.tags}


def _by_item(answers: Iterator[Answered]) -> Iterator[list[Answered]]:
    """The samples of one question after another; a question's samples follow one another."""
    for _, group in groupby(answers, key=lambda done: (done.item.benchmark, done.item.id)):
        yield list(group)


def _traces(samples: list[Answered], level: str | None) -> list[dict[str, Any]]:
    """The responses to one question as lines for `ares analyze`; failures have none.

    Args:
        samples: all of the question.
        level: of the benchmark, for questions with few samples.
    """
    graded = [done for done in samples if done.grade is not None]
    difficulty = level
    if len(graded) >= ENOUGH:
        rate = sum(bool(done.grade and done.grade.correct) for done in graded) / len(graded)
        difficulty = BUCKETS[int(buckets(torch.tensor(rate)))]
    return [_trace(done, difficulty) for done in graded]


def _trace(done: Answered, difficulty: str | None) -> dict[str, Any]:
    item, response, grade = done.item, done.outcome, done.grade
    assert not isinstance(response, Failure) and grade is not None
    return {
        "id": item.id,
        "benchmark": item.benchmark,
        "sample": done.sample,
        "prompt": as_texts(item.messages[-1:], "[picture]", " ")[0]["content"],
        "gold": item.question.gold,
        "extracted": grade.extracted,
        "status": grade.status,
        "correct": grade.correct,
        "difficulty": difficulty,
        **response.traced(),
    }


def _load_tokenizer(model: str) -> Any:
    """The tokenizer of a model folder, or of a model of the hub.

    Raises:
        UserError: there is none, or it has no chat template.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(local_folder(model) or model)
    except (OSError, ValueError) as error:
        raise UserError(f"{model}: no tokenizer ({str(error).splitlines()[0]})") from None
    if not tokenizer.chat_template:
        raise UserError(f"{model}: its tokenizer has no chat template")
    return tokenizer


def _prompt_tokens(messages: Messages, tokenizer: Any) -> int:
    """Tokens of a prompt, estimated at four characters a token where there is no tokenizer.

    Pictures are always estimated, at one token per 28 x 28 pixels, before any resizing.
    """
    visual = sum(-(-image.width * image.height // PIXELS) for image in pictures(messages))
    if tokenizer is None:
        return visual + -(-characters(messages) // CHARACTERS)
    ids = tokenizer.apply_chat_template(
        [dict(message) for message in messages], add_generation_prompt=True, return_dict=False
    )
    return visual + len(ids)
