"""With settings that change nothing, a run is TRL's own GRPOTrainer, bit for bit."""

import pytest
import torch
from transformers import PrinterCallback
from trl import GRPOTrainer

from ares.model.load import load_policy
from ares.training.arguments import grpo_config

#: What both log of every optimizer step.
LOGGED = ("loss", "kl", "grad_norm", "entropy", "reward", "reward_std", "clip_ratio/region_mean")


def stock_trainer(scenes, folder, output_dir, method, schedule, data):
    """TRL's trainer with the same arguments, data, model and reward."""
    model, processor = load_policy(folder)
    args = grpo_config(method, schedule, output_dir, seed=3, save_strategy="no")
    made = GRPOTrainer(
        model, scenes.odd_length, args=args, train_dataset=data, processing_class=processor
    )
    made.remove_callback(PrinterCallback)
    return made


@pytest.mark.parametrize(
    ("average", "updates", "micro_batches", "presentation"),
    [
        ("sequence", 1, 1, "text"),  # grpo, aligned: TRL needs no old log-probabilities
        ("token", 1, 2, "text"),  # dapo, aligned, accumulating gradients
        ("token", 2, 1, "image"),  # old log-probabilities come from TRL's scoring pass
    ],
)
def test_neutral_settings_are_trl_bit_for_bit(
    scenes, lively_folder, tmp_path, average, updates, micro_batches, presentation
):
    method = scenes.settings("grpo", loss_average=average)
    schedule = scenes.scheduled(
        steps=2, updates=updates, micro_batches=micro_batches, max_new_tokens=12
    )
    data = scenes.dataset(4, [presentation])
    ours = scenes.trainer(
        lively_folder, tmp_path, method, scenes.odd_length, schedule=schedule, data=data
    )
    start = scenes.parameters(ours).clone()
    ours.train()
    stock = stock_trainer(scenes, lively_folder, tmp_path, method, schedule, data)
    stock.train()

    for name in LOGGED:
        assert scenes.losses(ours, name) == scenes.losses(stock, name), name
    assert len(scenes.losses(ours)) == 2 * updates
    assert torch.equal(scenes.parameters(ours), scenes.parameters(stock))
    # The comparison is about something: there was variance, a KL, and the weights moved.
    assert max(scenes.losses(ours, "reward_std")) > 0
    assert scenes.losses(ours, "kl")[-1] > 0
    assert not torch.equal(scenes.parameters(ours), start)
