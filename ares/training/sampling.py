"""Rollouts for training from the sampler of `ares.sampling`, plain or branching.

It runs in the training process on the whole, unsharded model: laptops, one GPU, data-parallel
processes. Sharded models and vLLM sample through TRL.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch
from trl.data_utils import prepare_multimodal_messages

from ares.sampling.branching import engine_sampler, sample_groups
from ares.sampling.prompts import Prompt, split_prompts
from ares.seeds import row_seed
from ares.training.refill import Group

if TYPE_CHECKING:
    from ares.training.drawing import DrawingTrainer


class Sampler(Protocol):
    """What draws rollouts in place of TRL."""

    def groups(
        self, trainer: DrawingTrainer, rows: Sequence[dict[str, Any]], key: tuple[int, ...]
    ) -> list[Group]:
        """A group of `trainer.num_generations` rollouts to each row, not graded yet.

        `key` differs between calls; the same key gives the same rollouts from the same model.
        """
        ...


@dataclass(frozen=True)
class EngineSampler:
    """The sampler of `ares.sampling.engine`.

    roots: rollouts of a group that start at the prompt when the preset branches; the others leave
    a root where its window entropy passes the threshold of the batch before. In the first batch
    there is none yet, and every rollout is a root.
    """

    roots: int = 1

    def groups(
        self, trainer: DrawingTrainer, rows: Sequence[dict[str, Any]], key: tuple[int, ...]
    ) -> list[Group]:
        """See `Sampler.groups`."""
        settings, size = trainer.settings, trainer.num_generations
        generate = engine_sampler(
            trainer.accelerator.unwrap_model(trainer.model),
            eos_token_ids=trainer.eos_token_ids,
            pad_token_id=trainer._tokenizer.pad_token_id,
            temperature=trainer.temperature,
            top_p=trainer.top_p,
        )
        drawn = sample_groups(
            encoded(trainer, rows),
            generate,
            group_size=size,
            roots=self.roots if settings.branching else size,
            seeds=[row_seed(*key, index) for index in range(len(rows) * size)],
            max_new_tokens=trainer.max_completion_length,
            threshold=trainer.branch_threshold,
            window=settings.window,
            window_start=settings.window_start,
        )
        return [
            Group(
                row,
                [sample.token_ids.tolist() for sample in group.samples],
                [],
                parents=group.parent,
                branch_at=group.branch_at,
            )
            for row, group in zip(rows, drawn, strict=True)
        ]


def encoded(trainer: DrawingTrainer, rows: Sequence[dict[str, Any]]) -> list[Prompt]:
    """The prompts of some rows, tokenised as TRL does."""
    messages = [
        prepare_multimodal_messages(row["prompt"], images=row.get("images") or []) for row in rows
    ]
    ids, _, fields = trainer._tokenize_prompts(messages)
    width = max(map(len, ids))
    padded_BT = torch.full((len(ids), width), trainer._tokenizer.pad_token_id)
    mask_BT = torch.zeros(len(ids), width, dtype=torch.long)
    for row, tokens in enumerate(ids):
        padded_BT[row, : len(tokens)] = torch.as_tensor(tokens)
        mask_BT[row, : len(tokens)] = 1
    inputs = {"input_ids": padded_BT, "attention_mask": mask_BT}
    for name in ("pixel_values", "image_grid_thw"):
        if name in fields:
            inputs[name] = torch.as_tensor(fields[name])
    return split_prompts(inputs, trainer.model.config)
