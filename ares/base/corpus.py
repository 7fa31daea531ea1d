"""The corpus of the base model: an endless, seekable stream of teachers' answers.

Batch n depends on the seed and n alone, so training resumes exactly where it stopped.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ares.model.processor import TorchvisionFreeProcessor
from ares.world.problem import Problem, random_problem, split_of
from ares.world.prompts import messages, picture
from ares.world.settings import World
from ares.world.teachers import draw_habit, respond

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
    levels = list(world.levels.values())
    while True:
        problem = random_problem(levels[rng.integers(len(levels))], world, rng)
        if split_of(problem, world) != "train":
            continue
        trace = respond(problem, draw_habit(world, rng), world, rng)
        if len(trace.words) < max_response:
            presentation = "image" if rng.random() < image_share else "text"
            return Example(problem, presentation, trace.text)


def collate(
    examples: list[Example], processor: TorchvisionFreeProcessor, seed: int
) -> dict[str, torch.Tensor]:
    """Right-padded model inputs with `labels` (B, T) on the responses only."""
    tokenizer = processor.tokenizer
    prompts = [
        processor.apply_chat_template(
            messages(e.problem, e.presentation), tokenize=False, add_generation_prompt=True
        )
        for e in examples
    ]
    images = [picture(e.problem, seed) for e in examples if e.presentation == "image"]
    batch = processor(
        text=[
            p + e.response + " " + tokenizer.eos_token
            for p, e in zip(prompts, examples, strict=True)
        ],
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


class Stream:
    """Batches of about `batch_tokens` tokens, made of examples of similar length.

    A chunk of `CHUNK` examples is sorted by length and cut into batches, which are then shuffled:
    little padding, and still small batches, which learn more per minute on a CPU than large ones.
    """

    CHUNK = 96

    def __init__(
        self,
        world: World,
        processor: TorchvisionFreeProcessor,
        seed: int,
        image_share: float,
        max_response: int,
        batch_tokens: int,
    ):
        self.world, self.processor, self.seed = world, processor, seed
        self.image_share, self.max_response, self.batch_tokens = (
            image_share,
            max_response,
            batch_tokens,
        )

    def chunk(self, index: int) -> list[dict[str, torch.Tensor]]:
        """The batches of chunk `index`."""
        rng = np.random.default_rng([self.seed, index])
        examples = [
            draw_example(self.world, self.image_share, self.max_response, rng)
            for _ in range(self.CHUNK)
        ]
        examples.sort(key=lambda e: len(e.response.split()))
        groups: list[list[Example]] = [[]]
        for example in examples:
            width = len(example.response.split()) + 14  # prompt and end of turn
            if groups[-1] and width * (len(groups[-1]) + 1) > self.batch_tokens:
                groups.append([])
            groups[-1].append(example)
        order = rng.permutation(len(groups))
        return [collate(groups[i], self.processor, self.seed + index) for i in order]

    def batches(self, steps: int):
        """Yield (step, batch) for `steps` steps; chunks are walked in order."""
        step, index = 0, 0
        while True:
            for batch in self.chunk(index):
                if step == steps:
                    return
                yield step, batch
                step += 1
            index += 1
