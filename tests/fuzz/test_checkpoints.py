"""Spoiled model folders: one line, or the very model that was saved."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from ares.config import load_config
from ares.data.world_settings import load_world
from ares.errors import UserError
from ares.model.load import load, load_policy
from tests.configs import changed
from tests.fuzz.cases import cases
from tests.fuzz.mutations import outcome, spoiled_bytes, spoiled_value

JSON = (
    *("config.json", "generation_config.json", "tokenizer_config.json", "tokenizer.json"),
    *("processor_config.json", "world.json"),
)


@pytest.fixture(scope="module")
def weights(model_folder) -> dict[str, torch.Tensor]:
    return load_file(model_folder / "model.safetensors")


@pytest.fixture(scope="module")
def parameters(model_folder) -> dict[str, torch.Tensor]:
    return dict(load_policy(model_folder)[0].named_parameters())


@pytest.fixture
def broken(model_folder, tmp_path) -> Path:
    shutil.copytree(model_folder, tmp_path / "broken")
    return tmp_path / "broken"


@pytest.fixture(scope="module")
def copy(model_folder, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "copy"
    shutil.copytree(model_folder, folder)
    return folder


def policy(folder: Path):
    """The model as the commands load it."""
    return load(changed(load_config("smoke"), {"model": str(folder)}))


@cases(quick=8, long=150, seconds=20, mib=512)
@given(st.data())
def test_spoiled_texts_of_a_model_folder(model_folder, copy, parameters, data):
    name = data.draw(st.sampled_from(JSON))
    whole = (model_folder / name).read_bytes()
    if data.draw(st.booleans()):
        spoiled = data.draw(spoiled_bytes(whole))
    else:
        spoiled = json.dumps(data.draw(spoiled_value(json.loads(whole)))).encode()
    try:
        (copy / name).write_bytes(spoiled)
        found = outcome(lambda: policy(copy), copy)
        if found is not None:
            same(found[0], parameters)
    finally:
        (copy / name).write_bytes(whole)


@cases(quick=8, long=150, seconds=20, mib=512)
@given(st.data())
def test_spoiled_weights(model_folder, copy, parameters, weights, data):
    file = copy / "model.safetensors"
    whole = (model_folder / file.name).read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    act = data.draw(st.sampled_from(["header", "cut", "long", "tensor", "dtype", "shape", "name"]))
    if act == "header":
        file.write_bytes(data.draw(spoiled_bytes(whole[:header])) + whole[header:])
    elif act == "cut":
        file.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    elif act == "long":
        size = data.draw(st.sampled_from([0, 1, header, 2**31, 2**63, 2**64 - 1]))
        file.write_bytes(size.to_bytes(8, "little") + whole[8:])
    else:
        save_file(spoil(dict(weights), act, data), file)
    try:
        found = outcome(lambda: policy(copy), copy)
        if found is not None:  # before the file changes, which the weights may be mapped from
            same(found[0], parameters)
    finally:
        file.write_bytes(whole)


def spoil(weights: dict, act: str, data) -> dict:
    """Weights of which one is gone, renamed, of another type or another shape."""
    name = data.draw(st.sampled_from(sorted(weights)))
    weight = weights.pop(name)
    if act == "dtype":
        kinds = [torch.float64, torch.float32, torch.bfloat16, torch.int8, torch.int64, torch.bool]
        weights[name] = weight.to(data.draw(st.sampled_from(kinds)))
    elif act == "shape":
        weights[name] = torch.cat([weight, weight]) if data.draw(st.booleans()) else weight[:1]
    elif act == "name":
        weights[name + "x"] = weight
    return weights


def same(model, parameters) -> None:
    """The weights are those that were saved; bfloat16 rounds them."""
    found = dict(model.named_parameters())
    assert found.keys() == parameters.keys()
    for name, value in found.items():
        assert torch.allclose(value, parameters[name], rtol=1e-2, atol=1e-3), name


# ---------------------------------------------------------------------- one by one


def rewrite(folder: Path, name: str, **changes) -> None:
    value = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps({**value, **changes}))


def test_weights_in_integers_are_refused(broken, weights):
    first = sorted(weights)[0]
    save_file(weights | {first: weights[first].to(torch.int8)}, broken / "model.safetensors")
    with pytest.raises(UserError, match=r"weights of type I8 and no quantization_config"):
        load_policy(broken)


def test_weights_that_are_not_finite_are_refused(broken, weights):
    first = sorted(weights)[0]
    spoiled = weights[first].clone()
    spoiled.view(-1)[3] = float("nan")
    save_file(weights | {first: spoiled}, broken / "model.safetensors")
    with pytest.raises(UserError, match="holds values that are not finite"):
        load_policy(broken)


@pytest.mark.parametrize("kind", [torch.float64, torch.float32, torch.bfloat16])
def test_weights_of_another_floating_type_are_the_same_model(broken, weights, parameters, kind):
    save_file({k: v.to(kind) for k, v in weights.items()}, broken / "model.safetensors")
    same(load_policy(broken)[0], parameters)


def test_a_weight_of_another_shape_is_refused(broken, weights):
    first = sorted(weights)[0]
    save_file(weights | {first: weights[first][:1].clone()}, broken / "model.safetensors")
    with pytest.raises(UserError, match=r"broken: can't be loaded as a model"):
        load_policy(broken)


def test_an_index_that_points_elsewhere_is_refused(broken):
    index = {"metadata": {}, "weight_map": {"lm_head.weight": "../other.safetensors"}}
    shutil.copy(broken / "model.safetensors", broken.parent / "other.safetensors")
    (broken / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(UserError, match=r"names the file '\.\./other\.safetensors', which is not"):
        load_policy(broken)


def test_pickled_weights_are_not_loaded(broken):
    (broken / "model.safetensors").rename(broken / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"no \*\.safetensors; the weights of the model"):
        load_policy(broken)


def test_a_config_with_more_layers_than_weights_is_refused(broken):
    config = json.loads((broken / "config.json").read_text())
    rewrite(broken, "config.json", text_config=config["text_config"] | {"num_hidden_layers": 10**9})
    with pytest.raises(
        UserError, match=r"says 1000000000 layers, and the folder holds \d+ weights"
    ):
        load_policy(broken)


def test_the_config_of_another_architecture_is_refused(broken):
    rewrite(broken, "config.json", model_type="llama", architectures=["LlamaForCausalLM"])
    with pytest.raises(UserError, match="broken: can't be loaded as a model"):
        load_policy(broken)


def test_a_tokenizer_with_more_tokens_than_the_model_is_refused(broken):
    value = json.loads((broken / "tokenizer.json").read_text())
    value["model"]["vocab"]["zzz"] = 5000
    (broken / "tokenizer.json").write_text(json.dumps(value))
    with pytest.raises(UserError, match="the tokenizer has a token 5000 and the model"):
        load_policy(broken)


def test_a_tokenizer_of_as_many_other_words_is_refused(broken):
    value = json.loads((broken / "tokenizer.json").read_text())
    vocabulary = value["model"]["vocab"]
    vocabulary["3"], vocabulary["4"] = vocabulary["4"], vocabulary["3"]
    (broken / "tokenizer.json").write_text(json.dumps(value))
    with pytest.raises(UserError, match="its tokenizer is not that of the world it was trained on"):
        policy(broken)


def test_another_scaling_of_pictures_is_refused(broken):
    settings = json.loads((broken / "processor_config.json").read_text())["image_processor"]
    settings["image_mean"] = [0.0, 0.0, 0.0]
    rewrite(broken, "processor_config.json", image_processor=settings)
    with pytest.raises(UserError, match="its image processor is not that of the world"):
        policy(broken)


def test_another_token_for_pictures_is_refused(broken):
    config = json.loads((broken / "config.json").read_text())
    rewrite(broken, "config.json", image_token_id=config["image_token_id"] + 1)
    with pytest.raises(UserError, match=r"is token \d+ of the tokenizer and \d+ in config"):
        load_policy(broken)


def test_the_model_as_it_was_saved(model_folder, parameters):
    model, _, world = policy(model_folder)
    same(model, parameters)
    assert world == load_world()
