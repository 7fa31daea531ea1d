"""Train the base model in three stages: text, eyes, both together.

A picture model trained from nothing to answer about cards stays at chance, so the order follows
how such models are made at scale: a language model first; then a vision encoder that learns what
the language model's own embeddings of the numbers are; then everything on text and pictures.

Resumable: the state is written every few hundred steps, and every chunk of batches depends on the
seed and its index alone, so a run that was killed continues to the same weights (on a CPU to the
same bits).

On a GPU weights and sums stay float32 and matrix products use its TF32 units: nothing is cast, no
loss is scaled, and at these sizes launching kernels takes longer than the products, so bfloat16
would gain little.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm

from ares.data.world_settings import World
from ares.errors import UserError
from ares.io import KEY, SCHEMA, atomic_path, check
from ares.model.base_corpus import IGNORED, Cards, Corpus, ahead
from ares.model.base_settings import Base
from ares.model.tiny import build_model, build_processor

STAGES = ("text", "eyes", "joint")
#: Squared width of the card classifier's kernel, in variances of an embedding coordinate.
SHARPNESS = 8.0
_REMEDY = "remove it, then training starts again"


@dataclass(frozen=True)
class Progress:
    """How far a stage is: steps and chunks that are done, and the seconds they took."""

    steps: int = 0
    chunks: int = 0
    seconds: float = 0.0


class Trainer:
    """The three stages over one model; `folder` holds the state that a killed run resumes from."""

    def __init__(self, config: Base, world: World, folder: Path, device: str = "cpu"):
        self.config, self.world, self.folder, self.device = config, world, folder, device
        self.processor = build_processor(world)
        model = build_model(self.processor, config.size, config.seed)
        self.model = model.train().to(device)

    def run(self) -> float:
        """All stages, each from where it stopped; the seconds they took, over all attempts."""
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("high" if torch.cuda.is_available() else before)
        try:
            return sum(map(self._stage, STAGES))
        finally:
            torch.set_float32_matmul_precision(before)

    def _stage(self, stage: str) -> float:
        settings, parameters = getattr(self.config, stage), self._trained(stage)
        optimizer = torch.optim.AdamW(
            parameters, lr=settings.lr, betas=(0.9, 0.98), weight_decay=self.config.weight_decay
        )
        state = self.folder / f"{stage}.safetensors"
        done = _restore(state, self.model, optimizer) if state.is_file() else Progress()
        if done.steps == settings.steps:
            return done.seconds
        if stage == "eyes" and done.steps == 0:
            _xavier(self.model.model.visual)
        loss_of = self._card_loss if stage == "eyes" else self._response_loss
        step, saved, start = done.steps, done.steps, time.monotonic() - done.seconds
        bar = tqdm(
            total=settings.steps, initial=step, desc=f"base: {stage}", unit="step", mininterval=5
        )
        chunks = ahead(self._chunks(stage), done.chunks, self.config.workers)
        for index, chunk in enumerate(chunks, done.chunks):
            for batch in chunk[: settings.steps - step]:
                loss = loss_of({name: tensor.to(self.device) for name, tensor in batch.items()})
                optimizer.param_groups[0]["lr"] = self._rate(stage, step)
                optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(parameters, 1.0)
                optimizer.step()
                step += 1
                if bar.update():  # it was drawn; reading the loss at every step would stall a GPU
                    bar.set_postfix(loss=f"{loss.item():.3f}")
            ended = step == settings.steps
            if ended or step - saved >= self.config.checkpoint_every:
                saved = step
                done = Progress(step, index + 1, time.monotonic() - start)
                _save(state, self.model, optimizer, done)
            if ended:
                break
        bar.close()
        return done.seconds

    def _chunks(self, stage: str) -> Corpus | Cards:
        config, seed = self.config, self.config.seed + STAGES.index(stage)
        if stage == "eyes":
            return Cards(self.world, self.processor, seed, config.eyes.cards)
        share = config.joint.image_share if stage == "joint" else 0.0
        sizes = config.max_response, config.batch_tokens, config.chunk
        return Corpus(self.world, self.processor, seed, share, *sizes)

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

    def _response_loss(self, batch: dict[str, Tensor]) -> Tensor:
        """Mean negative log-likelihood of the response tokens, nats per token."""
        target_BT = batch.pop("labels")[:, 1:]
        kept_BT = target_BT != IGNORED
        hidden_BTD = self.model.model(**batch, use_cache=False).last_hidden_state[:, :-1]
        return F.cross_entropy(self.model.lm_head(hidden_BTD[kept_BT]), target_BT[kept_BT])

    def _card_loss(self, inputs: dict[str, Tensor]) -> Tensor:
        """Classify single cards by their distance to the language model's number embeddings.

        The logits are -|v - e|^2 / (2 s^2): the cross-entropy falls as the output v comes to lie
        near the embedding e of its number, which is where the language model can read it.
        """
        low, high = self.world.numbers
        seen_BD = self.model.model.visual(
            inputs["pixel_values"], grid_thw=inputs["image_grid_thw"]
        ).pooler_output
        words = [str(n) for n in range(low, high + 1)]
        ids = self.processor.tokenizer.convert_tokens_to_ids(words)
        embedding_ND = self.model.get_input_embeddings().weight[ids].detach()
        distance_BN = torch.cdist(seen_BD, embedding_ND).square()
        logits_BN = -distance_BN / (2 * SHARPNESS * embedding_ND.var())
        return F.cross_entropy(logits_BN, inputs["label_B"])


def _xavier(module: torch.nn.Module) -> None:
    """Xavier weights: the default of 0.02 leaves so narrow a vision tower without signal."""
    for parameter in module.parameters():
        if parameter.ndim > 1:
            torch.nn.init.xavier_uniform_(parameter.data.view(parameter.shape[0], -1))


def _save(
    path: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer, done: Progress
) -> None:
    tensors = {f"model.{k}": v for k, v in model.state_dict().items() if k != "lm_head.weight"}
    for index, slots in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in slots.items()}
    with atomic_path(path) as temporary:
        save_file(
            {k: v.contiguous() for k, v in tensors.items()},
            temporary,
            {KEY: str(SCHEMA), "done": json.dumps(asdict(done))},
        )


def _restore(path: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> Progress:
    """Load a state; how far it is.

    Raises:
        UserError: it is of another version, or damaged.
    """
    try:
        with safe_open(path, "pt") as state:
            noted = state.metadata() or {}
            tensors = {key: state.get_tensor(key) for key in state.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise UserError(f"{path}: damaged ({error}); {_REMEDY}") from None
    # A state of before there were chunks has the number, and another word for what is done.
    check(noted.get(KEY) if "done" in noted else None, path, _REMEDY)
    parts = [(key.split(".", 1), tensor) for key, tensor in tensors.items()]
    weights = {name: tensor for (kind, name), tensor in parts if kind == "model"}
    # The head is the embedding, which is saved once.
    weights["lm_head.weight"] = weights["model.language_model.embed_tokens.weight"]
    model.load_state_dict(weights)
    slots: dict[int, dict[str, Tensor]] = {}
    for (kind, name), tensor in parts:
        if kind == "optimizer":
            index, slot = name.split(".")
            slots.setdefault(int(index), {})[slot] = tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": slots, "param_groups": groups})
    return Progress(**json.loads(noted["done"]))
