"""The pool that the cold start selects from: verified reasoning traces, with their lengths."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from ares.coldstart.teachers import TeacherTrace, longest_trace
from ares.config import Scale
from ares.evaluation.grades import RIGHT
from ares.model.processor import tokenizer_of
from ares.tables import TRACE


def pool(
    problems: pd.DataFrame, found: Iterable[TeacherTrace], processor: Any, room: Sequence[int]
) -> tuple[pd.DataFrame, Counter]:
    """The traces that can be learnt from, a row each, and how many were left out for which reason.

    A trace is kept when it is right, fits, holds no special token and was not said before.

    Args:
        problems: one row each; the places of the traces are these rows.
        room: tokens that a trace of each problem may have, the end token included.

    Returns:
        The table of the pool, see `ares.tables`; and the reasons.
    """
    tokenizer = tokenizer_of(processor)
    special = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    special.add(tokenizer.unk_token_id)
    places, rows = [], []
    left_out: Counter = Counter()
    said: set[tuple[int, str]] = set()
    for trace in found:
        status, n_tokens = trace.status, 0
        if status == RIGHT:
            ids = tokenizer(trace.text, add_special_tokens=False)["input_ids"]
            n_tokens = len(ids) + 1
            if n_tokens > room[trace.place]:
                status = "too long to be learnt from"
            elif not special.isdisjoint(ids):
                status = "holds a special token"
            elif (trace.place, trace.text) in said:
                status = "said before"
        if status != RIGHT:
            left_out[status] += 1
            continue
        said.add((trace.place, trace.text))
        places.append(trace.place)
        rows.append((trace.habit, trace.number, trace.text, n_tokens))
    kept = problems.iloc[places].reset_index(drop=True)
    columns = list(TRACE)
    return pd.concat([kept, pd.DataFrame(rows, columns=columns)], axis=1), left_out


def room_for_traces(scale: Scale, problems: pd.DataFrame) -> list[int]:
    """Tokens that a trace of each problem may have; see `longest_trace`."""
    prompts = problems["prompt_tokens"].tolist() if scale.of_data_sets else [0] * len(problems)
    return [longest_trace(scale) - tokens for tokens in prompts]
