"""Speed of the method on one core: `python benchmarks/bench_method.py` prints one ratio.

The pass over high-window-entropy tokens, all that a batch needs under the released preset (both
entropies, threshold, windows, triggers, counts), against a plain Python loop over tokens and their
alternatives that does the same. The two sides take turns and the best turn of each counts, so that
a loaded machine hits both alike. Seconds are CPU time of the process.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from ares.method.entropy import topk_entropy
from ares.method.lexicon import load_lexicon, token_match
from ares.method.tensors import pad_rows
from ares.method.thresholds import median_rollout_quantile
from ares.method.windows import count_hwe, hwe_mask, window_entropy

ROLLOUTS, LONGEST, ALTERNATIVES, WINDOW, QUANTILE = 64, 2048, 10, 4, 0.95


def recorded() -> tuple[list[list[list[float]]], list[list[list[int]]], list[str]]:
    """Log-probabilities and ids of the alternatives of made-up rollouts, and the vocabulary."""
    words = [*sorted(load_lexicon().words), *(f"tok{index}" for index in range(75))]
    generator = torch.Generator().manual_seed(0)
    logprobs, ids = [], []
    for length in torch.randint(LONGEST // 2, LONGEST + 1, (ROLLOUTS,), generator=generator):
        logits = 3 * torch.randn(int(length), len(words), generator=generator)
        top = logits.log_softmax(-1).topk(ALTERNATIVES)
        logprobs.append(top.values.tolist())
        ids.append(top.indices.tolist())
    return logprobs, ids, words


def loop_pass(logprobs: list, ids: list, trigger: set[int]) -> list[int]:
    """Valid triggers of every rollout, token by token."""
    with_tail = [[token_entropy(token, True) for token in rollout] for rollout in logprobs]
    without = [[token_entropy(token, False) for token in rollout] for rollout in logprobs]
    quantiles = []
    for rollout in without:
        values = windows(rollout)
        values += [statistics.fmean(values)] * (len(rollout) - len(values))
        values.sort()
        position = QUANTILE * (len(values) - 1)
        low, high = values[math.floor(position)], values[math.ceil(position)]
        quantiles.append(low + (high - low) * (position % 1))
    threshold = statistics.median(quantiles)
    counts = []
    for rollout, tokens in zip(with_tail, ids, strict=True):
        high = zip(windows(rollout), tokens, strict=False)
        counts.append(sum(value >= threshold and token[0] in trigger for value, token in high))
    return counts


def token_entropy(logprobs: list[float], tail: bool) -> float:
    """-sum p ln p over the alternatives, with or without the rest as one more word."""
    entropy = listed = 0.0
    for logprob in logprobs:
        probability = math.exp(logprob)
        entropy -= probability * logprob
        listed += probability
    rest = max(0.0, 1.0 - listed)
    return entropy - rest * math.log(max(rest, 1e-12)) if tail else entropy


def windows(entropies: list[float]) -> list[float]:
    """Means of the complete windows after each token."""
    return [sum(entropies[t + 1 : t + 1 + WINDOW]) / WINDOW for t in range(len(entropies) - WINDOW)]


def tensor_pass(
    logprobs_BTK: torch.Tensor, ids_BT: torch.Tensor, mask_BT: torch.Tensor, trigger_V: torch.Tensor
) -> list[int]:
    """The same as `loop_pass` from the package; `ids_BT` holds the most probable token."""
    entropy_BT = topk_entropy(logprobs_BTK, mask_BT, tail=True)
    no_tail_BT = topk_entropy(logprobs_BTK, mask_BT, tail=False)
    padded_BT = window_entropy(no_tail_BT, mask_BT, WINDOW, "after", "running_mean")
    threshold = median_rollout_quantile(padded_BT, mask_BT, QUANTILE)
    window_BT = window_entropy(entropy_BT, mask_BT, WINDOW, "after")
    return count_hwe(
        hwe_mask(window_BT, threshold) & token_match(ids_BT, trigger_V, mask_BT)
    ).tolist()


def best_seconds(*functions: Callable[[], Any], turns: int = 5) -> list[float]:
    """CPU seconds of the best turn of each function, taken in turns."""
    seconds = [math.inf] * len(functions)
    for _ in range(turns):
        for index, function in enumerate(functions):
            begin = time.process_time()
            function()
            seconds[index] = min(seconds[index], time.process_time() - begin)
    return seconds


def main() -> None:
    """Print the ratio."""
    torch.set_num_threads(1)
    logprobs, ids, words = recorded()
    trigger_V = load_lexicon().vocabulary_mask(words)
    trigger = set(trigger_V.nonzero()[:, 0].tolist())
    ids_BT, mask_BT = pad_rows([[token[0] for token in row] for row in ids], torch.int64)
    logprobs_BTK = torch.full((*mask_BT.shape, ALTERNATIVES), -math.inf)
    for row, rollout in enumerate(logprobs):
        logprobs_BTK[row, : len(rollout)] = torch.tensor(rollout)
    package = partial(tensor_pass, logprobs_BTK, ids_BT, mask_BT, trigger_V)
    loop = partial(loop_pass, logprobs, ids, trigger)
    differing = sum(abs(a - b) for a, b in zip(package(), loop(), strict=True))
    assert differing <= 2, "the two sides count other tokens"  # the loop is in float64
    ours, theirs = best_seconds(package, loop)
    tokens = int(mask_BT.sum())
    print(f"HWE pass, {tokens} tokens: loop / package: {theirs:.3f} s / {ours:.4f} s = ", end="")
    print(f"{theirs / ours:.0f}")


if __name__ == "__main__":
    main()
