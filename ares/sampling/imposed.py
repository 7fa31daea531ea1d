"""Responses whose number of comparisons with the target is imposed.

How long a response is can't tell whether length pays, since a search ends when it succeeds. Here a
response may not give up before it has made so many comparisons, and has to answer once it has. It
may answer sooner if it says that it has reached the target, unless it has to go on after success
too: that is overthinking, imposed.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import torch
from torch import Tensor
from transformers import LogitsProcessor

from ares.data.countdown import Problem
from ares.data.items import Item, Problems
from ares.data.responses import candidates, verify
from ares.data.world import problem_of
from ares.data.world_settings import Language, World
from ares.sampling.prompts import pad_prompts
from ares.sampling.rollouts import Sampling, encode


class Imposed(LogitsProcessor):
    """Make every response compare `comparisons` times with the target, then answer.

    With none, the response is a guess. Without `after_success`, one that says "yes" may end.
    """

    def __init__(
        self,
        tokenizer,
        language: Language,
        comparisons: int,
        prompt_length: int,
        *,
        after_success: bool,
    ):
        self.comparisons, self.start, ids = comparisons, prompt_length, tokenizer.get_vocab()
        self.after_success, self.yes = after_success, ids["yes"]
        conclude, guess = language.markers["conclude"], language.markers["guess"]
        self.ends = [ids[word] for word in (*conclude, *guess, "</think>", tokenizer.eos_token)]
        self.stops = torch.tensor([ids["<think>"], ids["."]])
        self.vs = ids["vs"]
        self.answer = ids[conclude[0] if comparisons else guess[0]]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Bar the words that end a thought, or leave nothing else, per row."""
        said_BT = input_ids[:, self.start :]
        if said_BT.shape[1] == 0:
            return scores
        short_B = (said_BT == self.vs).sum(1) < self.comparisons
        due_B = ~short_B & torch.isin(said_BT[:, -1], self.stops)
        held_B = short_B if self.after_success else short_B & ~(said_BT == self.yes).any(1)
        barred_BV = torch.zeros_like(scores, dtype=torch.bool)
        barred_BV[:, self.ends] = held_B[:, None]
        barred_BV[due_B] = True
        barred_BV[due_B, self.answer] = False
        return scores.masked_fill(barred_BV, -torch.inf)


def impose(
    model,
    processor,
    problems: Problems,
    world: World,
    sampling: Sampling,
    comparisons: int,
    *,
    after_success: bool,
) -> pd.DataFrame:
    """Responses of an imposed number of comparisons.

    Columns: level, presentation, comparisons, after_success, first (the comparison that was the
    first to reach the target, from 1; 0 for none), correct (the answer).
    """
    rows = []
    torch.manual_seed(sampling.seed)
    for start in range(0, len(problems), sampling.batch_prompts):
        items = problems.items[start : start + sampling.batch_prompts]
        texts = generate(
            model, processor, items, world, sampling, comparisons, after_success=after_success
        )
        for index, text in enumerate(texts):
            problem, values = problem_of(items[index // sampling.samples].question.gold)
            right = verify(problem, text, values).correct
            rows.append((comparisons, after_success, first_success(problem, text, world), right))
    made = pd.DataFrame(rows, columns=["comparisons", "after_success", "first", "correct"])
    shown = problems.repeated(sampling.samples)[["level", "presentation"]]
    return pd.concat([shown, made], axis=1)


def generate(
    model,
    processor,
    items: Sequence[Item],
    world: World,
    sampling: Sampling,
    comparisons: int,
    *,
    after_success: bool,
) -> list[str]:
    """The texts of `sampling.samples` responses to every item, those to one side by side."""
    tokenizer, prompts = processor.tokenizer, encode(items, model, processor)
    inputs = pad_prompts(prompts, model, side="left")
    length = inputs["input_ids"].shape[1]
    imposed = Imposed(tokenizer, world.language, comparisons, length, after_success=after_success)
    with torch.inference_mode():
        tokens = model.generate(
            **inputs,
            max_new_tokens=sampling.max_new_tokens,
            num_return_sequences=sampling.samples,
            logits_processor=[imposed],
        )
    return tokenizer.batch_decode(tokens[:, length:], skip_special_tokens=True)


def first_success(problem: Problem, text: str, world: World) -> int:
    """The first comparison, from 1, whose candidate solves the problem; 0 if none does."""
    for index, steps in enumerate(candidates(text, len(problem.numbers), world.language), 1):
        if verify(problem, f"\\boxed{{ {steps} }}", world.values).correct:
            return index
    return 0
