"""What is measured beside training: the sampler's numbers, gradients, the entropy reward's part."""

import math
from types import SimpleNamespace

import pytest
import torch

from ares.method.advantages import group_normalised
from ares.training.loss import gradient_metrics
from ares.training.records import Records, note_entropy_reward
from ares.training.rollouts import EngineSampler


@pytest.fixture
def scored(made, scenes):
    """A function: options -> (trainer, batch, sampler's numbers), one batch with real rollouts."""

    def score(name: str = "ares", **options):
        one = scenes.scheduled(steps=1, prompts=4, updates=2, lr=1e-9)
        trainer = made(name, sampler=EngineSampler(), schedule=one, **options)
        seen, shape = {}, trainer._shape

        def shaped(output):
            seen.update(numbers=dict(trainer._scored), batch=output, drawn=trainer._drawn)
            shape(output)

        trainer._shape = shaped
        trainer.train()
        trainer._drawn = seen["drawn"]
        return trainer, seen["batch"], seen["numbers"]

    return score


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_the_samplers_numbers_are_those_of_a_scoring_pass(scored, temperature):
    trainer, batch, numbers = scored(method={"temperature": temperature})
    mask_BT = batch["completion_mask"].bool()
    trainer._scored, trainer._drawn = {}, None  # nothing drawn: TRL's own pass
    trainer._score(batch)
    for name in ("logprob_BT", "entropy_BT"):
        assert numbers[name].shape == mask_BT.shape
        difference_BT = (numbers[name] - trainer._scored[name]).abs()[mask_BT]
        assert difference_BT.max() < 1e-5 and numbers[name][mask_BT].abs().max() > 0.1
    assert torch.equal(batch["old_per_token_logps"], numbers["logprob_BT"])


def test_with_a_probe_rollouts_are_compared_with_those_of_their_own_prompt(scored):
    trainer, batch, _ = scored("grpo", method={"probe": 2, "group_size": 4})
    assert sum(trainer.sizes) == 16 and min(trainer.sizes) == 2 < max(trainer.sizes)
    group_B = torch.arange(4).repeat_interleave(torch.tensor(trainer.sizes))
    expected_B = group_normalised(torch.tensor(trainer.grader.last), group_B)
    assert expected_B.abs().max() > 0.5
    mask_BT = batch["completion_mask"]
    assert torch.allclose(batch["advantages"].double(), expected_B[:, None] * mask_BT)
    assert gradient_metrics(trainer, batch)["gradient_cosine"] == pytest.approx(1.0, abs=1e-5)


def test_plain_grpo_moves_along_the_gradient_of_the_accuracy(scored):
    trainer, batch, _ = scored("grpo")
    found = gradient_metrics(trainer, batch)
    assert found["gradient_cosine"] == pytest.approx(1.0, abs=1e-5)
    assert found["kl_gradient_ratio"] == pytest.approx(0.0, abs=1e-3)  # still at the reference


def test_another_advantage_turns_the_gradient(scored):
    trainer, batch, _ = scored("dapo")
    batch["advantages"] = -batch["advantages"]
    assert gradient_metrics(trainer, batch)["gradient_cosine"] < 0
    batch["advantages"] = torch.zeros_like(batch["advantages"])
    assert math.isnan(gradient_metrics(trainer, batch)["gradient_cosine"])


def test_the_kl_pulls_back_a_policy_that_has_moved(scored):
    trainer, batch, _ = scored("grpo")
    batch["ref_per_token_logps"] = batch["ref_per_token_logps"] - 0.5
    small = gradient_metrics(trainer, batch)["kl_gradient_ratio"]
    batch["ref_per_token_logps"] = batch["ref_per_token_logps"] - 0.5
    assert gradient_metrics(trainer, batch)["kl_gradient_ratio"] > small > 0


def test_the_entropy_rewards_part_of_the_variance():
    """By hand: an easy group with right answers only, a hard one that is rewarded with accuracy."""
    batch = SimpleNamespace(
        accuracy_B=torch.tensor([1, 1, 0, 1]), group_B=torch.tensor([0, 0, 1, 1])
    )
    shaped = SimpleNamespace(
        entropy_reward_B=torch.tensor([0.0, 0.2, 0.1, 0.3]).double(),
        bucket_B=torch.tensor([0, 0, 2, 2]),
    )
    records = Records()
    note_entropy_reward(records, batch, shaped)
    assert records.current() == pytest.approx(
        {
            "entropy_reward_share/easy": 1.0,
            "entropy_reward_share/hard": 0.02 / 0.52,
            "entropy_reward_correlation/hard": 1.0,
            "entropy_reward_share": 0.04 / 0.54,
            "entropy_reward_correlation": 0.1 / math.sqrt(0.5 * 0.04),
        }
    )
