"""config/paper-*.yaml: the paper's values, each with its source, and names that there are."""

from __future__ import annotations

import re

import pytest
import yaml
from trl import GRPOConfig

from ares.config import load_config, scales
from ares.errors import UserError
from ares.evaluation.registry import REGISTRY, load_registry
from ares.method.presets import PRESETS
from ares.model.load import load_policy
from ares.paths import BASE_MODEL, ROOT
from ares.training.run import sampler_arguments, vllm_arguments
from tests.configs import changed
from tests.evaluation.standins import TRAINING_DATA

SCALES = [name for name in scales() if load_config(name).of_data_sets]


@pytest.mark.parametrize("scale", SCALES)
def test_the_values_are_the_papers(scale):
    config = load_config(scale)
    sft, aepo = config.cold_start.sft, config.aepo
    assert (sft.epochs, sft.batch, sft.max_length, sft.lr) == (2, 256, 32768, 2e-5)
    assert sft.freeze_vision is True
    assert (config.cold_start.samples, config.cold_start.size) == (8, 224_000)
    assert (aepo.prompts, aepo.rollouts) == (512, 8)
    assert aepo.prompts / aepo.updates == 128
    assert (aepo.lr, aepo.weight_decay) == (1e-6, 1e-2)
    assert (aepo.temperature, aepo.top_p) == (1.0, 0.99)
    assert (aepo.max_prompt_tokens, aepo.max_new_tokens) == (4096, 16384)
    assert aepo.steps == 267 and aepo.data == ("virl39k",)
    assert list(aepo.arms) == ["grpo", "dapo", "ares-no-kl", "ares-no-entropy", "ares"]
    assert {entry.start for entry in aepo.arms.values()} == {"adacs"}
    size = scale.removeprefix("paper-").upper()
    assert config.model == f"Qwen/Qwen2.5-VL-{size}-Instruct"


@pytest.mark.parametrize("scale", SCALES)
def test_names_are_those_of_the_registries(scale):
    config = load_config(scale)
    assert config.training_data == (str(TRAINING_DATA.relative_to(ROOT)),)
    training, benchmarks = load_registry(TRAINING_DATA), load_registry(REGISTRY)
    assert {*config.cold_start.data, *config.aepo.data} <= training.keys()
    asked = {*config.evaluation.benchmarks, *config.problems.data}
    assert asked <= benchmarks.keys()
    # Tables 2, 3 and 4 of the paper, whole.
    of_tables = {name for name, entry in benchmarks.items() if {2, 3, 4} & {*entry.tables}}
    assert set(config.evaluation.benchmarks) == of_tables
    assert set(config.aepo.arms) <= PRESETS.keys()


@pytest.mark.parametrize("scale", SCALES)
def test_sizes_fit_the_gpus(scale):
    config = load_config(scale)
    gpus, sft, aepo = config.gpus.training, config.cold_start.sft, config.aepo
    assert sft.batch % (gpus * sft.micro_batch) == 0
    rollouts = aepo.prompts * aepo.rollouts
    assert aepo.prompts % gpus == 0
    assert rollouts % (gpus * aepo.updates * aepo.micro_batches) == 0
    heads = {"paper-3b": 16, "paper-7b": 28}[scale]
    assert heads % aepo.vllm.tensor_parallel == 0 == gpus % aepo.vllm.tensor_parallel
    launched = re.search(r"config/accelerate/\S+", config.launch.training)[0]
    assert yaml.safe_load((ROOT / launched).read_text())["num_processes"] == gpus


@pytest.mark.parametrize("mode", ["colocate", "server", "none"])
def test_trl_knows_the_arguments(mode, monkeypatch):
    monkeypatch.delenv("VLLM_SERVER", raising=False)
    aepo = load_config("paper-7b").aepo
    arguments = vllm_arguments(changed(aepo, {"vllm.mode": mode}))
    assert set(arguments) <= GRPOConfig.__dataclass_fields__.keys()
    if mode == "none":
        assert arguments == {}
        return
    assert arguments["use_vllm"] is True and arguments["vllm_mode"] == mode
    # A ratio over a whole response of 16k tokens would be far from 1 for every response.
    assert arguments["vllm_importance_sampling_mode"] == "token_truncate"
    if mode == "colocate":
        assert arguments["vllm_max_model_length"] == 4096 + 16384
        return
    assert arguments["vllm_server_base_url"] == "http://localhost:8000"
    monkeypatch.setenv("VLLM_SERVER", "http://n3:8000")  # of a SLURM job
    arguments = vllm_arguments(changed(aepo, {"vllm.mode": mode}))
    assert arguments["vllm_server_base_url"] == "http://n3:8000"


@pytest.mark.parametrize(("mode", "key"), [("colocate", "bad_words"), ("none", "suppress_tokens")])
def test_no_sampler_draws_a_placeholder_of_a_picture(mode, key):
    model, processor = load_policy(BASE_MODEL)
    aepo = changed(load_config("paper-7b").aepo, {"vllm.mode": mode})
    ids = [model.config.image_token_id, model.config.video_token_id]
    words = processor.tokenizer.convert_ids_to_tokens(ids)
    given = sampler_arguments(aepo, model, processor.tokenizer)["generation_kwargs"]
    assert given == {key: words if key == "bad_words" else ids}


@pytest.mark.parametrize(("changes", "message"), [
    ({"cold_start.data": {}}, "missing key 'cold_start.data'"),
    ({"cold_start.data": {"cards": 0}}, "cold_start.data.cards: 0 must be greater than"),
    ({"problems.per_level": 2}, "'problems.per_level' does not belong to a scale of data sets"),
    ({"rollouts.model": "ares-s9"}, "rollouts.model: no model 'ares-s9' among base"),
])  # fmt: skip
def test_a_wrong_value_is_named(scale, changes, message):
    with pytest.raises(UserError) as caught:
        load_config(scale(**changes))
    assert message in str(caught.value) and "\n" not in str(caught.value)
