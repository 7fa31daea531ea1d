"""Formulas against real models: the shipped one whole, the paper's without their weights."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
)

from ares.errors import UserError
from ares.io import write_json
from ares.model.load import load_policy
from ares.model.shapes import STORED, load_shape
from ares.paths import BASE_MODEL
from ares.sampling.slots import KVCache
from ares.settings import read_yaml

ROWS, WIDTH, PATCHES = 2, 64, 96
SIZES = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 300,
         "num_key_value_heads": 2, "intermediate_size": 96}  # fmt: skip
BOTH_TYPES = pytest.mark.parametrize(("dtype", "size"), [(torch.float32, 4), (torch.bfloat16, 2)])


@pytest.fixture(scope="module")
def shape():
    return load_shape(str(BASE_MODEL))


def policy(dtype: torch.dtype = torch.float32):
    return load_policy(BASE_MODEL, dtype=dtype)[0].train()


def logits(model, rows: int = ROWS, width: int = WIDTH) -> torch.Tensor:
    ids = torch.randint(10, 100, (rows, width), generator=torch.Generator().manual_seed(0))
    return model(input_ids=ids, use_cache=False).logits


def look(model):
    """The vision tower's pass over a picture of 8 x 12 patches."""
    config = model.config.vision_config
    values = config.in_channels * config.temporal_patch_size * config.patch_size**2
    patches = torch.randn(PATCHES, values, dtype=model.dtype)
    return model.model.visual(patches, grid_thw=torch.tensor([[1, 8, 12]]))


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
        alive = run(model)
    del alive
    return sum(size for size, _ in saved.values())


def counted_flops(model, run) -> float:
    # The counter knows no fused attention on a CPU: plain matrix products do the same work.
    model.set_attn_implementation("eager")
    with FlopCounterMode(display=False) as counter:
        run(model)
    return counter.get_total_flops()


def forward_flops(shape, rows: int = ROWS, width: int = WIDTH) -> float:
    return shape.layer_flops([width] * rows, causal=1) + shape.logit_flops(rows * width)


@pytest.mark.parametrize(
    ("name", "total", "vision"),
    [("3b", 3_754_622_976, 668_684_288), ("7b", 8_292_166_656, 676_550_144)],
)
def test_parameters_of_the_paper_models(name, total, vision):
    shape, config = load_shape(name), read_yaml(STORED)[name]
    assert (shape.parameters, shape.vision.parameters) == (total, vision)
    del config["model_type"]
    with torch.device("meta"):
        model = Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig(**config))
    assert sum(weight.numel() for weight in model.parameters()) == total
    assert sum(weight.numel() for weight in model.model.visual.parameters()) == vision


def test_parameters_and_bytes_of_gradients_and_adamw(shape):
    model = policy()
    assert shape.parameters == sum(weight.numel() for weight in model.parameters())
    optimizer = torch.optim.AdamW(model.parameters())
    for weight in model.parameters():
        weight.grad = torch.zeros_like(weight)
    optimizer.step()
    moments = [
        state[name] for state in optimizer.state.values() for name in ("exp_avg", "exp_avg_sq")
    ]
    assert sum(moment.nbytes for moment in moments) == 8 * shape.parameters
    assert sum(weight.grad.nbytes for weight in model.parameters()) == 4 * shape.parameters


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("llama", {}),
        ("llama", {"head_dim": 24, "attention_bias": True, "mlp_bias": True}),
        ("mistral", {"head_dim": 8, "sliding_window": None}),
        ("qwen2", {"tie_word_embeddings": True}),
        ("qwen3", {"head_dim": 32}),
    ],
)
def test_models_of_text(tmp_path, kind, more):
    config = AutoConfig.for_model(kind, **SIZES, **more)
    config.save_pretrained(tmp_path)
    model = AutoModelForCausalLM.from_config(config).train()
    shape = load_shape(str(tmp_path))
    assert shape.parameters == sum(weight.numel() for weight in model.parameters())
    expected = ROWS * WIDTH * shape.activation_bytes(4, checkpointing=False)
    # Angles are made once for all rows where there are no pictures.
    assert saved_bytes(model, logits) == pytest.approx(expected, rel=0.02)
    with torch.no_grad():
        assert counted_flops(model, logits) == pytest.approx(forward_flops(shape), rel=0.01)
    assert shape.vision_parameters == shape.vision_flops(8) == shape.vision_bytes(4, False) == 0


@BOTH_TYPES
def test_bytes_of_the_kv_cache(shape, dtype, size):
    model = policy(dtype)
    cache = KVCache(model.config.get_text_config().num_hidden_layers, 6, 50, 2)
    with torch.no_grad():  # the first keys say how large the block has to be
        model(input_ids=torch.zeros(3, 4, dtype=torch.long), past_key_values=cache, use_cache=True)
    assert cache.block.nbytes == 6 * 50 * shape.kv_bytes(size)


@BOTH_TYPES
def test_bytes_of_activations_are_exact(shape, dtype, size):
    # The angles are made once per row of positions, the rest once per token.
    expected = ROWS * WIDTH * shape.activation_bytes(size, checkpointing=False)
    assert saved_bytes(policy(dtype), logits) == expected


def test_bytes_of_activations_with_checkpointing_and_of_the_vision_tower(shape):
    model = policy()
    model.activation_checkpointing_enable({"use_reentrant": True})
    model.enable_input_require_grads()
    expected = ROWS * WIDTH * shape.activation_bytes(4, checkpointing=True)
    assert saved_bytes(model, logits) == pytest.approx(expected, rel=0.1)
    assert saved_bytes(policy(), look) == PATCHES * shape.vision_bytes(4, checkpointing=False)


@torch.no_grad()
def test_flops_of_a_forward_pass(shape):
    assert counted_flops(policy(), logits) == pytest.approx(forward_flops(shape), rel=0.01)
    expected = shape.vision_flops(PATCHES)
    assert counted_flops(policy(), look) == pytest.approx(expected, rel=0.05)


def test_flops_of_forward_and_backward_with_and_without_checkpointing(shape):
    def train(model):
        logits(model).sum().backward()

    model = policy()
    assert counted_flops(model, train) == pytest.approx(3 * forward_flops(shape), rel=0.05)
    model.activation_checkpointing_enable({"use_reentrant": False})
    again = 3 * forward_flops(shape) + shape.recomputed_flops([WIDTH] * ROWS, causal=1)
    assert counted_flops(model, train) == pytest.approx(again, rel=0.01)


def test_other_names_and_other_kinds_of_models_are_refused(tmp_path):
    for name in ("72b", "no/such/folder", "config"):
        with pytest.raises(UserError, match="no stored shape and no model folder; known: 3b, 7b"):
            load_shape(name)
    for config, message in (
        ({"model_type": "gpt2"}, "model_type is 'gpt2', whose layers no formula"),
        ({"model_type": "qwen2_5_vl", **SIZES}, "vision_config is not in"),
        ({"model_type": "mistral", "sliding_window": 8, **SIZES}, "windows of attention"),
    ):
        write_json(tmp_path / "config.json", config)
        with pytest.raises(UserError, match=message):
            load_shape(str(tmp_path))
