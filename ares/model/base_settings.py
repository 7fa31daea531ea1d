"""The settings of base training, read from `config/base.yaml`."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from ares.paths import resolve
from ares.settings import Natural, Positive, Seed, Settings, Share, Text, load_settings


class Size(Settings):
    """Shape of a model of the small world; the defaults are those of the shipped one."""

    hidden: Natural = 128
    """Width of the language model"""
    layers: Natural = 4
    """Its layers"""
    heads: Natural = 4
    """Its attention heads"""
    kv_heads: Natural = 2
    """Its key-value heads"""
    intermediate: Natural = 384
    """Width of its feed-forward layers"""
    vision_hidden: Natural = 96
    """Width of the vision tower"""
    vision_layers: Natural = 2
    """Its layers"""
    vision_intermediate: Natural = 192
    """Width of its feed-forward layers"""
    context: Natural = 1024
    """Longest sequence in tokens"""


class Stage(Settings):
    """The language model on text."""

    steps: Natural
    """Optimizer steps"""
    lr: Positive
    """Learning rate"""


class Eyes(Stage):
    """The vision tower on single cards."""

    cards: Natural
    """Cards per step"""


class Joint(Stage):
    """Everything on text and pictures."""

    image_share: Share
    """Share of the examples shown as pictures"""


class Check(Settings):
    """What the model card reports, on test problems."""

    per_level: int = Field(ge=2)
    """Problems per level"""
    samples: Natural
    """Responses per problem"""
    max_new_tokens: Natural
    """Length limit in tokens"""
    batch_prompts: Natural = 16
    """Prompts sampled together, each with all its samples"""


class Base(Settings):
    """How a base model is trained from nothing."""

    seed: Seed
    """Of weights and corpus"""
    world: Text
    """The world file, relative to the root of the repository"""
    size: Size
    """Shape of the model"""
    max_response: int = Field(ge=2)
    """Longer answers of the teachers are drawn again, in tokens"""
    batch_tokens: Natural
    """Tokens per step, padding included"""
    chunk: Natural = 96
    """Examples that are sorted by length together: more of them, less padding"""
    workers: int = Field(0, ge=0, le=256)
    """Processes that make batches ahead; 0 makes each when it is needed"""
    warmup: Natural
    """Steps over which the learning rate rises"""
    weight_decay: float = Field(ge=0)
    """Of AdamW"""
    text: Stage
    """The language model on text"""
    eyes: Eyes
    """The vision tower on single cards"""
    joint: Joint
    """Everything on text and pictures"""
    checkpoint_every: Natural
    """Steps between resumable states"""
    evaluation: Check
    """What the model card reports, on test problems"""


def load_base_config(path: str | Path) -> Base:
    """Read and check a base training config.

    Raises:
        UserError: the file is missing or not YAML, or a key or value in it is impossible.
    """
    return load_settings(Base, resolve(path))
