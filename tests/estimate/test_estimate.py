"""The estimate: parts, limits, directions, the command, and the time of a small run."""

from __future__ import annotations

import time
from math import inf

import pytest
import torch

from ares import paths
from ares.cli import main
from ares.config import load_config
from ares.errors import UserError
from ares.estimate.inputs import Inputs, from_config
from ares.estimate.memory import logits, phases, state, vllm_cache_tokens
from ares.estimate.model_shapes import load_shape
from ares.estimate.timing import cold_start_seconds, decode, rate, step_of, training_flops
from ares.model.load import load_policy
from ares.paths import BASE_MODEL
from ares.settings import checked
from tests.configs import changed

SEVEN = load_shape("7b")


def totals(inputs: Inputs) -> dict[str, float]:
    return {phase.name: phase.total for phase in phases(SEVEN, inputs)}


def test_states_of_the_seven_billion_by_hand():
    whole = state(SEVEN.parameters, 0, Inputs(sharded=0))
    assert whole == pytest.approx(
        {"weights": 33.1687, "gradients": 33.1687, "AdamW": 66.3373}, 1e-4
    )
    eighth = state(SEVEN.parameters, 0, Inputs(gpus=8))
    assert eighth == pytest.approx({"weights": 4.1461, "gradients": 4.1461, "AdamW": 8.2922}, 1e-4)
    frozen = state(SEVEN.text.parameters, SEVEN.vision.parameters, Inputs(gpus=8))
    assert frozen["weights"] == pytest.approx(4.1461, 1e-4)
    assert frozen["AdamW"] == pytest.approx(7.6156, 1e-4)


def test_whole_logits_of_a_long_response_take_tens_of_gigabytes():
    whole = logits(SEVEN, Inputs(whole_logits=1), 16_384)
    assert whole == 16_384 * 152_064 * 12 == 29_896_998_912
    # A tile of 4,096 x 32,768 in bfloat16, float32 gradients of tokens and weights.
    tiles = logits(SEVEN, Inputs(), 16_384)
    assert tiles == 4096 * 32_768 * 2 + 4 * 3584 * (16_384 + 152_064) == 2_683_305_984


def test_a_cold_start_of_whole_logits_does_not_fit_and_one_of_tiles_does():
    assert totals(Inputs())["cold start"] < 80 < totals(Inputs(whole_logits=1))["cold start"]


def test_what_saves_memory_does():
    usual = totals(Inputs())
    for change, phase in [
        ({"gpus": 16}, "AEPO, update"),
        ({"reference": 0}, "AEPO, generation"),
        ({"freeze_vision": 1}, "cold start"),
        ({"sft_longest": 16_384}, "cold start"),
        ({"vllm_share": 0.4}, "AEPO, generation"),
    ]:
        assert totals(Inputs(freeze_vision=0).model_copy(update=change))[phase] < usual[phase] + 1
    assert totals(Inputs(checkpointing=0))["AEPO, update"] > 2 * usual["AEPO, update"]
    assert totals(Inputs(sharded=0))["AEPO, update"] > 150
    awake = totals(Inputs(vllm_sleeps=0))["AEPO, update"]
    assert awake == pytest.approx(usual["AEPO, update"] + 48)


def test_a_sampler_on_gpus_of_its_own():
    usual, server = Inputs(), Inputs(vllm_colocated=0, vllm_gpus=16)
    assert totals(usual)["AEPO, generation"] - totals(server)["AEPO, generation"] == 48
    faster = step_of(SEVEN, server)
    assert faster.generation < 0.6 * step_of(SEVEN, usual).generation
    assert faster.update == step_of(SEVEN, usual).update


def test_the_cache_of_a_copy_by_hand():
    # Two GPUs of 80 GB at .6, 3 GB each for activations, 16.58 GB of weights; 57,344 bytes a token.
    expected = (2 * (48 - 3) * 1e9 - 2 * 8_292_166_656) / 57_344
    assert vllm_cache_tokens(SEVEN, Inputs()) == pytest.approx(expected)


def test_decoding_waits_for_memory_with_few_sequences_and_for_arithmetic_with_many():
    _, few, bound = decode(SEVEN, Inputs(vllm_sequences=8), 4096, 1000)
    assert (few, bound) == (8, "memory")
    short = Inputs(vllm_sequences=8192, prompt_mean=1, mfu=0.05, vllm_share=0.9)
    assert decode(SEVEN, short, 100_000, 8)[2] == "FLOPs"


def test_decoding_one_sequence_by_the_roofline():
    """One GPU, one sequence: a token takes the time of reading the weights and the cache once."""
    inputs = Inputs(
        gpus=1, vllm_tensor_parallel=1, bandwidth=2.0, decode_bandwidth=0.5, prompt_mean=500
    )
    seconds, sequences, _ = decode(SEVEN, inputs, 1, 1000)
    weights = 2 * (SEVEN.text.parameters - 152_064 * 3584)
    assert sequences == 1
    assert seconds == pytest.approx(1000 * (weights + 1000 * 57_344) / 1e12)
    assert 14 < seconds < 15


def test_time_is_flops_over_the_rate():
    inputs = Inputs(sft_samples=1000, sft_epochs=1.0, patches=0, sft_mean=2000)
    flops = training_flops(SEVEN, inputs, 2000, 2000, True)
    # 6 FLOPs per weight and token, a third more to make activations again, and attention.
    weights = 28 * SEVEN.text.layer_matrices + 152_064 * 3584
    assert 6 * weights * 2000 < flops < 8.5 * weights * 2000
    assert cold_start_seconds(SEVEN, inputs) == pytest.approx(1000 * flops / rate(inputs))
    twice = cold_start_seconds(SEVEN, inputs.model_copy(update={"gpus": 16}))
    assert cold_start_seconds(SEVEN, inputs) == pytest.approx(2 * twice)


def test_a_step_is_longer_with_longer_responses_and_shorter_on_more_gpus():
    usual = step_of(SEVEN, Inputs())
    assert step_of(SEVEN, Inputs(response_mean=8000)).total > 2 * usual.total
    assert step_of(SEVEN, Inputs(gpus=16)).total < 0.7 * usual.total
    assert step_of(SEVEN, Inputs(reference=0)).scoring == pytest.approx(usual.scoring / 2)
    assert step_of(SEVEN, Inputs(refill=0)).generation < usual.generation


def test_no_room_for_a_cache_is_said():
    with pytest.raises(UserError, match="holds the weights and no cache: raise vllm_share"):
        step_of(SEVEN, Inputs(gpu_memory=24.0, vllm_tensor_parallel=1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gpus": 0}, "gpus: 0 must be greater than or equal to 1"),
        ({"mfu": 1.2}, "mfu: 1.2 must be less than or equal to 1"),
        ({"refill": -1}, "refill: -1 must be greater than or equal to 0"),
        ({"mfu": inf}, "holds a number that is not finite"),
        ({"gpus": 3}, "3 GPUs can't be shared by copies of the model on 2 each"),
    ],
)
def test_impossible_inputs_are_refused(change, message):
    with pytest.raises(UserError, match=message):
        checked(Inputs, change, "--set")


def test_the_sizes_of_the_paper_scale():
    found = from_config(load_config("paper-7b"))
    assert found["sft_samples"] == 224_000 and found["sft_longest"] == 32_768
    assert (found["prompts"], found["rollouts"], found["arms"], found["rows"]) == (512, 8, 5, 1)
    assert (found["prompt_longest"], found["response_longest"]) == (4096, 16_384)


@pytest.mark.parametrize(("mode", "colocated"), [("server", 0), ("colocate", 1), ("none", None)])
def test_how_rollouts_are_drawn_is_read(mode, colocated):
    config = changed(load_config("paper-7b"), {"aepo.vllm.mode": mode})
    if colocated is None:
        with pytest.raises(UserError, match="only rollouts drawn by vLLM are estimated"):
            from_config(config)
    else:
        assert from_config(config)["vllm_colocated"] == colocated


def test_the_page_shows_what_the_command_prints(capsys):
    page = (paths.ROOT / "docs/estimate.md").read_text(encoding="utf-8")
    for scale in ("paper-3b", "paper-7b"):
        assert main(["estimate", "--config", scale]) == 0
        assert capsys.readouterr().out.split("\nAssumptions")[0] in page


def test_the_command_prints_a_verdict_and_every_assumption(capsys):
    assert main(["estimate", "--config", "paper-7b", "--set", "mfu=0.4"]) == 0
    page = capsys.readouterr().out
    assert "8,292,166,656 parameters" in page and "57,344 bytes per token" in page
    for name in Inputs.model_fields:
        assert f"\n  {name} " in page
    assert "0.4  share of the peak in training and scoring [given]" in page
    assert page.count("  fits") == 3 and "DOES NOT FIT" not in page


def test_a_gpu_that_is_too_small_is_told(capsys):
    small = ["--gpu-memory", "40", "--gpus", "4", "--set", "vllm_tensor_parallel=2"]
    assert main(["estimate", "--model-shape", "7b", *small]) == 0
    assert "DOES NOT FIT" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "--config paper-7b, or --model-shape 7b"),
        (["--model-shape", "7b", "--set", "mfo=1"], "unknown key 'mfo'; did you mean 'mfu'"),
        (["--model-shape", "7b", "--set", "gpus=many"], "gpus: 'many' must be a valid integer"),
        (["--config", "laptop"], "a scale of the small world"),
    ],
)
def test_mistakes_are_told_in_one_line(options, message, capsys):
    assert main(["estimate", *options]) == 2
    assert message in capsys.readouterr().err


def seconds(model, rows: int, width: int) -> float:
    """CPU seconds of a forward and backward pass, the least of five."""
    ids = torch.randint(10, 100, (rows, width), generator=torch.Generator().manual_seed(0))
    found = []
    for _ in range(6):
        start = time.thread_time()
        model(input_ids=ids, use_cache=False).logits.sum().backward()
        found.append(time.thread_time() - start)
    return min(found[1:])


def test_the_time_of_a_small_run_is_predicted_from_another():
    """Within a factor of 2.5: four times the rows, and rows of twice the length."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        model = load_policy(BASE_MODEL, dtype=torch.float32)[0].train()
        shape = load_shape(str(BASE_MODEL))
        measured = {size: seconds(model, *size) for size in [(8, 128), (32, 128), (16, 256)]}
    finally:
        torch.set_num_threads(threads)

    def flops(rows: int, width: int) -> float:
        forward = shape.layer_flops([width] * rows, causal=1) + shape.logit_flops(rows * width)
        return 3 * forward

    per_second = flops(8, 128) / measured[8, 128]
    for size in [(32, 128), (16, 256)]:
        assert 1 / 2.5 < flops(*size) / per_second / measured[size] < 2.5
