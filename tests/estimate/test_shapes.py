"""Formulas against real models: the shipped one whole, the paper's without their weights."""

from __future__ import annotations

import json

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from ares import paths
from ares.errors import UserError
from ares.estimate.memory import activation_bytes, vision_bytes
from ares.estimate.model_shapes import load_shape, shape_of
from ares.model.load import load_policy
from ares.paths import BASE_MODEL
from ares.sampling.slots import KVCache

ROWS, WIDTH = 2, 64
ESTIMATE = paths.ROOT / "ares/estimate/shapes"


@pytest.fixture(scope="module")
def shape():
    return load_shape(str(BASE_MODEL))


@pytest.fixture
def model():
    return load_policy(BASE_MODEL, dtype=torch.float32)[0].train()


def ids(rows: int = ROWS, width: int = WIDTH) -> torch.Tensor:
    return torch.randint(10, 100, (rows, width), generator=torch.Generator().manual_seed(0))


def pixels(model) -> tuple[torch.Tensor, torch.Tensor]:
    """Patches of a picture of 8 x 12 patches, and its grid."""
    config = model.config.vision_config
    width = config.in_channels * config.temporal_patch_size * config.patch_size**2
    return torch.randn(96, width, dtype=model.dtype), torch.tensor([[1, 8, 12]])


def saved_bytes(model, run) -> int:
    """Bytes of the tensors that `run` keeps for the backward pass, each storage once."""
    weights = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    saved = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            saved[storage.data_ptr()] = (storage.nbytes(), tensor)  # alive: no address twice
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        alive = run()
    del alive
    return sum(size for size, _ in saved.values())


@pytest.mark.parametrize(
    ("name", "total", "vision"),
    [("3b", 3_754_622_976, 668_684_288), ("7b", 8_292_166_656, 676_550_144)],
)
def test_parameters_of_the_paper_models(name, total, vision):
    shape = load_shape(name)
    assert (shape.parameters, shape.vision.parameters) == (total, vision)
    config = json.loads((ESTIMATE / f"{name}.json").read_text(encoding="utf-8"))
    config.pop("model_type")
    with torch.device("meta"):
        model = Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig(**config))
    assert sum(weight.numel() for weight in model.parameters()) == total
    assert sum(weight.numel() for weight in model.model.visual.parameters()) == vision


def test_parameters_of_the_small_model(shape, model):
    assert shape.parameters == sum(weight.numel() for weight in model.parameters())


def test_bytes_of_gradients_and_adamw(shape, model):
    optimizer = torch.optim.AdamW(model.parameters())
    for weight in model.parameters():
        weight.grad = torch.zeros_like(weight)
    optimizer.step()
    moments = [
        state[name] for state in optimizer.state.values() for name in ("exp_avg", "exp_avg_sq")
    ]
    assert sum(moment.nbytes for moment in moments) == 8 * shape.parameters
    assert sum(weight.grad.nbytes for weight in model.parameters()) == 4 * shape.parameters


@pytest.mark.parametrize(("dtype", "size"), [(torch.float32, 4), (torch.bfloat16, 2)])
def test_bytes_of_the_kv_cache(shape, dtype, size):
    model = load_policy(BASE_MODEL, dtype=dtype)[0]
    cache = KVCache(model.config.get_text_config().num_hidden_layers, 6, 50, 2)
    with torch.no_grad():  # the first keys say how large the block has to be
        model(input_ids=torch.zeros(3, 4, dtype=torch.long), past_key_values=cache, use_cache=True)
    assert cache.block.nbytes == 6 * 50 * shape.kv_bytes(size)


@pytest.mark.parametrize(("dtype", "size"), [(torch.float32, 4), (torch.bfloat16, 2)])
def test_bytes_of_activations_are_exact(shape, dtype, size):
    model = load_policy(BASE_MODEL, dtype=dtype)[0].train()
    found = saved_bytes(model, lambda: model(input_ids=ids(), use_cache=False).logits)
    # The angles are made once per row of positions, the rest once per token.
    assert found == ROWS * WIDTH * activation_bytes(shape, size, checkpointing=False)


def test_bytes_of_activations_with_checkpointing(shape, model):
    model.activation_checkpointing_enable({"use_reentrant": True})
    model.enable_input_require_grads()
    found = saved_bytes(model, lambda: model(input_ids=ids(), use_cache=False).logits)
    expected = ROWS * WIDTH * activation_bytes(shape, 4, checkpointing=True)
    assert found == pytest.approx(expected, rel=0.1)


def test_bytes_of_activations_of_the_vision_tower(shape, model):
    patches, grid = pixels(model)
    found = saved_bytes(model, lambda: model.model.visual(patches, grid_thw=grid))
    assert found == 96 * vision_bytes(shape, 4, checkpointing=False)


def flops(model, run) -> float:
    # The counter knows no fused attention on a CPU: plain matrix products do the same work.
    model.set_attn_implementation("eager")
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


def test_flops_of_a_forward_pass(shape, model):
    lengths = [WIDTH] * ROWS
    with torch.no_grad():
        found = flops(model, lambda: model(input_ids=ids(), use_cache=False))
    expected = shape.layer_flops(lengths, causal=1) + shape.logit_flops(ROWS * WIDTH)
    assert found == pytest.approx(expected, rel=0.01)


def test_flops_of_forward_and_backward_are_three_times_the_forward_pass(shape, model):
    found = flops(model, lambda: model(input_ids=ids(), use_cache=False).logits.sum().backward())
    forward = shape.layer_flops([WIDTH] * ROWS, causal=1) + shape.logit_flops(ROWS * WIDTH)
    assert found == pytest.approx(3 * forward, rel=0.05)


def test_flops_of_forward_and_backward_with_checkpointing(shape, model):
    model.activation_checkpointing_enable({"use_reentrant": False})
    found = flops(model, lambda: model(input_ids=ids(), use_cache=False).logits.sum().backward())
    layers = 3 * shape.layer_flops([WIDTH] * ROWS, causal=1)
    layers += shape.recomputed_flops([WIDTH] * ROWS, causal=1)
    assert found == pytest.approx(layers + 3 * shape.logit_flops(ROWS * WIDTH), rel=0.01)


def test_flops_of_the_vision_tower(shape, model):
    patches, grid = pixels(model)
    with torch.no_grad():
        found = flops(model, lambda: model.model.visual(patches, grid_thw=grid))
    assert found == pytest.approx(shape.vision_flops(96), rel=0.05)


@pytest.mark.parametrize("name", ["72b", "no/such/folder", "config"])
def test_an_unknown_shape_is_refused(name):
    with pytest.raises(UserError, match="no stored shape and no model folder; known: 3b, 7b"):
        load_shape(name)


def test_another_kind_of_model_is_refused():
    with pytest.raises(UserError, match="model_type is 'llama'"):
        shape_of({"model_type": "llama"}, "x")
