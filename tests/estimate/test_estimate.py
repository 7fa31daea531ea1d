"""The estimate: parts, limits, directions and the command."""

from math import inf

import pytest

from ares import paths
from ares.cli import main
from ares.config import load_config
from ares.errors import UserError
from ares.estimate import (
    Inputs,
    cold_start_seconds,
    decode,
    from_config,
    logits,
    phases,
    state,
    step_of,
    training_flops,
    vllm_cache_tokens,
)
from ares.model.shapes import load_shape
from ares.settings import checked
from tests.configs import changed

SEVEN = load_shape("7b")


def totals(inputs: Inputs) -> dict[str, float]:
    return {name: sum(parts.values()) for name, parts in phases(SEVEN, inputs).items()}


def test_states_of_the_seven_billion_by_hand():
    whole = {"weights": 33.1687, "gradients": 33.1687, "AdamW": 66.3373}
    assert state(SEVEN.parameters, 0, Inputs(sharded=0)) == pytest.approx(whole, 1e-4)
    eighth = {name: size / 8 for name, size in whole.items()}
    assert state(SEVEN.parameters, 0, Inputs(gpus=8)) == pytest.approx(eighth, 1e-4)
    frozen = state(SEVEN.language_parameters, SEVEN.vision.parameters, Inputs(gpus=8))
    assert frozen["weights"] == pytest.approx(4.1461, 1e-4)
    assert frozen["AdamW"] == pytest.approx(7.6156, 1e-4)


def test_whole_logits_of_a_long_response_take_tens_of_gigabytes_and_do_not_fit():
    whole = logits(SEVEN, Inputs(whole_logits=1), 16_384)
    assert whole == 16_384 * 152_064 * 12 == 29_896_998_912
    # A tile of 4,096 x 32,768 in bfloat16, float32 gradients of tokens and weights.
    tiles = logits(SEVEN, Inputs(), 16_384)
    assert tiles == 4096 * 32_768 * 2 + 4 * 3584 * (16_384 + 152_064) == 2_683_305_984
    assert totals(Inputs())["cold start"] < 80 < totals(Inputs(whole_logits=1))["cold start"]


def test_what_saves_memory_and_a_sampler_on_gpus_of_its_own():
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
    usual, server = Inputs(), Inputs(vllm_colocated=0, vllm_gpus=16)
    assert totals(usual)["AEPO, generation"] - totals(server)["AEPO, generation"] == 48
    faster = step_of(SEVEN, server)
    assert faster.generation < 0.6 * step_of(SEVEN, usual).generation
    assert faster.update == step_of(SEVEN, usual).update
    assert step_of(SEVEN, Inputs(response_mean=8000)).total > 2 * step_of(SEVEN, usual).total
    assert step_of(SEVEN, Inputs(refill=0)).generation < step_of(SEVEN, usual).generation


def test_the_cache_of_a_copy_and_what_decoding_waits_for():
    # Two GPUs of 80 GB at .6, 3 GB each for activations, 16.58 GB of weights; 57,344 bytes a token.
    expected = (2 * (48 - 3) * 1e9 - 2 * 8_292_166_656) / 57_344
    assert vllm_cache_tokens(SEVEN, Inputs()) == pytest.approx(expected)
    _, few, bound = decode(SEVEN, Inputs(vllm_sequences=8), 4096, 1000)
    assert (few, bound) == (8, "memory")
    short = Inputs(vllm_sequences=8192, prompt_mean=1, mfu=0.05, vllm_share=0.9)
    assert decode(SEVEN, short, 100_000, 8)[2] == "FLOPs"
    with pytest.raises(UserError, match="holds the weights and no cache: raise vllm_share"):
        step_of(SEVEN, Inputs(gpu_memory=24.0, vllm_tensor_parallel=1))


def test_a_cold_start_takes_its_flops_over_the_rate():
    inputs = Inputs(sft_samples=1000, sft_epochs=1, sft_mean=2000, patches=0)
    flops = training_flops(SEVEN, inputs, 2000, 2000, True)
    # 6 FLOPs per weight and token, a third more to make activations again, and attention.
    weights = 28 * SEVEN.text.layer_matrices + 152_064 * 3584
    assert 6 * weights * 2000 < flops < 8.5 * weights * 2000
    assert cold_start_seconds(SEVEN, inputs) == pytest.approx(1000 * flops / inputs.rate)
    twice = cold_start_seconds(SEVEN, inputs.model_copy(update={"gpus": 16}))
    assert cold_start_seconds(SEVEN, inputs) == pytest.approx(2 * twice)


@pytest.mark.parametrize(
    ("change", "word"),
    [({"gpus": 0}, "gpus"), ({"mfu": 1.2}, "mfu"), ({"refill": -1}, "refill"),
     ({"mfu": inf}, "not finite"), ({"gpus": 3}, "3 GPUs can't be shared")],
)  # fmt: skip
def test_impossible_inputs_are_refused(change, word):
    with pytest.raises(UserError, match=word):
        checked(Inputs, change, "--set")


def test_a_scale_gives_its_sizes_and_how_rollouts_are_drawn():
    config = load_config("paper-7b")
    found = from_config(config)
    assert found["sft_samples"] == 224_000 and found["sft_longest"] == 32_768
    assert (found["prompts"], found["rollouts"], found["arms"], found["rows"]) == (512, 8, 5, 1)
    assert (found["prompt_longest"], found["response_longest"]) == (4096, 16_384)
    assert found["vllm_colocated"] == 1
    assert from_config(changed(config, {"aepo.vllm.mode": "server"}))["vllm_colocated"] == 0
    with pytest.raises(UserError, match="only rollouts drawn by vLLM are estimated"):
        from_config(changed(config, {"aepo.vllm.mode": "none"}))


def test_the_command_prints_a_verdict_every_assumption_and_what_the_page_shows(capsys):
    assert main(["estimate", "--config", "paper-7b", "--set", "mfu=0.4"]) == 0
    page = capsys.readouterr().out
    assert all(f"\n  {name} " in page for name in Inputs.model_fields)
    assert "0.4  share of the peak in training and scoring [given]" in page
    assert page.count("  fits") == 3 and "DOES NOT FIT" not in page
    small = ["--gpu-memory", "40", "--gpus", "4", "--set", "vllm_tensor_parallel=2"]
    assert main(["estimate", "--model-shape", "7b", *small]) == 0
    assert "DOES NOT FIT" in capsys.readouterr().out
    page = (paths.ROOT / "docs/estimate.md").read_text(encoding="utf-8")
    for scale in ("paper-3b", "paper-7b"):
        assert main(["estimate", "--config", scale]) == 0
        assert capsys.readouterr().out.split("\nAssumptions")[0] in page


@pytest.mark.parametrize(
    ("options", "word"),
    [([], "--model-shape 7b"), (["--model-shape", "7b", "--set", "mfo=1"], "'mfu'"),
     (["--model-shape", "7b", "--set", "gpus=many"], "valid integer"),
     (["--config", "laptop"], "takes a scale of data sets")],
)  # fmt: skip
def test_mistakes_are_told_in_one_line(options, word, capsys):
    assert main(["estimate", *options]) == 2
    told = capsys.readouterr().err
    assert word in told and told.count("\n") == 1
