"""Speed of the method on one core: `pytest benchmarks/bench_method.py -s` (Linux; not a timed
test).

Prints two ratios and asserts nothing about time: the pass over high-window-entropy tokens against
    the
released loops, and the exact entropy against one `torch.logsumexp` over the same tensor. The peak
extra memory of the exact entropy is asserted, since it does not depend on the machine's load.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
import torch

from ares.method.difficulty import BucketSums
from ares.method.entropy import exact_entropy, top1_ids, topk_entropy
from ares.method.lexicon import load_lexicon, token_match
from ares.method.thresholds import median_rollout_quantile
from ares.method.windows import trigger_counts, window_entropy

#: CPU seconds of the released loops for 64 x 2,048 tokens on one core, as measured once.
RELEASED_SECONDS = 7.2
MEMORY_LIMIT_MIB = 16


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def logits() -> torch.Tensor:
    return 2 * torch.randn(8192, 32000, generator=torch.Generator().manual_seed(0))


def peak_mib() -> float:
    """Peak resident memory of this process since the last reset, in MiB."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1)) / 1024


def reset_peak() -> None:
    """Set the peak to the memory that is resident now (proc(5): clear_refs)."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def test_exact_entropy_memory(logits):
    exact_entropy(torch.zeros(2, 8))  # the library's start-up is not the function's
    reset_peak()
    before = peak_mib()
    exact_entropy(logits)
    extra = peak_mib() - before
    print(f"\nexact entropy, 8,192 x 32,000: peak extra memory {extra:.1f} MiB")
    assert extra < MEMORY_LIMIT_MIB


def test_exact_entropy_speed(benchmark, logits):
    benchmark.pedantic(exact_entropy, args=(logits,), rounds=5, warmup_rounds=1)
    # Alternating with the yardstick, best of each, so that a loaded machine hits both alike.
    pairs = [
        (seconds(exact_entropy, logits), seconds(torch.logsumexp, logits, -1)) for _ in range(4)
    ]
    entropy, yardstick = (min(column) for column in zip(*pairs, strict=True))
    print(
        f"\nexact entropy / logsumexp: {entropy:.2f} s / {yardstick:.2f} s = "
        f"{entropy / yardstick:.2f}"
    )


# CPU time: what the released loops were measured in, and what other processes can't lengthen.
@pytest.mark.benchmark(timer=time.process_time)
def test_hwe_pass(benchmark):
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(64, 2048, 200, generator=generator)
    logprobs_BTK, ids_BTK = (part.contiguous() for part in logits.log_softmax(-1).topk(10))
    length_B = torch.randint(1024, 2049, (64,), generator=generator)
    mask_BT = torch.arange(2048) < length_B[:, None]
    words = [*sorted(load_lexicon().words), *(f"tok{index}" for index in range(75))]
    trigger_V = load_lexicon().vocabulary_mask(words)

    def hwe_pass() -> torch.Tensor:
        """All the release does per batch: both entropies, threshold, windows, triggers, counts."""
        entropy_BT = topk_entropy(logprobs_BTK, mask_BT, tail=True)
        no_tail_BT = topk_entropy(logprobs_BTK, mask_BT, tail=False)
        padded_BT = window_entropy(no_tail_BT, mask_BT, 4, "after", "running_mean")
        threshold = median_rollout_quantile(padded_BT, mask_BT, 0.95)
        window_BT = window_entropy(entropy_BT, mask_BT, 4, "after")
        trigger_BT = token_match(top1_ids(ids_BTK, logprobs_BTK), trigger_V, mask_BT)
        valid_B, _, _ = trigger_counts(window_BT, trigger_BT, threshold)
        return valid_B

    valid_B = benchmark.pedantic(hwe_pass, rounds=30, warmup_rounds=5)
    assert BucketSums.of(valid_B, torch.zeros(64, dtype=torch.int64)).sum_D[0] > 0
    best = benchmark.stats.stats.min
    print(
        f"\nHWE pass, 64 x 2,048 tokens: {1e3 * best:.1f} ms (median "
        f"{1e3 * benchmark.stats.stats.median:.1f}), {RELEASED_SECONDS / best:.0f} times less "
        f"than the released loops ({RELEASED_SECONDS} s)"
    )


def seconds(function, *arguments) -> float:
    begin = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - begin
