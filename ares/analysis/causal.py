"""The causal label: does the choice at this token decide whether the answer will be right?

At a position of a rollout the most probable alternatives are put in the sampled token's place one
after the other, the rest of the response is sampled anew several times, and the pass rates are
compared. The effect is the standard deviation of the pass rate over the alternatives, weighted by
their probabilities, after the part that is mere sampling noise is taken off.

Improbable alternatives are left out, and a position with fewer than two is not tried: the dropped
choices could move the pass rate's variance by no more than p (1 - p).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import pandas as pd
from tqdm import tqdm

from ares.analysis.tokens import check_same_policy
from ares.config import Causal
from ares.data.items import Problems, row_seed
from ares.evaluation.grader import Grader
from ares.model.processor import tokenizer_of
from ares.sampling.engine import sample
from ares.sampling.prompts import Prompt
from ares.sampling.rollouts import Sampling, encode, end_tokens
from ares.sampling.scoring import score


@dataclass(frozen=True)
class Alternative:
    """One alternative token at one position of one rollout."""

    row: int
    position: int
    token_id: int
    weight: float  # probability, renormalised over the alternatives of the position
    prompt: Prompt  # prompt, response so far, alternative


def effect_size(weight_A: np.ndarray, passed_A: np.ndarray, n: int) -> float:
    """Noise-corrected weighted standard deviation of pass rates.

    Args:
        weight_A: probabilities of the alternatives, summing to one.
        passed_A: how many of the `n` continuations of each were right.
        n: continuations per alternative, at least 2.

    With r_a = passed_a / n, the plain weighted variance of r exceeds that of the true pass rates
    by sum_a w_a (1 - w_a) Var(r_a) on average; r_a (1 - r_a) / (n - 1) estimates Var(r_a) without
    bias, and is taken off. Negative results are cut to 0.

    >>> effect_size(np.array([0.5, 0.5]), np.array([8, 0]), 8)
    0.5
    """
    rate_A = passed_A / n
    spread = np.sum(weight_A * (rate_A - np.sum(weight_A * rate_A)) ** 2)
    noise = np.sum(weight_A * (1 - weight_A) * rate_A * (1 - rate_A) / (n - 1))
    return float(np.sqrt(max(0.0, spread - noise)))


def causal_table(
    rollouts: pd.DataFrame,
    problems: Problems,
    model,
    processor,
    settings: Causal,
    sampling: Sampling,
    progress: str = "",
) -> pd.DataFrame:
    """Effect of the choice at every position of some rollouts.

    Args:
        rollouts: rows of the rollouts table.
        problems: those of the rows.
        sampling: its temperature, top_p, max_new_tokens (for a continuation), batch_prompts
            (branches per forward pass) and seed are used.

    Returns:
        rollout_id, position, alternatives (how many were tried; 0 where the choice is certain),
        effect (pass rate, 0 to 0.5), causal (effect at least `effect_threshold`).
    """
    branches = _branches(rollouts, problems, model, processor, settings, sampling.temperature)
    passed = _passed(branches, rollouts, problems, model, processor, settings, sampling, progress)
    numbers = rollouts["n_tokens"].to_numpy()
    alternatives, effect = np.zeros(numbers.sum(), np.int8), np.zeros(numbers.sum(), np.float32)
    first = np.cumsum(numbers) - numbers
    tried: dict[int, list[tuple[float, int]]] = defaultdict(list)
    for branch, right in zip(branches, passed, strict=True):
        tried[first[branch.row] + branch.position].append((branch.weight, right))
    for place, each in tried.items():
        weight_A, passed_A = map(np.array, zip(*each, strict=True))
        alternatives[place] = len(each)
        effect[place] = effect_size(weight_A, passed_A, settings.continuations)
    return pd.DataFrame(
        {
            "rollout_id": np.repeat(rollouts["rollout_id"].to_numpy(), numbers),
            "position": np.concatenate([np.arange(n, dtype=np.int32) for n in numbers]),
            "alternatives": alternatives,
            "effect": effect,
            "causal": effect >= settings.effect_threshold,
        }
    )


def _branches(rollouts, problems, model, processor, settings, temperature) -> list[Alternative]:
    """Every alternative of every uncertain position, shortest prefix first."""
    prompts = encode(problems.items, model, processor)
    scores = score(
        model,
        prompts,
        [ids.copy() for ids in rollouts["token_ids"]],
        temperature=temperature,
        top_k=settings.alternatives,
    )
    found = []
    for row, (rollout, scored, prompt) in enumerate(
        zip(rollouts.itertuples(), scores, prompts, strict=True)
    ):
        check_same_policy(rollout, scored.entropies.numpy())
        ids = rollout.token_ids
        assert scored.top_logprobs is not None and scored.top_ids is not None  # asked for
        probability_TK = scored.top_logprobs.exp().numpy()
        for position, probability_K in enumerate(probability_TK):
            likely = np.flatnonzero(probability_K >= settings.min_alternative_probability)
            if len(likely) < 2:
                continue
            total = probability_K[likely].sum()
            for choice in likely:
                token = int(scored.top_ids[position, choice])
                path = prompt.followed_by([*map(int, ids[:position]), token])
                weight = float(probability_K[choice] / total)
                found.append(Alternative(row, position, token, weight, path))
    # Similar lengths share a forward pass; the sort is stable, so the order is fixed.
    return sorted(found, key=lambda branch: len(branch.prompt.token_ids))


def _passed(
    branches, rollouts, problems, model, processor, settings, sampling, progress
) -> np.ndarray:
    """How many continuations of each branch end in a right answer."""
    tokenizer, ends, grader = tokenizer_of(processor), end_tokens(model), Grader()
    passed = np.zeros(len(branches), dtype=int)
    ids, responses = rollouts["rollout_id"].to_numpy(), list(rollouts["token_ids"])

    def right(branch: Alternative, continuation: list[int]) -> bool:
        so_far = [*map(int, responses[branch.row][: branch.position]), branch.token_id]
        text = tokenizer.decode([*so_far, *continuation], skip_special_tokens=True)
        return grader.grade(text, problems.items[branch.row].question).correct

    open_ones = [i for i, branch in enumerate(branches) if branch.token_id not in ends]
    bar = tqdm(
        total=len(open_ones), desc=progress, unit="branch", disable=not progress, mininterval=5
    )
    for start in range(0, len(open_ones), sampling.batch_prompts):
        chunk = open_ones[start : start + sampling.batch_prompts]
        drawn = sample(
            model,
            [branches[i].prompt for i in chunk],
            max_new_tokens=sampling.max_new_tokens,
            eos_token_ids=ends,
            seeds=[
                row_seed(sampling.seed, "causal", ids[b.row], b.position, b.token_id, n)
                for b in (branches[i] for i in chunk)
                for n in range(settings.continuations)
            ],
            temperature=sampling.temperature,
            top_p=sampling.top_p,
        )
        for index, response in enumerate(drawn):
            which = chunk[index // settings.continuations]
            passed[which] += right(branches[which], response.token_ids.tolist())
        bar.update(len(chunk))
    bar.close()
    for i in set(range(len(branches))) - set(open_ones):  # an end token: nothing to continue
        passed[i] = right(branches[i], []) * settings.continuations
    return passed
