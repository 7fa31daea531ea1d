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
from itertools import islice

import torch
from torch import Tensor

from ares.method.tensors import pad_rows
from ares.method.windows import hwe_mask, window_entropy
from ares.sampling.engine import Sample
from ares.sampling.prompts import Prompt


@dataclass(frozen=True, eq=False)
class Group:
    """The rollouts of one prompt, roots first, and how they hang together."""

    samples: list[Sample]  #: whole responses, the prefix of a branch included
    parent: list[int]  #: index in the group of the rollout that a branch left; -1 for a root
    branch_at: list[int]  #: tokens that a branch shares with its parent; 0 for a root


#: What draws the rollouts: `ares.sampling.engine.sample`, given a model and its options. It takes
#: prompts (a branch comes as a prompt followed by its prefix), `max_new_tokens`, one limit per
#: prompt, and `seeds`, one per response.
Generate = Callable[..., list[Sample]]


def branch_points(
    window_RT: Tensor, threshold: float, window: int, count: int
) -> list[tuple[int, int]]:
    """Choose up to `count` points (root, position) of one group to branch at, the best first.

    A candidate is a position t >= 1 with W_t >= threshold (nats; -inf takes every defined window,
    inf none). Points of the same root lie at least `window` tokens apart, the higher window entropy
    first. Then go every root's best point, every root's second, and so on (deviation 3); among
    these the higher window entropy, then the earlier position, then the earlier root.

    >>> W = torch.tensor([[9.0, 1.0, 3.0, 2.0, torch.nan], [0.0, 2.5, 0.0, torch.nan, torch.nan]])
    >>> branch_points(W, threshold=1.0, window=1, count=3)
    [(0, 2), (1, 1), (0, 3)]
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
    return [(root, position) for _, _, position, root in sorted(ranked)[:count]]


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
    drawn = generate(list(prompts), max_new_tokens=[max_new_tokens] * len(prompts), seeds=first)
    trunks = [drawn[at : at + roots] for at in range(0, len(drawn), roots)]
    groups, starts = [], []
    for prompt, trunk in zip(prompts, trunks, strict=True):
        entropy_RT, mask_RT = pad_rows([root.entropies for root in trunk])
        window_RT = window_entropy(entropy_RT, mask_RT, window, window_start)
        branches = branch_points(window_RT, threshold, window, group_size - roots)
        plan = [(-1, 0)] * (group_size - roots - len(branches)) + branches
        groups.append(Group(trunk, [-1] * roots, [0] * roots))
        for root, position in plan:
            groups[-1].parent.append(root)
            groups[-1].branch_at.append(position)
            starts.append((prompt, trunk[root], position))
    rest = generate(
        [prompt.followed_by(root.token_ids[:at]) for prompt, root, at in starts],
        max_new_tokens=[max_new_tokens - at for *_, at in starts],
        seeds=[seed for chunk in chunks for seed in chunk[roots:]],
    )
    whole = iter([_joined(*start[1:], new) for start, new in zip(starts, rest, strict=True)])
    for group in groups:
        group.samples.extend(islice(whole, group_size - roots))
    return groups


def _joined(root: Sample, position: int, rest: Sample) -> Sample:
    """The tokens of a root before a position, and what was drawn from there on."""
    fields = ("token_ids", "logprobs", "entropies")
    parts = [torch.cat([getattr(root, f)[:position], getattr(rest, f)]) for f in fields]
    return Sample(*parts, finished=rest.finished)
