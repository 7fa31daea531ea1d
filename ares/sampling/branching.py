"""Branching rollouts: explore again from where a rollout was least sure (Alg. 1).

The paper: when the window entropy W_t of a rollout passes the threshold, additional trajectories
branch from t. The released code has no branching. What is ours:

1. The budget stays: a group of G rollouts has R roots, sampled from the prompt, and up to G - R
   branches. The paper does not say how many trajectories it adds.
2. Branches are chosen after the roots are complete, best window first, not while they are sampled.
   All roots of all groups are one call of the sampler, all branches another.
3. Branches are spread: every root gives its best point before any root gives its second. All
   branches of one hot passage would share one prefix and say little about each other.
4. A branch at t keeps the tokens before t and draws token t anew, also where windows start after t.
   t = 0 is no branch: that would be one more root.
5. A group with too few windows at or above the threshold gets further roots for the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel

from ares.method.tensors import pad_rows
from ares.method.windows import hwe_mask, window_entropy
from ares.sampling.engine import Sample, sample
from ares.sampling.prompts import Prompt


@dataclass(frozen=True)
class Branch:
    """Sample root number `root` of its group again from token `position` on."""

    root: int
    position: int


#: A rollout that starts at the prompt.
_NO_BRANCH = Branch(root=-1, position=0)


@dataclass(frozen=True, eq=False)
class Group:
    """The rollouts of one prompt, roots first, and how they hang together."""

    samples: list[Sample]  #: whole responses, the prefix of a branch included
    parent: list[int]  #: index in the group of the rollout that a branch left; -1 for a root
    branch_at: list[int]  #: tokens that a branch shares with its parent; 0 for a root


#: What draws the rollouts: `engine_sampler`. It takes prompts (a branch comes as a prompt followed
#: by its prefix), one length limit in tokens per prompt, and one seed per response; every prompt
#: gets len(seeds) / len(prompts) responses, side by side.
Generate = Callable[[list[Prompt], list[int], list[int]], list[Sample]]


def branch_points(window_RT: Tensor, threshold: float, window: int, count: int) -> list[Branch]:
    """Choose up to `count` points of one group at which to branch, the best first.

    A candidate is a position t >= 1 with W_t >= threshold (nats; -inf takes every defined window,
    inf none). Points of the same root lie at least `window` tokens apart, the higher window entropy
    first. Then go every root's best point, every root's second, and so on (deviation 3); among
    these the higher window entropy, then the earlier position, then the earlier root.

    >>> W = torch.tensor([[9.0, 1.0, 3.0, 2.0, torch.nan], [0.0, 2.5, 0.0, torch.nan, torch.nan]])
    >>> branch_points(W, threshold=1.0, window=1, count=3)
    [Branch(root=0, position=2), Branch(root=1, position=1), Branch(root=0, position=3)]
    """
    candidate_RT = hwe_mask(window_RT, threshold)
    candidate_RT[:, :1] = False
    ranked = []
    for root, candidate_T in enumerate(candidate_RT):
        positions = candidate_T.nonzero()[:, 0].tolist()
        entropy = dict(zip(positions, window_RT[root, positions].tolist(), strict=True))
        chosen: list[int] = []
        for position in sorted(positions, key=lambda at: (-entropy[at], at)):
            if len(chosen) == count:
                break
            if all(abs(position - other) >= window for other in chosen):
                ranked.append((len(chosen), -entropy[position], position, root))
                chosen.append(position)
    return [Branch(root, position) for _, _, position, root in sorted(ranked)[:count]]


def sample_groups(
    prompts: Sequence[Prompt],
    generate: Generate,
    *,
    group_size: int,
    roots: int,
    seeds: Sequence[int],
    max_new_tokens: int,
    threshold: float,
    window: int,
    window_start: str = "at",
) -> list[Group]:
    """Sample one group of rollouts per prompt: `roots` from the prompt, then branches of these.

    Calls `generate` twice: for the roots of all groups, then for all that remains. The threshold
    comes from earlier batches, for the branches are part of the batch that sets the next one.

    Args:
        group_size, roots: G rollouts per prompt, R of them from the prompt, 1 <= R <= G.
        seeds: one per rollout, those of a group side by side, in the order of the result.
        max_new_tokens: limit of a whole response, the prefix of a branch included.
        threshold: theta in nats, as in `branch_points`.

    Returns:
        One group per prompt, with exactly `group_size` rollouts: roots, further roots where there
        were too few points to branch at, then branches, the best point first.
    """
    chunks = [seeds[at : at + group_size] for at in range(0, len(seeds), group_size)]
    first = [seed for chunk in chunks for seed in chunk[:roots]]
    drawn = _drawn(generate, list(prompts), [max_new_tokens] * len(prompts), first)
    trunks = [drawn[at : at + roots] for at in range(0, len(drawn), roots)]
    plans = [_plan(trunk, group_size, threshold, window, window_start) for trunk in trunks]
    starts = [
        (prompt, _cut(trunk[branch.root], branch.position))
        for prompt, trunk, plan in zip(prompts, trunks, plans, strict=True)
        for branch in plan
    ]
    rest = _drawn(
        generate,
        [prompt.followed_by(prefix.token_ids) for prompt, prefix in starts],
        [max_new_tokens - len(prefix.token_ids) for _, prefix in starts],
        [seed for chunk in chunks for seed in chunk[roots:]],
    )
    whole = iter([_joined(prefix, new) for (_, prefix), new in zip(starts, rest, strict=True)])
    return [
        Group(
            trunk + [next(whole) for _ in plan],
            [-1] * roots + [branch.root for branch in plan],
            [0] * roots + [branch.position for branch in plan],
        )
        for trunk, plan in zip(trunks, plans, strict=True)
    ]


def engine_sampler(
    model: PreTrainedModel,
    *,
    eos_token_ids: Sequence[int],
    pad_token_id: int,
    temperature: float = 1.0,
    top_p: float = 1.0,
) -> Generate:
    """The sampler of `ares.sampling.engine`, as `sample_groups` wants it; options as there."""
    context = model.config.get_text_config().max_position_embeddings

    def generate(
        prompts: list[Prompt], max_new_tokens: list[int], seeds: list[int]
    ) -> list[Sample]:
        copies = len(seeds) // len(prompts)
        lengths = [len(prompt.token_ids) for prompt in prompts]
        responses: dict[int, list[Sample]] = {}
        for rows in _rows_that_fit(list(range(len(prompts))), lengths, max_new_tokens, context):
            drawn = sample(
                model,
                [prompts[row] for row in rows],
                max_new_tokens=max(max_new_tokens[row] for row in rows),
                eos_token_ids=eos_token_ids,
                pad_token_id=pad_token_id,
                seeds=[seed for row in rows for seed in seeds[row * copies : (row + 1) * copies]],
                temperature=temperature,
                top_p=top_p,
                samples_per_prompt=copies,
            )
            for index, row in enumerate(rows):
                responses[row] = drawn[index * copies : (index + 1) * copies]
        return [response for row in range(len(prompts)) for response in responses[row]]

    return generate


def _rows_that_fit(
    rows: list[int], lengths: list[int], limits: list[int], context: int
) -> list[list[int]]:
    """Split rows into calls in which the longest prompt has room for the highest limit.

    The sampler has one limit per call. Late branches have long prompts and low limits, early ones
    the reverse: together they may not fit into a context that holds each of them.
    """
    needed = max(lengths[row] for row in rows) + max(limits[row] for row in rows)
    if needed <= context or len(rows) == 1:
        return [rows]
    by_limit, half = sorted(rows, key=lambda row: limits[row]), len(rows) // 2
    return [
        call
        for part in (by_limit[:half], by_limit[half:])
        for call in _rows_that_fit(part, lengths, limits, context)
    ]


def _plan(
    roots: list[Sample], group_size: int, threshold: float, window: int, window_start: str
) -> list[Branch]:
    """Where the other rollouts of a group start: further roots first, then branches."""
    entropy_RT, mask_RT = pad_rows([root.entropies for root in roots])
    window_RT = window_entropy(entropy_RT, mask_RT, window, window_start)
    branches = branch_points(window_RT, threshold, window, group_size - len(roots))
    return [_NO_BRANCH] * (group_size - len(roots) - len(branches)) + branches


def _drawn(
    generate: Generate, prompts: list[Prompt], limits: list[int], seeds: list[int]
) -> list[Sample]:
    """The responses, cut to the limit of their prompt: the sampler has one limit per call."""
    if not seeds:
        return []
    responses, copies = generate(prompts, limits, seeds), len(seeds) // len(prompts)
    return [_cut(response, limits[row // copies]) for row, response in enumerate(responses)]


def _cut(response: Sample, limit: int) -> Sample:
    if len(response.token_ids) <= limit:
        return response
    ids, logprobs, entropies = response.token_ids, response.logprobs, response.entropies
    return Sample(ids[:limit], logprobs[:limit], entropies[:limit], finished=False)


def _joined(prefix: Sample, rest: Sample) -> Sample:
    return Sample(
        torch.cat([prefix.token_ids, rest.token_ids]),
        torch.cat([prefix.logprobs, rest.logprobs]),
        torch.cat([prefix.entropies, rest.entropies]),
        finished=rest.finished,
    )
