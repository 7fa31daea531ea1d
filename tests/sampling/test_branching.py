"""Branch points by hand, and groups of rollouts against a rescoring of every sequence."""

import math
from functools import partial

import pytest
import torch

from ares.sampling.branching import branch_points, sample_groups
from ares.sampling.engine import Sample, sample
from ares.sampling.prompts import Prompt

NAN = math.nan
OPTIONS = {"group_size": 6, "roots": 2, "max_new_tokens": 24, "window": 4}


def points(rows, **options):
    settings = {"threshold": 1.0, "window": 2, "count": 4, **options}
    return branch_points(torch.tensor(rows), **settings)


def test_the_best_windows_are_chosen_a_window_apart_and_at_the_threshold():
    #        0    1    2    3    4    5    6
    row = [[9.0, 2.0, 5.0, 4.0, 3.0, 0.5, NAN]]
    # 5 at 2 rules out 1 and 3; 0 is a new root, not a branch; .5 is below the threshold.
    assert points(row) == [(0, 2), (0, 4)]
    assert points(row, window=1) == [(0, 2), (0, 3), (0, 4), (0, 1)]
    assert points(row, window=3) == [(0, 2)]
    assert points([[NAN, 1.0, NAN, 0.999]]) == [(0, 1)]
    assert points([[NAN, 1.0, NAN, -5.0]], threshold=-math.inf) == [(0, 1), (0, 3)]
    assert points([[5.0, 5.0, 5.0]], threshold=math.inf) == []
    assert points([[5.0]], threshold=-math.inf) == []


def test_every_root_branches_once_before_any_twice_and_ties_go_to_the_earlier():
    rows = [[0.0, 9.0, 0.0, 8.0], [0.0, 2.0, 0.0, 3.0], [0.0, 0.0, 0.0, 0.0]]
    assert points(rows) == [(0, 1), (1, 3), (0, 3), (1, 1)]
    assert points(rows, count=2) == [(0, 1), (1, 3)]
    assert points(rows, count=1) == [(0, 1)]
    assert points(rows, count=0) == []
    rows = [[0.0, 0.0, 2.0, 2.0], [0.0, 2.0, 2.0, 0.0], [0.0, 2.0, 2.0, 0.0]]
    assert points(rows, count=3) == [(1, 1), (2, 1), (0, 2)]


@pytest.fixture
def groups_of(policy, ids):
    """A function: prompts and options -> groups, sampled by the engine at temperature 0.8."""

    def groups(prompts, **changed):
        options = {"threshold": 0.0, **OPTIONS, **changed}
        ends = options.pop("eos_token_ids", ids["eos_token_ids"])
        seeds = options.pop("seeds", range(len(prompts) * options["group_size"]))
        generate = partial(sample, policy[0], eos_token_ids=ends, temperature=0.8)
        return sample_groups(prompts, generate, seeds=seeds, **options)

    return groups


def tokens(groups):
    return [[s.token_ids.tolist() for s in group.samples] for group in groups]


def test_a_branch_shares_its_prefix_and_then_goes_its_own_way(prompts, groups_of):
    groups = groups_of(prompts)
    branches = 0
    for group in groups:
        assert len(group.samples) == len(group.parent) == len(group.branch_at) == 6
        assert group.parent[:2] == [-1, -1] and group.branch_at[:2] == [0, 0]
        for sample_, parent, at in zip(group.samples, group.parent, group.branch_at, strict=True):
            if parent == -1:
                assert at == 0
                continue
            branches += 1
            root = group.samples[parent]
            assert parent in (0, 1) and 1 <= at < len(root.token_ids)
            assert sample_.token_ids[:at].tolist() == root.token_ids[:at].tolist()
            assert sample_.token_ids.tolist() != root.token_ids.tolist()
            assert torch.equal(sample_.entropies[:at], root.entropies[:at])
            assert torch.equal(sample_.logprobs[:at], root.logprobs[:at])
            assert at < len(sample_.token_ids) <= 24
    assert branches > 8


def test_the_branches_leave_where_the_selection_says(prompts, groups_of):
    for group in groups_of(prompts, window=1, threshold=2.0):
        roots = [root.entropies for root in group.samples[:2]]
        window_RT = torch.nn.utils.rnn.pad_sequence(roots, batch_first=True, padding_value=NAN)
        chosen = zip(group.parent, group.branch_at, strict=True)
        assert [pair for pair in chosen if pair[0] >= 0] == branch_points(window_RT, 2.0, 1, 4)


def test_a_group_does_not_depend_on_the_others_and_other_seeds_give_others(prompts, groups_of):
    together = groups_of(prompts)
    assert tokens(together) != tokens(groups_of(prompts, seeds=range(100, 100 + 6 * len(prompts))))
    for row in range(len(prompts)):
        (alone,) = groups_of(prompts[row : row + 1], seeds=range(6 * row, 6 * row + 6))
        assert tokens([alone]) == tokens(together[row : row + 1])
        assert alone.branch_at == together[row].branch_at


def test_without_candidates_the_group_is_plain_sampling(policy, prompts, groups_of, ids):
    groups = groups_of(prompts, threshold=math.inf)
    plain = sample(
        policy[0], prompts, max_new_tokens=24, temperature=0.8,
        seeds=range(6 * len(prompts)), **ids,
    )  # fmt: skip
    assert [row for group in tokens(groups) for row in group] == [
        s.token_ids.tolist() for s in plain
    ]
    assert all(group.parent == [-1] * 6 and group.branch_at == [0] * 6 for group in groups)
    assert tokens(groups_of(prompts, roots=6)) == tokens(groups)


def test_no_branch_leaves_after_the_end_or_from_a_rollout_of_one_token(prompts, groups_of, ids):
    options = {"window": 1, "threshold": -math.inf}
    ends = [*ids["eos_token_ids"], *range(20, 60)]
    groups = groups_of(prompts, eos_token_ids=ends, group_size=12, roots=4, **options)
    assert any(root.finished for group in groups for root in group.samples[:4])
    assert any(at for group in groups for at in group.branch_at)
    for response in (one for group in groups for one in group.samples):
        *before, last = response.token_ids.tolist()
        assert not set(before) & set(ends) and response.finished == (last in ends)
    assert all(g.parent == [-1] * 6 for g in groups_of(prompts, max_new_tokens=1, **options))


def test_roots_and_branches_fill_the_context_but_do_not_exceed_it(policy, prompts, groups_of):
    config = policy[0].config.text_config
    before = config.max_position_embeddings
    config.max_position_embeddings = max(len(prompt.token_ids) for prompt in prompts) + 24
    try:
        tight = groups_of(prompts)
    finally:
        config.max_position_embeddings = before
    # Branches with long prefixes have low limits, and a limit is that of one prompt.
    assert tokens(tight) == tokens(groups_of(prompts))


def fake(token_ids, entropies, finished=True):
    values = torch.tensor(entropies)
    return Sample(torch.tensor(token_ids), -values, values, finished)


def test_two_calls_with_the_prefix_in_the_prompt_and_a_limit_for_the_rest():
    calls = []

    def generate(prompts, max_new_tokens, seeds):
        calls.append(([p.token_ids.tolist() for p in prompts], max_new_tokens, seeds))
        if len(calls) == 1:
            return [fake([5, 6, 7, 8], [0.0, 3.0, 0.0, 0.0]), fake([9], [3.0])]
        return [fake([1, 2, 3, 4, 5][:most], [0.5] * most, most > 4) for most in max_new_tokens]

    prompts = [Prompt(torch.tensor([10, 11])), Prompt(torch.tensor([12]))]
    first, second = sample_groups(
        prompts, generate, group_size=2, roots=1, seeds=[1, 2, 3, 4], max_new_tokens=5,
        threshold=2.0, window=1,
    )  # fmt: skip
    assert calls == [([[10, 11], [12]], [5, 5], [1, 3]), ([[10, 11, 5], [12]], [4, 5], [2, 4])]
    assert (first.parent, first.branch_at) == ([-1, 0], [0, 1])
    assert first.samples[1].token_ids.tolist() == [5, 1, 2, 3, 4]
    assert first.samples[1].entropies.tolist() == [0.0, 0.5, 0.5, 0.5, 0.5]
    assert first.samples[1].logprobs.tolist() == [0.0, -0.5, -0.5, -0.5, -0.5]
    assert not first.samples[1].finished
    assert (second.parent, second.branch_at) == ([-1, -1], [0, 0])
    assert second.samples[1].token_ids.tolist() == [1, 2, 3, 4, 5]
    assert second.samples[1].finished


@pytest.mark.parametrize(("start", "position"), [("at", 3), ("after", 2)])
def test_windows_start_at_the_token_or_after_it(start, position):
    def generate(prompts, max_new_tokens, seeds):
        return [fake([5, 6, 7, 8, 9], [9.0, 0.0, 0.0, 4.0, 1.0]) for _ in seeds]

    (group,) = sample_groups(
        [Prompt(torch.tensor([10]))], generate, group_size=2, roots=1, seeds=[1, 2],
        max_new_tokens=9, threshold=2.0, window=2, window_start=start,
    )  # fmt: skip
    # "at": [4.5, 0, 2, 2.5]; "after": [0, 2, 2.5]; both without the first token.
    assert group.branch_at == [0, position]
