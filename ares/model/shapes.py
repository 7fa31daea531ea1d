"""Shapes of models and what follows from them alone: parameters, FLOPs, bytes per token.

Models of text are those whose layers are attention over grouped heads and a gated MLP, a norm
before each (`KINDS`); of those with pictures, Qwen2.5-VL alone. Mixtures of experts, windows of
attention and layers of other kinds are not counted, and refused.

Notation of the docstrings: h hidden size, i intermediate size, n heads, k key-value heads, d head
size, V vocabulary, P patches of a picture (14 x 14 pixels each, four of them make a visual token).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ares.errors import UserError
from ares.io import read_json
from ares.paths import resolve
from ares.settings import read_yaml

#: Sizes of the models that the paper starts from, and their names on the hub.
STORED = Path(__file__).with_name("shapes.yaml")
_HUB = {"Qwen/Qwen2.5-VL-3B-Instruct": "3b", "Qwen/Qwen2.5-VL-7B-Instruct": "7b"}

Size = Annotated[int, Field(ge=1)]


class _FromConfig(BaseModel):
    """What a transformers config says, under names of our own; the rest of it is left out."""

    model_config = ConfigDict(frozen=True, strict=True)


#: What the layers of a kind of model have beyond the matrices: biases of query, key and value, and
#: norms of the heads of query and key. A config may say that there are more biases.
KINDS = {
    "qwen2_5_vl": {"qkv_biases": True},
    "qwen2": {"qkv_biases": True},
    "qwen3": {"head_norms": True},
    "llama": {},
    "mistral": {},
}


class TextShape(_FromConfig):
    """The language model."""

    hidden: Size = Field(alias="hidden_size")
    layers: Size = Field(alias="num_hidden_layers")
    heads: Size = Field(alias="num_attention_heads")
    given_kv_heads: Size | None = Field(None, alias="num_key_value_heads")
    given_head_size: Size | None = Field(None, alias="head_dim")
    intermediate: Size = Field(alias="intermediate_size")
    vocabulary: Size = Field(alias="vocab_size")
    attention_bias: bool = False
    mlp_bias: bool = False
    sliding_window: int | None = None
    use_sliding_window: bool = True
    qkv_biases: bool = False
    head_norms: bool = False

    @model_validator(mode="wrap")
    @classmethod
    def _of_kind(cls, config: Any, build: Any, info: Any) -> Self:
        """Add what the kind of model has, whatever the file says; refuse what is not counted."""
        shape = build({**config, **info.context} if isinstance(config, dict) else config)
        if shape.sliding_window and shape.use_sliding_window:
            raise ValueError("windows of attention are not counted")
        return shape

    @property
    def kv_heads(self) -> int:
        """k."""
        return self.given_kv_heads or self.heads

    @property
    def head_size(self) -> int:
        """d."""
        return self.given_head_size or self.hidden // self.heads

    @property
    def layer_matrices(self) -> int:
        """Weights of one layer that multiply tokens: 2 h n d + 2 h k d + 3 h i."""
        attention = 2 * self.hidden * self.head_size * (self.heads + self.kv_heads)
        return attention + 3 * self.hidden * self.intermediate

    @property
    def layer_parameters(self) -> int:
        """With biases and norms."""
        qkv = self.head_size * (self.heads + 2 * self.kv_heads)
        more = 2 * self.hidden + 2 * self.head_size * self.head_norms
        more += qkv * (self.qkv_biases or self.attention_bias) + self.hidden * self.attention_bias
        more += (2 * self.intermediate + self.hidden) * self.mlp_bias
        return self.layer_matrices + more

    def layer_activation_bytes(self, size: int) -> int:
        """Bytes per token that the backward pass of one layer keeps, `size` bytes per value.

        Each of the two norms keeps its input in float32, its normalised output and one float32;
        attention its input, queries, keys, values, output and a float32 per head; the MLP its
        input, gate, activated gate, up projection and their product. Norms of heads keep the
        same as norms, for every head.
        """
        norms = 2 * (4 * self.hidden + size * self.hidden + 4)
        normed = (self.heads + self.kv_heads) * self.head_norms
        norms += normed * (4 * self.head_size + size * self.head_size + 4)
        wide = 2 * (self.heads + self.kv_heads) * self.head_size
        mlp = self.hidden + 4 * self.intermediate
        return norms + size * (self.hidden + wide + mlp) + 4 * self.heads


class VisionShape(_FromConfig):
    """The vision tower with its merger."""

    hidden: Size = Field(alias="hidden_size")
    layers: Size = Field(alias="depth")
    intermediate: Size = Field(alias="intermediate_size")
    heads: Size = Field(alias="num_heads")
    out: Size = Field(alias="out_hidden_size")
    patch: Size = Field(alias="patch_size")
    channels: Size = Field(alias="in_channels")
    temporal: Size = Field(alias="temporal_patch_size")
    merge: Size = Field(alias="spatial_merge_size")
    window: Size = Field(alias="window_size")
    #: Blocks whose attention sees the whole picture.
    full: list[int] = Field(alias="fullatt_block_indexes")

    @property
    def layer_matrices(self) -> int:
        """Weights of one block that multiply patches: 4 h h + 3 h i."""
        return 4 * self.hidden**2 + 3 * self.hidden * self.intermediate

    @property
    def merger_matrices(self) -> int:
        """Weights that multiply visual tokens, merge^2 patches each."""
        wide = self.hidden * self.merge**2
        return wide * wide + wide * self.out

    @property
    def pixels(self) -> int:
        """Values of a patch."""
        return self.channels * self.temporal * self.patch**2

    @property
    def parameters(self) -> int:
        """All: with biases (3 h + h of attention, 2 i + h of the MLP) and two norms a block."""
        layer = self.layer_matrices + 7 * self.hidden + 2 * self.intermediate
        merger = self.merger_matrices + self.hidden * self.merge**2 + self.out + self.hidden
        return self.pixels * self.hidden + self.layers * layer + merger


class ModelShape(_FromConfig):
    """A model of text, or of text and pictures."""

    name: str
    #: Whether the embedding is also the output layer.
    tied: bool = Field(False, alias="tie_word_embeddings")
    text: TextShape = Field(alias="text_config")
    vision: VisionShape | None = Field(None, alias="vision_config")

    @property
    def embeddings(self) -> int:
        """Weights of the embedding and the output layer."""
        return self.text.vocabulary * self.text.hidden * (1 if self.tied else 2)

    @property
    def language_parameters(self) -> int:
        """All but the vision tower."""
        text = self.text
        return self.embeddings + text.layers * text.layer_parameters + text.hidden

    @property
    def vision_parameters(self) -> int:
        """Those of the vision tower, 0 where there is none."""
        return self.vision.parameters if self.vision else 0

    @property
    def parameters(self) -> int:
        """All, exactly."""
        return self.language_parameters + self.vision_parameters

    def kv_bytes(self, bytes_per_value: int) -> int:
        """Bytes of the KV cache per token: 2 layers k d values."""
        text = self.text
        return 2 * text.layers * text.kv_heads * text.head_size * bytes_per_value

    def layer_flops(self, lengths: Sequence[float], causal: float) -> float:
        """FLOPs of one forward pass through the layers: 2 per weight and token, and attention.

        Args:
            lengths: tokens of every sequence, visual tokens included.
            causal: share of the square of scores that is computed: 1 where masked scores are
                computed too, 0.5 for FlashAttention.
        """
        text = self.text
        matrices = 2 * sum(lengths) * text.layers * text.layer_matrices
        # Scores and weighted values: 2 x 2 n d FLOPs per pair of tokens.
        pairs = sum(length * length for length in lengths)
        return matrices + 4 * text.layers * text.heads * text.head_size * pairs * causal

    def recomputed_flops(self, lengths: Sequence[float], causal: float) -> float:
        """FLOPs of making the layers' activations again; the last product of each is not needed."""
        last = 2 * sum(lengths) * self.text.layers * self.text.hidden * self.text.intermediate
        return self.layer_flops(lengths, causal) - last

    def logit_flops(self, tokens: float) -> float:
        """FLOPs of the output layer for that many tokens."""
        return 2 * tokens * self.text.hidden * self.text.vocabulary

    def vision_flops(self, patches: float) -> float:
        """FLOPs of one forward pass of the vision tower over one picture of `patches` patches."""
        vision = self.vision
        if vision is None:
            return 0
        weights = vision.pixels * vision.hidden + vision.layers * vision.layer_matrices
        merger = vision.merger_matrices / vision.merge**2
        # A window of 112 pixels is 8 x 8 patches; a smaller picture is one window.
        window = min(patches, (vision.window // vision.patch) ** 2)
        seen = len(vision.full) * patches + (vision.layers - len(vision.full)) * window
        return 2 * patches * (weights + merger + 2 * vision.hidden * seen)

    def activation_bytes(self, size: int, checkpointing: bool) -> int:
        """Bytes per token that the language model keeps for its backward pass, without the logits.

        With checkpointing that is the input of every layer. Kept once: the last norm, the input of
        the output layer, angles and the token's number.
        """
        text = self.text
        layer = size * text.hidden if checkpointing else text.layer_activation_bytes(size)
        once = (4 + 2 * size) * text.hidden + 2 * size * text.head_size + 12
        return text.layers * layer + once

    def vision_bytes(self, size: int, checkpointing: bool) -> int:
        """The same per patch of the vision tower.

        A block keeps what a layer keeps, and queries, keys and values twice (before and after the
        rotation), and its output before and after heads are joined. Kept once: pixels, the merger's
        norm, inputs of its two layers and of its activation, angles and window indices.
        """
        vision = self.vision
        if vision is None:
            return 0
        norm = 4 * vision.hidden + size * vision.hidden + 4
        block = 2 * norm + size * (9 * vision.hidden + 4 * vision.intermediate) + 4 * vision.heads
        once = size * (vision.pixels + 3 * vision.hidden) + norm
        once += 8 * vision.hidden // vision.heads + 4
        return vision.layers * (size * vision.hidden if checkpointing else block) + once


def load_shape(name: str) -> ModelShape:
    """The shape of "3b", "7b", of these models' names on the hub, or of a model folder.

    Raises:
        UserError: another name, or a folder without the config of such a model.

    >>> f"{load_shape('3b').parameters:,} {load_shape('7b').parameters:,}"
    '3,754,622,976 8,292,166,656'
    """
    stored, file = read_yaml(STORED), resolve(name) / "config.json"
    config: Any = stored.get(_HUB.get(name, name))
    if config is None and not file.is_file():
        raise UserError(
            f"{name}: no stored shape and no model folder; known: {', '.join([*stored, *_HUB])}"
        )
    config = config or read_json(file)
    kind = config.get("model_type") if isinstance(config, Mapping) else None
    if not isinstance(kind, str) or kind not in KINDS:
        raise UserError(
            f"{name}: model_type is {kind!r:.100}, whose layers no formula here counts; there are "
            f"formulas for {', '.join(KINDS)}"
        )
    if kind != "qwen2_5_vl":
        config = {**config, "text_config": config, "vision_config": None}
    elif "vision_config" not in config:
        raise UserError(f"{name}: vision_config is not in its config.json")
    try:
        return ModelShape.model_validate({**config, "name": name}, context=KINDS[kind])
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise UserError(
            f"{name}: {place} in its config.json: {first['msg']}; give 3b, 7b, or a folder that "
            "`ares export` wrote"
        ) from None
