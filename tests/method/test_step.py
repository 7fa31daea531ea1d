"""A whole step under each preset: what reaches the update, and what must not change it."""

import math
from dataclasses import replace

import pytest
import torch

from ares.errors import UserError
from ares.method.presets import PRESETS
from ares.method.step import Method, Rollouts, Shaped

PRESET = pytest.mark.parametrize("name", PRESETS)


def batch_of(seed: int = 0, prompts: int = 6, samples: int = 8, length: int = 40) -> Rollouts:
    """Rollouts of unequal length whose pass rates cover every bucket."""
    generator = torch.Generator().manual_seed(seed)
    size = prompts * samples
    length_B = torch.randint(6, length + 1, (size,), generator=generator)
    group_B = torch.arange(prompts).repeat_interleave(samples)
    chance_B = torch.linspace(0.1, 0.9, prompts)[group_B]
    return Rollouts(
        entropy_BT=3 * torch.rand(size, length, generator=generator),
        mask_BT=torch.arange(length) < length_B[:, None],
        accuracy_B=(torch.rand(size, generator=generator) < chance_B).long(),
        group_B=group_B,
        trigger_BT=torch.rand(size, length, generator=generator) < 0.4,
    )


def rows(batch: Rollouts, index: torch.Tensor) -> Rollouts:
    return Rollouts(**{name: values[index] for name, values in vars(batch).items()})


def same(got: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(got, expected, atol=1e-6, rtol=1e-6, equal_nan=True)


def same_step(got: Shaped, expected: Shaped, index: torch.Tensor) -> None:
    def per_rollout(threshold):
        return torch.as_tensor(threshold).double().expand(len(index))

    same(per_rollout(got.threshold), per_rollout(expected.threshold)[index])
    for name in ("count_B", "bucket_B", "target_B", "entropy_reward_B", "score_B", "keep_B"):
        same(getattr(got, name), getattr(expected, name)[index])


@PRESET
def test_permuting_the_rollouts_permutes_the_result(name):
    batch = batch_of()
    index = torch.randperm(len(batch.accuracy_B), generator=torch.Generator().manual_seed(1))
    expected = Method(PRESETS[name]).shape(batch)
    got = Method(PRESETS[name]).shape(rows(batch, index))
    same_step(got, expected, index)
    same(got.advantage_BT, expected.advantage_BT[index])


@PRESET
def test_padding_does_not_matter(name):
    batch, left, right = batch_of(), 3, 5

    def pad(values: torch.Tensor, fill: float) -> torch.Tensor:
        return torch.nn.functional.pad(values, (left, right), value=fill)

    padded = replace(
        batch,
        entropy_BT=pad(batch.entropy_BT, math.nan),
        mask_BT=pad(batch.mask_BT, False),
        trigger_BT=pad(batch.trigger_BT, True),
    )
    expected = Method(PRESETS[name]).shape(batch)
    got = Method(PRESETS[name]).shape(padded)
    same_step(got, expected, torch.arange(len(batch.accuracy_B)))
    inside = slice(left, left + batch.mask_BT.shape[1])
    same(got.advantage_BT[:, inside], expected.advantage_BT)
    assert not got.advantage_BT[:, :left].any() and not got.hwe_BT[~padded.mask_BT].any()


@PRESET
def test_a_step_resumes_exactly_from_its_state(name):
    method, resumed = Method(PRESETS[name]), Method(PRESETS[name])
    method.shape(batch_of(0))
    kl_BT = 0.02 * torch.rand(48, 40, generator=torch.Generator().manual_seed(2))
    shaped = method.shape(batch_of(1))
    method.observe_kl(kl_BT, batch_of(1).mask_BT, shaped.hwe_BT, shaped.bucket_B)
    method.end_step()
    resumed.load_state_dict(method.state_dict())
    got, expected = resumed.shape(batch_of(2)), method.shape(batch_of(2))
    assert torch.equal(got.advantage_BT, expected.advantage_BT)
    weights = [m.kl_weight(expected.bucket_B, expected.hwe_BT) for m in (resumed, method)]
    assert torch.equal(*weights)


def test_arms_score_and_filter_on_accuracy_and_the_release_on_the_reward():
    batch = batch_of()
    for name in ("ares-no-entropy", "dapo", "grpo"):
        assert torch.equal(Method(PRESETS[name]).shape(batch).score_B, batch.accuracy_B.double())
    wrong = replace(batch, accuracy_B=torch.zeros_like(batch.accuracy_B))
    assert not Method(PRESETS["dapo"]).shape(wrong).keep_B.any()
    assert Method(PRESETS["ares-no-kl"]).shape(wrong).entropy_reward_B.any()
    assert Method(PRESETS["ares"]).shape(wrong).keep_B.all()
    assert Method(PRESETS["grpo"]).shape(wrong).keep_B.all()
    # All wrong, yet every group has a mean reward between .01 and .99.
    assert Method(PRESETS["released"]).shape(wrong).keep_B.all()


def test_the_entropy_reward_of_silent_groups_leaves_the_others_to_the_accuracy():
    batch = batch_of()
    right = replace(batch, accuracy_B=torch.ones_like(batch.accuracy_B))
    method = replace(PRESETS["ares"], entropy_groups="silent")
    assert Method(method).shape(right).entropy_reward_B.any()
    mixed = Method(method).shape(batch)
    silent_B = (mixed.pass_rate_B == 0) | (mixed.pass_rate_B == 1)
    assert not mixed.entropy_reward_B[~silent_B].any()
    everywhere = Method(replace(method, entropy_groups="all")).shape(batch)
    assert everywhere.entropy_reward_B[~silent_B].any()
    assert torch.equal(everywhere.entropy_reward_B[silent_B], mixed.entropy_reward_B[silent_B])


def test_released_filter_order_hides_the_difficulty_from_the_reward():
    batch = batch_of()
    first = Method(PRESETS["released"]).shape(batch)
    assert len(set(first.bucket_B.tolist())) == 3
    assert not first.target_B.any()
    off = Method(replace(PRESETS["released"], filter="none")).shape(batch)
    assert off.target_B.any()
    assert not torch.equal(first.entropy_reward_B, off.entropy_reward_B)


def test_the_threshold_of_the_release_and_the_reward_of_the_main_text_are_one_step_late():
    method = Method(PRESETS["released"])
    first = method.shape(batch_of(0))
    assert first.threshold == -1.0
    kept = method.threshold.value
    assert method.shape(batch_of(1)).threshold == kept > 0
    ares = Method(PRESETS["ares"])
    assert ares.shape(batch_of(0)).threshold == ares.threshold.value
    method = Method(PRESETS["paper"])
    assert not method.shape(batch_of(0)).entropy_reward_B.any()
    longer = batch_of(1)
    longer = replace(longer, mask_BT=torch.ones_like(longer.mask_BT))
    assert method.shape(longer).entropy_reward_B.any()


def test_partial_credit_enters_score_pass_rate_and_filter():
    """Two groups of four; only a full 1 is right for the entropy reward."""
    batch = rows(batch_of(prompts=2, samples=4), torch.arange(8))
    accuracy_B = torch.tensor([1.0, 0.5, 0.5, 1.0, 0.25, 0.0, 0.0, 0.25], dtype=torch.float64)
    batch = replace(batch, accuracy_B=accuracy_B)
    shaped = Method(PRESETS["ares"]).shape(batch)
    assert shaped.pass_rate_B.tolist() == [0.75] * 4 + [0.125] * 4
    assert shaped.bucket_B.tolist() == [0] * 4 + [2] * 4
    assert torch.equal(shaped.score_B, accuracy_B + shaped.entropy_reward_B)
    rounded = replace(batch, accuracy_B=accuracy_B.floor())
    easy = replace(PRESETS["ares"], easy_from=0.5)  # the first group stays easy, the second hard
    pair = [Method(easy).shape(each).entropy_reward_B for each in (batch, rounded)]
    assert torch.equal(*pair)
    assert shaped.keep_B.all()


@PRESET
def test_bad_entropies_are_refused(name):
    batch = batch_of()
    batch.entropy_BT[3, 1] = math.nan
    with pytest.raises(UserError, match=r"NaN or infinite at \[\(3, 1\)\]"):
        Method(PRESETS[name]).shape(batch)


def test_a_trigger_without_its_mask_is_refused():
    with pytest.raises(UserError, match="trigger"):
        Method(PRESETS["released"]).shape(replace(batch_of(), trigger_BT=None))
