"""The corpora of the base model: teachers' answers, and single cards; endless, chunk by chunk.

A chunk depends on the seed and its index alone, so training resumes exactly where it stopped.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ares.data.cards import draw_card
from ares.data.countdown import Problem, random_problem
from ares.data.world import VALUES, messages, picture
from ares.data.world_settings import World
from ares.data.world_teachers import draw_habit, respond
from ares.model.processor import TorchvisionFreeProcessor

IGNORED = -100  # label of a token without a loss


@dataclass(frozen=True)
class Example:
    """A training problem, how it is shown, and one teacher's answer in words."""

    problem: Problem
    presentation: str
    response: str


def draw_example(
    world: World, image_share: float, max_response: int, rng: np.random.Generator
) -> Example:
    """One example from the train split: level, habit and presentation drawn independently."""
    levels = list(world.levels)
    while True:
        problem = random_problem(levels[rng.integers(len(levels))], world, rng, "train")
        trace = respond(problem, draw_habit(world, rng), world, rng)
        if len(trace.words) < max_response:
            presentation = "image" if rng.random() < image_share else "text"
            return Example(problem, presentation, trace.text)


def collate(
    examples: list[Example],
    processor: TorchvisionFreeProcessor,
    seed: int,
    values: tuple[int, int] = VALUES,
) -> dict[str, Tensor]:
    """Right-padded model inputs with `labels` (B, T) on the responses only.

    The seed decides about the looks of the pictures; `values` are those of the examples' world.
    """
    tokenizer = processor.tokenizer
    prompts = [
        processor.apply_chat_template(
            messages(e.problem, e.presentation, values), tokenize=False, add_generation_prompt=True
        )
        for e in examples
    ]
    answers = [f"{e.response} {tokenizer.eos_token}" for e in examples]
    images = [picture(e.problem, seed) for e in examples if e.presentation == "image"]
    batch = processor(
        text=[prompt + answer for prompt, answer in zip(prompts, answers, strict=True)],
        images=images or None,
        padding=True,
        padding_side="right",
        return_tensors="pt",
    )
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, IGNORED)
    opens = tokenizer.convert_tokens_to_ids("assistant")
    starts = (batch["input_ids"] == opens).int().argmax(dim=1)
    labels[torch.arange(labels.shape[1]) <= starts[:, None]] = IGNORED
    return {**{k: torch.as_tensor(v) for k, v in batch.items()}, "labels": labels}


def positions(batch: dict[str, Tensor], image_token_id: int) -> Tensor:
    """M-RoPE positions (3, B, T) of right-padded rows with at most one row of cards each.

    Time and height stand still over the cards, width counts on, and so does all that is text. The
    model works out the same numbers row by row, which on a GPU takes longer than its layers do.
    """
    mask_BT, seen_BT = batch["attention_mask"], batch["input_ids"] == image_token_id
    width_BT = (mask_BT.cumsum(1) - 1) * mask_BT
    first_B1 = seen_BT.int().argmax(1, keepdim=True)
    still_BT = torch.where(seen_BT, first_B1, width_BT)
    return torch.stack([still_BT, still_BT, width_BT])


@dataclass(frozen=True)
class Corpus(Dataset):
    """Chunk by chunk, batches of about `batch_tokens` tokens, made of examples of similar length.

    A chunk of examples is sorted by length and cut into batches, which are then shuffled: little
    padding, and still small batches, which learn more per minute on a CPU than large ones. Large
    batches need large chunks.
    """

    world: World
    processor: TorchvisionFreeProcessor
    seed: int
    image_share: float
    max_response: int
    batch_tokens: int
    examples: int

    def __getitem__(self, index: int) -> list[dict[str, Tensor]]:
        """The batches of a chunk."""
        rng = np.random.default_rng([self.seed, index])
        examples = [
            draw_example(self.world, self.image_share, self.max_response, rng)
            for _ in range(self.examples)
        ]
        examples.sort(key=lambda e: len(e.response.split()))
        groups: list[list[Example]] = [[]]
        for example in examples:
            width = len(example.response.split()) + 14  # prompt and end of turn
            if groups[-1] and width * (len(groups[-1]) + 1) > self.batch_tokens:
                groups.append([])
            groups[-1].append(example)
        order = rng.permutation(len(groups))
        return [self._batch(groups[i], self.seed + index) for i in order]

    def _batch(self, examples: list[Example], seed: int) -> dict[str, Tensor]:
        batch = collate(examples, self.processor, seed, self.world.values)
        batch["position_ids"] = positions(batch, self.processor.image_token_id)
        # The padding is on the right, where causal attention never looks; without a mask it is
        # a quarter faster.
        del batch["attention_mask"]
        return batch


@dataclass(frozen=True)
class Cards(Dataset):
    """Chunk by chunk, one batch of single cards and their numbers, counted from the smallest."""

    world: World
    processor: TorchvisionFreeProcessor
    seed: int
    cards: int

    def __getitem__(self, index: int) -> list[dict[str, Tensor]]:
        """The batch of a chunk: pixel_values, image_grid_thw, label_B."""
        rng, (low, high) = np.random.default_rng([self.seed, index]), self.world.numbers
        numbers = rng.integers(low, high + 1, size=self.cards)
        pictures = [draw_card(int(number), rng) for number in numbers]
        inputs = self.processor.image_processor(pictures, return_tensors="pt")
        batch = {name: torch.as_tensor(inputs[name]) for name in ("pixel_values", "image_grid_thw")}
        return [{**batch, "label_B": torch.from_numpy(numbers - low)}]


def ahead(chunks: Dataset, first: int, workers: int) -> Iterator[Any]:
    """Yield the chunks from the first, without an end, made ahead in other processes.

    A GPU trains on a batch in less time than one core takes to think of it. Who makes a chunk, and
    when, changes nothing.

    Args:
        workers: processes that work ahead, one chunk each; 0 makes every chunk when it is asked
            for. Chunks travel through shared memory (/dev/shm).
    """
    if workers == 0:
        yield from map(chunks.__getitem__, count(first))
        return
    yield from DataLoader(
        chunks,
        sampler=count(first),
        batch_size=None,
        num_workers=workers,
        prefetch_factor=1,
        # The loader draws a seed for its workers; with a generator of its own it leaves torch's be.
        generator=torch.Generator(),
        # The workers touch no GPU, so they may be forks of a process that does.
        multiprocessing_context="fork",
    )
