"""The pool that curation selects from: verified traces of teachers, with their lengths."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
from tqdm import tqdm

from ares.coldstart.teachers import SourceStopped, TeacherSource
from ares.errors import UserError
from ares.sampling.rollouts import Task
from ares.world.settings import World
from ares.world.verify import verify

COLUMNS = [
    *("problem_id", "level", "k", "presentation", "numbers", "target"),
    *("habit", "trace", "text", "n_tokens"),
]


@dataclass(frozen=True)
class Pool:
    """Traces (one row each) and, where the source stopped early, why."""

    traces: pd.DataFrame
    stopped: str = ""


def build_pool(
    tasks: list[Task],
    source: TeacherSource,
    tokenizer,
    world: World,
    max_tokens: int,
    progress: str = "",
) -> Pool:
    """Ask the teachers about every task; keep what is right, fits, and was not said before.

    Args:
        tokenizer: the model's; it counts the tokens of a trace, the end token included.
        max_tokens: longest trace that is kept, end token included.

    Returns:
        The traces: problem_id, level, k, presentation, numbers, target, habit, trace (index),
        text, n_tokens. Those of the tasks before the source stopped, if it did.

    Raises:
        UserError: not one trace is left.
    """
    rows: list[dict] = []
    stopped = ""
    special = _special_ids(tokenizer)
    try:
        for task in tqdm(tasks, desc=progress, unit="prompt", disable=not progress, mininterval=5):
            rows += _kept(task, source, tokenizer, special, world, max_tokens)
    except SourceStopped as limit:
        stopped = str(limit)
    if not rows:
        raise UserError(
            stopped
            or f"none of the teachers' traces is right and at most {max_tokens} tokens long; "
            "ask for more traces or allow longer ones"
        )
    return Pool(pd.DataFrame(rows, columns=COLUMNS), stopped)


def _special_ids(tokenizer) -> set[int]:
    """Tokens that a response can't hold: turns, pictures, and the one for words it lacks."""
    special = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    return special | {tokenizer.unk_token_id}


def _kept(
    task: Task,
    source: TeacherSource,
    tokenizer,
    special: set[int],
    world: World,
    max_tokens: int,
) -> list[dict]:
    rows: dict[str, dict] = {}
    for trace in source.traces(task):
        if trace.text in rows or not verify(task.problem, trace.text, world.values).correct:
            continue
        ids = tokenizer(trace.text, add_special_tokens=False)["input_ids"]
        n_tokens = len(ids) + 1
        if n_tokens <= max_tokens and special.isdisjoint(ids):
            rows[trace.text] = {
                "problem_id": task.problem.id,
                "level": task.level,
                "k": len(task.problem.numbers),
                "presentation": task.presentation,
                "numbers": list(task.problem.numbers),
                "target": task.problem.target,
                "habit": trace.habit,
                "trace": trace.index,
                "text": trace.text,
                "n_tokens": n_tokens,
            }
    return list(rows.values())
