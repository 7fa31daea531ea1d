"""Input that can't be trained on: a clear message, or a defined result, and never a NaN."""

import math
from types import SimpleNamespace as Fixed

import pytest
import torch

from ares.errors import UserError
from ares.evaluation.grader import Grader
from ares.training.arguments import grpo_config
from ares.training.data import Verifier, prompt_dataset
from ares.training.rollouts import EngineSampler, RolloutGroup


def test_a_data_set_without_answers(scenes, made):
    data = scenes.dataset(4, ["text"])
    bare = type(data).from_list([{"prompt": row["prompt"], "gold": row["gold"]} for row in data])
    same = Fixed(
        groups=lambda trainer, rows, key, size: [RolloutGroup(r, [[30, 31]] * 4) for r in rows]
    )
    trainer = made("ares", Verifier(Grader()), sampler=same, data=bare)
    with pytest.raises(UserError, match="the data set has no column answer and no column choices"):
        trainer.train()


@pytest.mark.parametrize(("name", "verdict"), [("dapo", 0.0), ("dapo", 1.0), ("paper", 0.0)])
def test_a_batch_in_which_every_group_is_dropped(scenes, made, name, verdict):
    schedule = scenes.scheduled(weight_decay=0.0)
    made = made(name, lambda completions, **_: [verdict] * len(completions), schedule=schedule)
    start = scenes.parameters(made).clone()
    made.train()
    assert scenes.losses(made) == [0.0, 0.0]
    assert scenes.losses(made, "grad_norm") == [0.0, 0.0]
    assert torch.equal(scenes.parameters(made), start)
    values = made.records.table().set_index(["metric", "bucket"])["value"]
    assert values.notna().all() and (values["rollouts_kept", "all"] == 0).all()
    assert (values["groups_dropped", "all"] == 2).all()
    logged = [value for entry in made.state.log_history for value in entry.values()]
    assert not any(isinstance(value, float) and math.isnan(value) for value in logged)
    assert made.method.controller is None or set(made.method.controller.beta_D) == {
        made.settings.kl_beta
    }


def test_responses_shorter_than_any_window(scenes, made, tmp_path):
    """No window, so no threshold: `paper` counts nothing and goes on, and its state can be kept."""

    def groups(trainer, rows, key, size):
        completions, whole = [[30, 31], [30], [32, 33, 34], [35]], [-1] * 4
        return [RolloutGroup(row, completions, parents=whole, branch_at=[0] * 4) for row in rows]

    saved = {"save_strategy": "steps"}
    made = made("paper", scenes.odd_length, sampler=Fixed(groups=groups), arguments=saved)
    made.train()
    values = made.records.table()
    assert "threshold" not in set(values.metric)
    assert (values[values.metric == "hwe"].value == 0).all()
    assert made.branch_threshold == math.inf  # nothing will branch
    assert (tmp_path / "checkpoint-2" / "aepo.json").is_file()


@pytest.mark.parametrize(
    ("sizes", "processes", "message"),
    [
        ({"prompts": 3}, 2, "whole groups on each of 2 processes"),
        ({"updates": 2, "micro_batches": 8}, 1, "can't be split into 16 equal parts"),
    ],
)
def test_sizes_that_do_not_fit(scenes, tmp_path, sizes, processes, message):
    with pytest.raises(UserError, match=message):
        grpo_config(scenes.settings("ares"), scenes.scheduled(**sizes), tmp_path, 1, processes)


@pytest.mark.parametrize(
    ("arguments", "others", "message"),
    [
        ({"save_strategy": "steps", "save_steps": 3}, {}, "save_steps=3: .* lasts 2 optimizer"),
        ({"save_strategy": "steps", "save_total_limit": 1}, {}, "save_total_limit=1"),
        ({"gradient_accumulation_steps": 4}, {}, "steps_per_generation=2: .* whole optimizer"),
        ({"loss_type": "cispo"}, {}, "loss_type='cispo': choose from dapo, grpo"),
        ({"importance_sampling_level": "sequence"}, {}, "importance_sampling_level=sequence: "),
        ({"entropy_coef": 0.1}, {}, "entropy_coef=0.1: AEPO's loss has no such part"),
        ({}, {"method": {"probe": 5}}, "probe=5: choose 0, or 2 to group_size=4"),
        ({}, {"method": {"branching": True}}, "branching and probe exclude each other"),
        (
            {},
            {"method": {"branching": True, "probe": 0}, "sampler": None},
            "branching=True needs a sampler",
        ),
    ],
)
def test_arguments_that_trl_could_not_run_the_method_with(scenes, made, arguments, others, message):
    with pytest.raises(UserError, match=message):
        made(arguments=arguments, schedule=scenes.scheduled(updates=2), **others)


def test_a_sharded_model_can_not_be_sampled_from_here(made):
    made = made(sampler=EngineSampler())
    made.is_fsdp_enabled = True
    with pytest.raises(UserError, match="needs the whole model on every process"):
        made._check()
    made.sampler = None
    made._check()


def test_no_prompts_and_an_unknown_arm(scenes, tmp_path):
    with pytest.raises(UserError, match=r"no prompts to train on: raise aepo\.per_level"):
        prompt_dataset(scenes.problems().some([]), 4, seed=0)
    with pytest.raises(UserError, match=r"no arm 'aers' in aepo\.arms; there are grpo, dapo"):
        scenes.run_of("aers", "data/base", tmp_path)
