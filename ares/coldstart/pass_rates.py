"""Pass rates of the base model on the problems of the cold start (the paper: 8 samples each)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from ares.answers.base import UNGRADABLE
from ares.answers.grader import Grader
from ares.backends.base import Backend, Decoding, open_backend
from ares.backends.store import CachedBackend, Store
from ares.config import Scale
from ares.data.items import Problems
from ares.evaluation.evaluate import COLUMNS, row
from ares.evaluation.run import Answered, answered
from ares.model.load import load
from ares.sampling.rollouts import Sampling, roll_out


def measure(
    scale: Scale, problems: Problems, store: str | Path, progress: str = ""
) -> pd.DataFrame:
    """Sample and grade responses to every problem, and print how it went; see `pass_rates`.

    The store keeps the answers of other back-ends than the package's own sampler.

    Raises:
        UserError: the model can't be loaded or asked; its answers so far are kept.
    """
    part = scale.cold_start
    drawn = part.temperature, part.top_p
    if scale.backend.kind == "engine":
        model, processor, _ = load(scale)
        # Batches of an evaluation are about three times faster than those of the rollouts, which
        # keep every token's entropy.
        batch = scale.evaluation.batch_prompts
        sampling = Sampling(part.samples, *drawn, part.max_new_tokens, batch, scale.seed)
        responses = roll_out(model, processor, problems, sampling, progress)
    else:
        decoding = Decoding(part.max_new_tokens, *drawn)
        with Grader() as grader, Store(store) as kept:
            backend = CachedBackend(_base_model_backend(scale), kept)
            answers = answered(
                problems.items, backend, grader, decoding, part.samples, scale.seed, progress
            )
            responses = tabulated(answers)
    table = pass_rates(problems.table, responses, part.samples)
    lost = len(problems) - len(table)
    print(
        f"{len(table)} problems, mean pass rate {table['pass_rate'].mean():.3f}"
        + (f"; {lost} problems left out for requests that failed: run again" if lost else "")
    )
    return table


def _base_model_backend(scale: Scale) -> Backend:
    """The base model behind the back-end that the scale names."""
    backend, part = scale.backend, scale.cold_start
    return open_backend(
        kind=backend.kind,
        model=scale.model,
        url=backend.url or None,
        parallel=backend.parallel or None,
        key_variable=backend.key_variable,
        tensor_parallel=backend.tensor_parallel,
        max_model_len=part.max_prompt_tokens + part.max_new_tokens,
    )


def tabulated(answers: Iterable[Answered]) -> pd.DataFrame:
    """A row per answer, as for a benchmark, with the flags ungradable and failed."""
    rows = pd.DataFrame(map(row, answers), columns=COLUMNS)
    return rows.assign(ungradable=rows["status"] == UNGRADABLE, failed=rows["status"] == "failed")


def pass_rates(problems: pd.DataFrame, responses: pd.DataFrame, samples: int) -> pd.DataFrame:
    """Pass rate p (section 3) of every problem that got all its responses, in their order.

    A pass rate over the responses that happened to come would be of another kind, so a problem of
    which a request failed is left out.

    `responses` are `samples` to every problem, side by side: correct (flag), n_tokens; where
    requests or grading can fail, also failed and ungradable (flags).

    Returns:
        The columns of the problems; samples, correct (counts), pass_rate (fraction), n_tokens (mean
        tokens of the responses, end token included); ungradable (count, among the wrong ones) where
        the responses have it.
    """
    groups = responses.groupby(np.arange(len(responses)) // samples)
    table = problems.reset_index(drop=True).assign(samples=groups.size().astype("int64"))
    table["correct"] = groups["correct"].sum().astype("int64")
    table["pass_rate"] = table["correct"] / table["samples"]
    table["n_tokens"] = groups["n_tokens"].mean()
    if "ungradable" in responses:
        table["ungradable"] = groups["ungradable"].sum().astype("int64")
        table = table[~groups["failed"].any()].reset_index(drop=True)
    return table
