"""Spoiled and hostile model folders and training states: refused in one line, and nothing is run.

A folder that is not refused is the very model that was saved.
"""

from __future__ import annotations

import json
import math
import pickle
import shutil
from functools import reduce
from operator import getitem
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import Trainer, TrainingArguments

from ares import paths
from ares.backends.base import Decoding, Failure, Request
from ares.backends.local import LocalBackend
from ares.config import load_config
from ares.errors import UserError
from ares.model.base_training import _restore
from ares.model.load import load, load_policy
from ares.model.save import export
from ares.model.shapes import load_shape
from ares.training import checkpoints
from ares.training.checkpoints import MARKER, Resumable, is_complete, last_complete, mark_complete
from tests.configs import changed
from tests.robustness.spoil import (
    Trap,
    cases,
    outcome,
    spoiled_bytes,
    spoiled_json,
    spoiled_value,
)

JSON = (
    *("config.json", "generation_config.json", "tokenizer_config.json", "tokenizer.json"),
    *("processor_config.json", "world.json"),
)
CONFIG = json.loads((paths.BASE_MODEL / "config.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def weights(model_folder) -> dict[str, torch.Tensor]:
    return load_file(model_folder / "model.safetensors")


@pytest.fixture(scope="module")
def parameters(model_folder) -> dict[str, torch.Tensor]:
    return dict(load_policy(model_folder)[0].named_parameters())


@pytest.fixture
def folder(model_folder, tmp_path) -> Path:
    return Path(shutil.copytree(model_folder, tmp_path / "model"))


@pytest.fixture(scope="module")
def spoilt(model_folder, tmp_path_factory) -> Path:
    """A copy of a model that every case spoils and mends."""
    return Path(shutil.copytree(model_folder, tmp_path_factory.mktemp("models") / "copy"))


def policy(folder: Path):
    """The model as the commands load it."""
    return load(changed(load_config("smoke"), {"model": str(folder)}))


def same(model, parameters) -> None:
    """The weights are those that were saved; bfloat16 rounds them."""
    found = dict(model.named_parameters())
    assert found.keys() == parameters.keys()
    for name, value in found.items():
        assert torch.allclose(value, parameters[name], rtol=1e-2, atol=1e-3), name


def refused_or_same(spoilt: Path, name: str, content: bytes | dict, whole: Path, parameters):
    """Put something in the place of a file of a model; it must be refused, or be that model."""
    file = spoilt / name
    try:
        save_file(content, file) if isinstance(content, dict) else file.write_bytes(content)
        found = outcome(lambda: policy(spoilt), spoilt)
        if found is not None:
            same(found[0], parameters)
    finally:
        shutil.copyfile(whole / name, file)


@cases(quick=2, long=150, seconds=20, mib=512)
@given(st.data())
def test_spoiled_texts_of_a_model_folder(model_folder, spoilt, parameters, data):
    name = data.draw(st.sampled_from(JSON))
    spoiled = data.draw(spoiled_json((model_folder / name).read_bytes()))
    refused_or_same(spoilt, name, spoiled, model_folder, parameters)


@cases(quick=2, long=150, seconds=20, mib=512)
@given(st.data())
def test_spoiled_weights(model_folder, spoilt, parameters, weights, data):
    name = "model.safetensors"
    whole = (model_folder / name).read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    act = data.draw(st.sampled_from(["header", "cut", "long", "tensor", "dtype", "shape", "name"]))
    if act == "header":
        content = data.draw(spoiled_bytes(whole[:header])) + whole[header:]
    elif act == "cut":
        content = whole[: data.draw(st.integers(0, len(whole) - 1))]
    elif act == "long":
        size = data.draw(st.sampled_from([0, 1, header, 2**31, 2**63, 2**64 - 1]))
        content = size.to_bytes(8, "little") + whole[8:]
    else:
        content = spoil(dict(weights), act, data)
    refused_or_same(spoilt, name, content, model_folder, parameters)


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


# ---------------------------------------------------------------------- one by one


def rewrite(file: Path, **changes) -> None:
    """Change values of a JSON file; two underscores lead into a section."""
    content = json.loads(file.read_text())
    for place, value in changes.items():
        *sections, key = place.split("__")
        reduce(getitem, sections, content)[key] = value
    file.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("file", "changes", "message"),
    [
        ("config.json", {"text_config__num_hidden_layers": 10**9}, "says 1000000000 layers"),
        ("config.json", {"model_type": "llama"}, "can't be loaded as a model"),
        ("config.json", {"image_token_id": 6}, "files are of different models"),
        ("tokenizer.json", {"model__vocab__zzz": 5000}, "files are of different models"),
        (
            "tokenizer.json",
            {"model__vocab__okay": 29, "model__vocab__well": 28},
            "its tokenizer is not that of the world",
        ),
        (
            "processor_config.json",
            {"image_processor__image_mean": [0.0] * 3},
            "its image processor is not that of the world",
        ),
    ],
)
def test_settings_of_a_model_that_are_refused(folder, file, changes, message):
    rewrite(folder / file, **changes)
    with pytest.raises(UserError, match=message):
        policy(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda weight: weight.to(torch.int8), "type I8 and no quantization_config"),
        (lambda weight: weight * float("nan"), "not finite"),
        (lambda weight: weight[:1].clone(), "can't be loaded as a model"),
    ],
)
def test_weights_that_are_refused(folder, weights, change, message):
    first = sorted(weights)[0]
    save_file(weights | {first: change(weights[first])}, folder / "model.safetensors")
    with pytest.raises(UserError, match=message):
        policy(folder)


def test_an_index_that_points_elsewhere_is_refused(folder):
    shutil.copy(folder / "model.safetensors", folder.parent / "other.safetensors")
    index = {"metadata": {}, "weight_map": {"lm_head.weight": "../other.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(UserError, match=r"names the file '\.\./other\.safetensors'"):
        policy(folder)


@pytest.mark.parametrize("kind", [torch.float64, torch.bfloat16])
def test_weights_of_another_floating_type_are_the_same_model(folder, weights, parameters, kind):
    save_file({k: v.to(kind) for k, v in weights.items()}, folder / "model.safetensors")
    same(load_policy(folder)[0], parameters)


# ---------------------------------------------------------------------- pickles and code


def trap(file: Path, sprung: Path, as_torch: bool = False) -> None:
    """Write a trap as a pickle, or as torch writes one."""
    if as_torch:
        torch.save({"weight": Trap(sprung)}, file)
    else:
        file.write_bytes(pickle.dumps(Trap(sprung)))


@pytest.mark.parametrize("name", ["pytorch_model.bin", "adapter_model.bin", "part.bin"])
@pytest.mark.parametrize("as_torch", [False, True])
def test_weights_as_a_pickle_are_not_loaded(folder, sprung, name, as_torch):
    (folder / "model.safetensors").unlink()
    trap(folder / name, sprung, as_torch)
    index = {"metadata": {}, "weight_map": {"lm_head.weight": name}}
    for part in ("model.safetensors.index.json", "pytorch_model.bin.index.json"):
        (folder / part).write_text(json.dumps(index))
    with pytest.raises(UserError, match=str(folder)):
        load_policy(folder)


def test_pickles_beside_good_weights_are_left_alone_and_not_exported(folder, sprung, tmp_path):
    for name in ("pytorch_model.bin", "optimizer.pt", "rng_state.pth", "training_args.bin"):
        trap(folder / name, sprung)
    load_policy(folder)
    export(folder, tmp_path / "out")
    suffixes = {file.suffix for file in (tmp_path / "out").iterdir()}
    assert suffixes <= {".json", ".jinja", ".safetensors"}


CODE = "from pathlib import Path\nPath({!r}).touch()\nclass Config: pass\nclass Model: pass\n"


@pytest.mark.parametrize("kind", ["qwen2_5_vl", "a-new-kind"])
def test_code_of_a_model_folder_is_not_run(folder, sprung, monkeypatch, tmp_path, kind):
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    (folder / "own.py").write_text(CODE.format(str(sprung)))
    classes = ("AutoModel", "AutoModelForCausalLM", "AutoModelForImageTextToText", "AutoProcessor")
    code = dict.fromkeys((*classes, "AutoImageProcessor"), "own.Model")
    code |= {"AutoConfig": "own.Config", "AutoTokenizer": ["own.Model", "own.Model"]}
    for name in ("config.json", "tokenizer_config.json", "processor_config.json"):
        rewrite(folder / name, auto_map=code)
    rewrite(folder / "config.json", model_type=kind)
    if kind == "qwen2_5_vl":
        load_policy(folder)  # known without that code
    else:
        with pytest.raises(UserError):
            load_policy(folder)


TEMPLATES = [
    "{% for c in [].__class__.__base__.__subclasses__() %}{{ c }}{% endfor %}",
    "{{ cycler.__init__.__globals__.os.popen('touch SPRUNG') }}",
    "{{ self.__init__.__globals__.__builtins__.__import__('os').system('touch SPRUNG') }}",
    "{{ raise_exception.__globals__['os'].system('touch SPRUNG') }}",
    "{% include '/etc/passwd' %}",
    "{% for i in range(10 ** 9) %}x{% endfor %}",
    "{{ messages.append(1) }}",
    "{{ messages[99] + 'x' }}",
]


def test_a_chat_template_reaches_nothing(folder, sprung):
    """transformers renders templates in a sandbox; what it refuses is a failure of the request."""
    for file in folder.glob("*.jinja"):
        file.unlink()
    request = Request("q", [{"role": "user", "content": "3"}], Decoding(max_tokens=1))
    for template in TEMPLATES:
        (folder / "chat_template.jinja").write_text(template.replace("SPRUNG", str(sprung)))
        ((_, found),) = LocalBackend(folder, device="cpu").generate([request])
        if not isinstance(found, Failure):  # some only render to nothing
            assert found.prompt_tokens is not None and found.prompt_tokens < 50, template


# ---------------------------------------------------------------------- states of a training


@pytest.mark.parametrize("name", ["optimizer.pt", "scheduler.pt", "rng_state.pth"])
@pytest.mark.parametrize("as_torch", [False, True])
def test_training_states_are_read_as_numbers_only(tmp_path, sprung, name, as_torch):
    """What transformers' trainer reads when a run goes on; ours leave that to it."""
    state = tmp_path / "states" / "checkpoint-2"
    state.mkdir(parents=True)
    arguments = TrainingArguments(output_dir=str(tmp_path / "states"), use_cpu=True)
    trainer = Trainer(torch.nn.Linear(2, 2), arguments)
    trainer.create_optimizer_and_scheduler(num_training_steps=4)
    torch.save(trainer.optimizer.state_dict(), state / "optimizer.pt")
    torch.save(trainer.lr_scheduler.state_dict(), state / "scheduler.pt")
    trap(state / name, sprung, as_torch)
    with pytest.raises(UserError, match="was not loaded"), checkpoints.alone(tmp_path / "states"):
        trainer._load_optimizer_and_scheduler(str(state))
        trainer._load_rng_state(str(state))


def test_weights_of_a_training_state_are_no_pickle(folder, tmp_path, sprung):
    model, processor = load_policy(folder)
    arguments = TrainingArguments(output_dir=str(tmp_path / "states"), use_cpu=True)
    trainer = type("Ours", (Resumable,), {})(model, arguments, processing_class=processor)
    (folder / "model.safetensors").unlink()
    trap(folder / "pytorch_model.bin", sprung, as_torch=True)
    with pytest.raises(OSError, match="safetensors"):
        trainer._load_from_checkpoint(str(folder))


@cases(quick=20, long=700)
@given(st.data())
def test_spoiled_markers(spoilt, data):
    state = spoilt.parent / "checkpoint-2"
    state.mkdir(exist_ok=True)
    (state / "weights").write_bytes(b"abc")
    mark_complete(state)
    whole = (state / MARKER).read_bytes()
    spoiled = data.draw(spoiled_json(whole))
    (state / MARKER).write_bytes(spoiled)
    if outcome(lambda: is_complete(state), state):  # then it names nothing that is not there
        sizes = json.loads(spoiled)["files"]
        assert set(sizes) <= {"weights", "."} or all((state / name).exists() for name in sizes)


@cases(quick=20, long=700)
@given(st.data())
def test_spoiled_configs_of_models_in_the_calculator(spoilt, data):
    model = spoilt.parent / "shape"
    model.mkdir(exist_ok=True)
    (model / "config.json").write_text(json.dumps(data.draw(spoiled_value(CONFIG))))
    found = outcome(lambda: load_shape(str(model)), model)
    if found is not None:
        assert found.parameters > 0 and math.isfinite(found.parameters)


def test_a_damaged_marker_removes_no_state(tmp_path):
    state = tmp_path / "checkpoint-2"
    state.mkdir()
    (state / MARKER).write_text("[]")
    with pytest.raises(UserError, match=r"checkpoint-2/complete\.json: damaged; remove"):
        last_complete(tmp_path)
    assert state.is_dir()


def test_a_damaged_state_of_base_training(tmp_path):
    (tmp_path / "state.safetensors").write_bytes(b"\xff" * 64)
    with pytest.raises(UserError, match=r"state\.safetensors: damaged .* training starts again"):
        _restore(tmp_path / "state.safetensors", None, None)  # type: ignore[arg-type]
