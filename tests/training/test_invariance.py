"""What must not matter: the order of the groups, padding, and how a batch is cut into passes."""

from __future__ import annotations

import pandas as pd
import pytest
import torch
from transformers import TrainerCallback

PRESETS = ("ares", "paper", "released", "grpo")


class Gradients(TrainerCallback):
    """Keeps the gradients of the first optimizer step."""

    def __init__(self) -> None:
        self.first: torch.Tensor | None = None

    def on_pre_optimizer_step(self, args, state, control, model, **others) -> None:
        if self.first is None:
            parts = [w.grad if w.grad is not None else torch.zeros_like(w)
                     for w in model.parameters()]  # fmt: skip
            self.first = torch.cat([part.flatten() for part in parts])


def train(scenes, folder, path, name, **options):
    """A run on fixed rollouts by plain gradient descent, without clipping, and its gradients."""
    schedule = {"steps": 2, "prompts": 4, "max_grad_norm": 1e9, **options.pop("schedule", {})}
    changes = options.pop("settings", {})
    arguments = {**scenes.SGD, "learning_rate": 0.01}
    made = scenes.trainer(
        folder, path, scenes.settings(name, **changes), sampler=scenes.FixedSampler(),
        schedule=scenes.scheduled(**schedule), arguments=arguments, **options,
    )  # fmt: skip
    gradients = Gradients()
    made.add_callback(gradients)
    made.train()
    assert gradients.first.abs().max() > 1e-3
    return made, gradients.first


def whole(made) -> pd.Series:
    return made.records.table().set_index(["metric", "bucket", "step"])["value"]


def same_state(scenes, one, other) -> bool:
    """Whether threshold, targets and controller agree."""
    return scenes.close(one.method.state_dict(), other.method.state_dict())


@pytest.mark.parametrize("name", PRESETS)
def test_the_order_of_groups_does_not_matter(scenes, lively_folder, tmp_path, name):
    data = scenes.dataset(8)
    turned = data.select([2, 0, 3, 1, 7, 6, 5, 4])
    one, first = train(scenes, lively_folder, tmp_path, name, data=data)
    other, second = train(scenes, lively_folder, tmp_path, name, data=turned)
    torch.testing.assert_close(first, second, rtol=0, atol=1e-5)
    torch.testing.assert_close(scenes.parameters(one), scenes.parameters(other), rtol=0, atol=1e-5)
    assert same_state(scenes, one, other)
    pd.testing.assert_series_equal(
        whole(one).sort_index(), whole(other).sort_index(), rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("name", PRESETS)
def test_padding_does_not_matter(scenes, lively_folder, tmp_path, name):
    """TRL's passes, padded to the longest rollout, against passes of rows of similar length."""
    one, first = train(scenes, lively_folder, tmp_path, name)
    other, second = train(scenes, lively_folder, tmp_path, name, tokens_per_pass=90)
    torch.testing.assert_close(first, second, rtol=0, atol=1e-5)
    assert scenes.losses(one) == pytest.approx(scenes.losses(other), abs=1e-5)
    torch.testing.assert_close(scenes.parameters(one), scenes.parameters(other), rtol=0, atol=1e-5)
    assert same_state(scenes, one, other)


@pytest.mark.parametrize("updates", [1, 2])
@pytest.mark.parametrize("name", ["ares", "paper", "grpo"])
def test_micro_batches_do_not_matter(scenes, lively_folder, tmp_path, name, updates):
    one, first = train(
        scenes, lively_folder, tmp_path, name, schedule={"updates": updates, "micro_batches": 1}
    )
    other, second = train(
        scenes, lively_folder, tmp_path, name, schedule={"updates": updates, "micro_batches": 2}
    )
    torch.testing.assert_close(first, second, rtol=0, atol=1e-5)
    torch.testing.assert_close(scenes.parameters(one), scenes.parameters(other), rtol=0, atol=1e-5)
    assert same_state(scenes, one, other)
    if one.method.controller is not None:
        assert one.method.controller.beta_D != [one.settings.kl_beta] * 3


def test_the_controller_moves_once_per_optimizer_step(scenes, lively_folder, tmp_path, monkeypatch):
    from ares.method.step import Method

    moves = []
    end_step = Method.end_step
    monkeypatch.setattr(
        Method, "end_step", lambda self, *args: (moves.append(1), end_step(self, *args))[1]
    )
    train(
        scenes, lively_folder, tmp_path, "ares", schedule={"updates": 2, "micro_batches": 2}
    )  # fmt: skip
    assert len(moves) == 4  # 2 batches x 2 updates
