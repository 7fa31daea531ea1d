"""Train the base model in three stages: text, eyes, both together.

A picture model trained from nothing to answer about cards stays at chance, so the order follows
how such models are made at scale: a language model first; then a vision encoder that learns what
the language model's own embeddings of the numbers are; then everything on text and pictures.

Resumable: the state is written every few hundred steps, and every batch depends on the seed and
its index alone, so a run that was killed continues to the same weights.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm

from ares.base.corpus import IGNORED, Stream
from ares.io import atomic_path
from ares.model.tiny import Size, build_model, build_processor
from ares.world.cards import draw_card
from ares.world.settings import World

STAGES = ("text", "eyes", "joint")
#: Squared width of the card classifier's kernel, in variances of an embedding coordinate.
SHARPNESS = 8.0


class Trainer:
    """The three stages over one model; `folder` holds the state that a killed run resumes from."""

    def __init__(self, config: dict[str, Any], world: World, folder: Path):
        self.config, self.world, self.folder = config, world, folder
        self.processor = build_processor(world)
        self.model = build_model(self.processor, Size(**config["size"]), config["seed"]).train()

    def run(self) -> float:
        """All stages, each from where it stopped; the seconds they took, over all attempts."""
        return sum(self._stage(stage) for stage in STAGES)

    def _stage(self, stage: str) -> float:
        settings = self.config[stage]
        parameters = self._trained(stage)
        optimizer = torch.optim.AdamW(
            parameters,
            lr=settings["lr"],
            betas=(0.9, 0.98),
            weight_decay=self.config["weight_decay"],
        )
        state = self.folder / f"{stage}.safetensors"
        done, before = _restore(state, self.model, optimizer) if state.is_file() else (0, 0.0)
        if done == settings["steps"]:
            return before
        start = time.monotonic() - before
        bar = tqdm(
            total=settings["steps"], initial=done, desc=f"base: {stage}", unit="step", mininterval=5
        )
        for step, loss in self._losses(stage, done):
            rate = self._rate(stage, step)
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            bar.update()
            bar.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
            if (step + 1) % self.config["checkpoint_every"] == 0 or step + 1 == settings["steps"]:
                _save(state, self.model, optimizer, step + 1, time.monotonic() - start)
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
        settings = self.config[stage]
        warm = min(1.0, (step + 1) / self.config["warmup"])
        left = 1.0 - step / settings["steps"] if stage != "text" else 1.0
        return settings["lr"] * warm * left

    def _losses(self, stage: str, done: int) -> Iterator[tuple[int, Tensor]]:
        steps, seed = self.config[stage]["steps"], self.config["seed"] + STAGES.index(stage)
        if stage == "eyes":
            if done == 0:
                _xavier(self.model.model.visual)
            for step in range(done, steps):
                yield step, self._card_loss(np.random.default_rng([seed, step]))
            return
        stream = Stream(
            self.world,
            self.processor,
            seed,
            self.config[stage].get("image_share", 0.0),
            self.config["max_response"],
            self.config["batch_tokens"],
        )
        for step, batch in stream.batches(steps):
            if step >= done:
                yield step, self._response_loss(batch)

    def _response_loss(self, batch: dict[str, Tensor]) -> Tensor:
        """Mean negative log-likelihood of the response tokens, nats per token."""
        target_BT = batch.pop("labels")[:, 1:]
        kept_BT = target_BT != IGNORED
        hidden_BTD = self.model.model(**batch, use_cache=False).last_hidden_state[:, :-1]
        return F.cross_entropy(self.model.lm_head(hidden_BTD[kept_BT]), target_BT[kept_BT])

    def _card_loss(self, rng: np.random.Generator) -> Tensor:
        """Classify single cards by their distance to the language model's number embeddings.

        The logits are -|v - e|^2 / (2 s^2): the cross-entropy falls as the output v comes to lie
        near the embedding e of its number, which is where the language model can read it.
        """
        low, high = self.world.numbers
        numbers = rng.integers(low, high + 1, size=self.config["eyes"]["cards"])
        inputs = self.processor.image_processor(
            [draw_card(int(n), rng) for n in numbers], return_tensors="pt"
        )
        seen_BD = self.model.model.visual(
            torch.as_tensor(inputs["pixel_values"]),
            grid_thw=torch.as_tensor(inputs["image_grid_thw"]),
        ).pooler_output
        words = [str(n) for n in range(low, high + 1)]
        ids = torch.tensor(self.processor.tokenizer.convert_tokens_to_ids(words))
        embedding_ND = self.model.get_input_embeddings().weight[ids].detach()
        label_B = torch.from_numpy(numbers - low)
        distance_BN = torch.cdist(seen_BD, embedding_ND).square()
        return F.cross_entropy(-distance_BN / (2 * SHARPNESS * embedding_ND.var()), label_B)


def _xavier(module: torch.nn.Module) -> None:
    """Xavier weights: the default of 0.02 leaves so narrow a vision tower without signal."""
    for parameter in module.parameters():
        if parameter.ndim > 1:
            torch.nn.init.xavier_uniform_(parameter.data.view(parameter.shape[0], -1))


def _save(
    path: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer, step: int, seconds: float
) -> None:
    tensors = {f"model.{k}": v for k, v in model.state_dict().items() if k != "lm_head.weight"}
    for index, slots in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in slots.items()}
    with atomic_path(path) as temporary:
        save_file(
            {k: v.contiguous() for k, v in tensors.items()},
            temporary,
            {"step": str(step), "seconds": str(seconds)},
        )


def _restore(
    path: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[int, float]:
    """Load a state; the number of steps and the seconds it has behind it."""
    slots: dict[int, dict[str, Tensor]] = {}
    weights: dict[str, Tensor] = {}
    with safe_open(path, "pt") as state:
        behind = state.metadata()
        for key in state.keys():  # noqa: SIM118 (no dictionary: it has no iterator)
            kind, rest = key.split(".", 1)
            if kind == "model":
                weights[rest] = state.get_tensor(key)
            else:
                index, name = rest.split(".", 1)
                slots.setdefault(int(index), {})[name] = state.get_tensor(key)
    model.load_state_dict(weights, strict=False)
    model.tie_weights()
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": slots, "param_groups": groups})
    return int(behind["step"]), float(behind["seconds"])
