"""A model on the test problems: accuracy, length, entropy and HWE tokens of every prompt.

Choices:
1. All models of a scale get the same prompts, and response i to a prompt draws the same random
   numbers from every model: differences between models are then differences of the models.
2. One entropy threshold counts the HWE tokens of all models: the base model's, over all complete
   windows of its evaluation. Each model's own would select a fixed share of its tokens, and a
   model that turned certain everywhere would seem as uncertain as before.
3. Responses are reduced batch by batch; only where the threshold is not known yet, the windows
   are kept (eight bytes per token).

How many prompts share a batch changes the results by rounding alone. Sums of other shapes differ
in the last bits, and rarely one flips a draw: one response of some thousands, when it was measured.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from tqdm import tqdm

from ares.analysis.tables import Tokens, window_threshold
from ares.data.items import Problems
from ares.errors import UserError
from ares.sampling.rollouts import Sampling, roll_out

#: The window w and the quantile of the threshold: the main text's, and those of preset `ares`.
WINDOW, QUANTILE = 4, 0.95
#: What tells one prompt from another.
PROMPT = ["problem_id", "presentation"]


def evaluate(
    model,
    processor,
    problems: Problems,
    sampling: Sampling,
    base: pd.DataFrame | None = None,
    progress: str = "",
) -> pd.DataFrame:
    """Sample and grade responses to every problem; one row each, in their order.

    Args:
        base: the evaluation whose threshold counts; None: it is taken from these very responses.

    Returns:
        problem_id, level, k, presentation, samples, correct, finished (counts), n_tokens (mean
        tokens per response), entropy (mean nats per token, over the tokens of all responses),
        hwe (mean HWE tokens per response), hwe_threshold (nats).

    Raises:
        UserError: the base is of other prompts or of several models, or no response is as long as
            a window.
    """
    threshold = None
    if base is not None:
        counted = base.get("hwe_threshold", pd.Series(dtype=float)).unique()
        if len(counted) != 1:
            raise UserError(
                f"the table to take the threshold from has {len(counted)} thresholds in its column "
                "hwe_threshold; give the evaluation of one model"
            )
        threshold = float(counted[0])
        tables = base, problems.table
        known, asked = (set(table[PROMPT].itertuples(index=False, name=None)) for table in tables)
        if known != asked:
            raise UserError(
                "the table to take the threshold from is of other test problems than these; "
                "evaluate the base model again with this config"
            )
    parts: list[pd.DataFrame] = []
    kept: list[tuple[Tokens, np.ndarray]] = []
    hwe: list[np.ndarray] = []
    with tqdm(total=len(problems), desc=progress, unit="prompt", disable=not progress) as bar:
        for start in range(0, len(problems), sampling.batch_prompts):
            stop = min(start + sampling.batch_prompts, len(problems))
            rollouts = roll_out(model, processor, problems.some(range(start, stop)), sampling)
            parts.append(_summary(rollouts))
            tokens = Tokens.of_responses(rollouts["entropy"].to_list())
            kept.append((tokens, tokens.windows(WINDOW)))
            if threshold is not None:
                hwe.append(_hwe_per_problem(*kept.pop(), threshold, sampling.samples))
            bar.update(stop - start)
    if threshold is None:
        threshold = window_threshold(np.concatenate([window_N for _, window_N in kept]), QUANTILE)
    hwe += [_hwe_per_problem(*of_batch, threshold, sampling.samples) for of_batch in kept]
    table = pd.concat(parts, ignore_index=True)
    return table.assign(hwe=np.concatenate(hwe), hwe_threshold=threshold)


def _summary(rollouts: pd.DataFrame) -> pd.DataFrame:
    """One row per prompt, in the order of the rollouts."""
    means = rollouts.assign(total=rollouts["entropy"].map(np.sum)).groupby(PROMPT, sort=False)
    table = means.agg(
        level=("level", "first"),
        k=("k", "first"),
        samples=("correct", "size"),
        correct=("correct", "sum"),
        n_tokens=("n_tokens", "mean"),
        finished=("finished", "sum"),
        entropy=("total", "sum"),
    ).reset_index()
    table["entropy"] /= table["n_tokens"] * table["samples"]
    counts = dict.fromkeys(["samples", "correct", "finished"], "int64")
    table = table.astype(counts | {"entropy": "float64"})
    first = ["problem_id", "level", "k", "presentation"]
    return table[[*first, *table.columns.drop(first)]]


def _hwe_per_problem(
    tokens: Tokens, window_N: np.ndarray, threshold: float, samples: int
) -> np.ndarray:
    """Mean HWE tokens per response of every problem."""
    hwe_R = tokens.reduced((window_N >= threshold).astype(np.int64))
    return hwe_R.reshape(-1, samples).mean(1)
