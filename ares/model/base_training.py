"""Train the base model in three stages: text, eyes, both together.

A picture model trained from nothing to answer about cards stays at chance, so the order follows
how such models are made at scale: a language model first; then a vision encoder that learns what
the language model's own embeddings of the numbers are; then everything on text and pictures.

Resumable: the state is written every few hundred steps, and every batch depends on the seed and
its index alone, so a run that was killed continues to the same weights (on a CPU to the same bits).

On a GPU weights and sums stay float32 and matrix products use its TF32 units: nothing is cast, no
loss is scaled, and at these sizes launching kernels takes longer than the products, so bfloat16
would gain little.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm

from ares.data.cards import draw_card
from ares.data.world_settings import World
from ares.errors import UserError
from ares.io import atomic_path
from ares.model.base_corpus import BEGINNING, IGNORED, Place, Stream, ahead
from ares.model.base_settings import Base
from ares.model.tiny import build_model, build_processor
from ares.versions import KEY, SCHEMA, check

STAGES = ("text", "eyes", "joint")
#: Squared width of the card classifier's kernel, in variances of an embedding coordinate.
SHARPNESS = 8.0


@dataclass(frozen=True)
class Progress:
    """How far a stage is: steps done, seconds they took, and where the last one's batch lay."""

    steps: int = 0
    seconds: float = 0.0
    place: Place = BEGINNING


class Trainer:
    """The three stages over one model; `folder` holds the state that a killed run resumes from."""

    def __init__(self, config: Base, world: World, folder: Path, device: str = "cpu"):
        self.config, self.world, self.folder, self.device = config, world, folder, device
        self.processor = build_processor(world)
        model = build_model(self.processor, config.size, config.seed)
        self.model = model.train().to(device)

    def run(self) -> float:
        """All stages, each from where it stopped; the seconds they took, over all attempts."""
        with _tf32():
            return sum(self._stage(stage) for stage in STAGES)

    def _stage(self, stage: str) -> float:
        settings = getattr(self.config, stage)
        parameters = self._trained(stage)
        optimizer = torch.optim.AdamW(
            parameters,
            lr=settings.lr,
            betas=(0.9, 0.98),
            weight_decay=self.config.weight_decay,
        )
        state = self.folder / f"{stage}.safetensors"
        done = _restore(state, self.model, optimizer) if state.is_file() else Progress()
        if done.steps == settings.steps:
            return done.seconds
        start = time.monotonic() - done.seconds
        bar = tqdm(
            total=settings.steps,
            initial=done.steps,
            desc=f"base: {stage}",
            unit="step",
            mininterval=5,
        )
        for step, loss, place in self._losses(stage, done):
            rate = self._rate(stage, step)
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            if bar.update():  # it was drawn; reading the loss at every step would stall a GPU
                bar.set_postfix(loss=f"{loss.item():.3f}")
            if (step + 1) % self.config.checkpoint_every == 0 or step + 1 == settings.steps:
                behind = Progress(step + 1, time.monotonic() - start, place)
                _save(state, self.model, optimizer, behind)
        bar.close()
        return time.monotonic() - start

    def _trained(self, stage: str) -> list[torch.nn.Parameter]:
        """The parameters of a stage: language model, vision tower, or all."""
        chosen = []
        for name, parameter in self.model.named_parameters():
            visual = name.startswith("model.visual.")
            parameter.requires_grad_(stage == "joint" or visual == (stage == "eyes"))
            if parameter.requires_grad:
                chosen.append(parameter)
        return chosen

    def _rate(self, stage: str, step: int) -> float:
        settings = getattr(self.config, stage)
        warm = min(1.0, (step + 1) / self.config.warmup)
        left = 1.0 - step / settings.steps if stage != "text" else 1.0
        return settings.lr * warm * left

    def _losses(self, stage: str, done: Progress) -> Iterator[tuple[int, Tensor, Place]]:
        """Step, loss and place in the stream, from the first step that is not done."""
        steps, seed = getattr(self.config, stage).steps, self.config.seed + STAGES.index(stage)
        if stage == "eyes":
            if done.steps == 0:
                _xavier(self.model.model.visual)
            make = partial(self._cards, seed)
            cards = ahead(make, range(done.steps, steps), self.config.workers)
            for step, inputs in zip(count(done.steps), cards):
                yield step, self._card_loss(inputs), BEGINNING
            return
        stream = Stream(
            self.world,
            self.processor,
            seed,
            self.config.joint.image_share if stage == "joint" else 0.0,
            self.config.max_response,
            self.config.batch_tokens,
            self.config.chunk,
        )
        for step, batch, place in stream.batches(steps, done.place, self.config.workers):
            if step >= done.steps:
                yield step, self._response_loss(batch), place

    def _response_loss(self, batch: dict[str, Tensor]) -> Tensor:
        """Mean negative log-likelihood of the response tokens, nats per token."""
        batch = self._on_device(batch)
        target_BT = batch.pop("labels")[:, 1:]
        kept_BT = target_BT != IGNORED
        hidden_BTD = self.model.model(**batch, use_cache=False).last_hidden_state[:, :-1]
        return F.cross_entropy(self.model.lm_head(hidden_BTD[kept_BT]), target_BT[kept_BT])

    def _on_device(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: tensor.to(self.device) for name, tensor in inputs.items()}

    def _cards(self, seed: int, step: int) -> dict[str, Tensor]:
        """The single cards of a step, and their numbers, counted from the smallest."""
        rng, (low, high) = np.random.default_rng([seed, step]), self.world.numbers
        numbers = rng.integers(low, high + 1, size=self.config.eyes.cards)
        inputs = self.processor.image_processor(
            [draw_card(int(n), rng) for n in numbers], return_tensors="pt"
        )
        pictures = {
            name: torch.as_tensor(inputs[name]) for name in ("pixel_values", "image_grid_thw")
        }
        return {**pictures, "label_B": torch.from_numpy(numbers - low)}

    def _card_loss(self, inputs: dict[str, Tensor]) -> Tensor:
        """Classify single cards by their distance to the language model's number embeddings.

        The logits are -|v - e|^2 / (2 s^2): the cross-entropy falls as the output v comes to lie
        near the embedding e of its number, which is where the language model can read it.
        """
        inputs, (low, high) = self._on_device(inputs), self.world.numbers
        seen_BD = self.model.model.visual(
            inputs["pixel_values"], grid_thw=inputs["image_grid_thw"]
        ).pooler_output
        words = [str(n) for n in range(low, high + 1)]
        ids = self.processor.tokenizer.convert_tokens_to_ids(words)
        embedding_ND = self.model.get_input_embeddings().weight[ids].detach()
        distance_BN = torch.cdist(seen_BD, embedding_ND).square()
        logits_BN = -distance_BN / (2 * SHARPNESS * embedding_ND.var())
        return F.cross_entropy(logits_BN, inputs["label_B"])


@contextmanager
def _tf32() -> Iterator[None]:
    """Let matrix products of float32 use TF32 meanwhile; on a CPU this changes nothing."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if torch.cuda.is_available() else before)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _xavier(module: torch.nn.Module) -> None:
    """Xavier weights: the default of 0.02 leaves so narrow a vision tower without signal."""
    for parameter in module.parameters():
        if parameter.ndim > 1:
            torch.nn.init.xavier_uniform_(parameter.data.view(parameter.shape[0], -1))


def _save(
    path: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer, behind: Progress
) -> None:
    tensors = {f"model.{k}": v for k, v in model.state_dict().items() if k != "lm_head.weight"}
    for index, slots in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in slots.items()}
    with atomic_path(path) as temporary:
        save_file(
            {k: v.contiguous() for k, v in tensors.items()},
            temporary,
            {KEY: str(SCHEMA), "progress": json.dumps(asdict(behind))},
        )


@contextmanager
def _told_damage(path: Path) -> Iterator[None]:
    try:
        yield
    except SafetensorError as error:
        raise UserError(
            f"{path}: damaged ({error}); remove it, then training starts again"
        ) from None


def _restore(path: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> Progress:
    """Load a state; how far it is.

    Raises:
        UserError: it is of another version, damaged, or lacks weights.
    """
    slots: dict[int, dict[str, Tensor]] = {}
    weights: dict[str, Tensor] = {}
    with _told_damage(path), safe_open(path, "pt") as state:
        behind = state.metadata() or {}
        check(behind.get(KEY), path, "remove it, then training starts again")
        for key in state.keys():  # noqa: SIM118 (no dictionary: it has no iterator)
            kind, rest = key.split(".", 1)
            if kind == "model":
                weights[rest] = state.get_tensor(key)
            else:
                index, name = rest.split(".", 1)
                slots.setdefault(int(index), {})[name] = state.get_tensor(key)
    missing = set(model.load_state_dict(weights, strict=False).missing_keys) - {"lm_head.weight"}
    if missing:
        raise UserError(f"{path}: lacks {min(missing)}; remove it, then training starts again")
    model.tie_weights()
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": slots, "param_groups": groups})
    told = json.loads(behind["progress"])
    return Progress(**{**told, "place": Place(**told["place"])})
