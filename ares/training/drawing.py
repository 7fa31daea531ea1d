"""Where the rollouts of a batch come from: our sampler, TRL's generation, dynamic sampling."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from accelerate.utils import gather_object
from datasets import Dataset
from torch import Tensor
from trl.data_utils import prepare_multimodal_messages

from ares.errors import UserError
from ares.method.presets import Settings
from ares.training import processes
from ares.training.grading import Grader
from ares.training.records import Records
from ares.training.refill import FreshPrompts, Group, refill
from ares.training.sampling import Sampler
from ares.training.scoring import ScoringTrainer


class DrawingTrainer(ScoringTrainer):
    """GRPOTrainer whose groups may be drawn, graded and chosen before TRL sees them.

    Args:
        settings: the preset.
        verifier: reward function, 0 or 1 per completion (see `ares.training.data.verifier`).
        fresh: prompts for dynamic sampling; None or `refill_rounds=0` only masks groups out.
        refill_rounds: see `ares.training.refill`.
        sampler: draws rollouts in place of TRL's generation; None leaves it to TRL (and vLLM).
        others: as ScoringTrainer.
    """

    def __init__(
        self,
        model: Any,
        settings: Settings,
        verifier: Callable[..., Sequence[float]],
        fresh: Dataset | None = None,
        refill_rounds: int = 0,
        sampler: Sampler | None = None,
        **others: Any,
    ) -> None:
        self.grader = Grader(verifier)
        super().__init__(model, self.grader, **others)
        self.settings = settings
        self.records = Records()
        self.fresh = None if fresh is None else FreshPrompts(fresh)
        self.refill_rounds = refill_rounds if settings.filter == "accuracy" else 0
        self.sampler = sampler
        self.branch_threshold = math.inf  # of the batch before; nothing branches in the first
        self.trees: list[dict[str, Any]] = []
        self._drawn: list[Group] | None = None
        self._sampled = 0

    def _draw(self, inputs: list[dict[str, Any]]) -> list[Group]:
        """The groups of this process, after dynamic sampling."""
        size = self.num_generations
        if len(inputs) % size:
            raise UserError(
                f"{len(inputs)} rollouts on a process with groups of {size}: groups must stay "
                "whole; make per_device_train_batch_size x steps_per_generation a multiple"
            )
        self._sampled = 0
        first = self._sample(inputs[::size])
        bounds = self.settings.filter_low, self.settings.filter_high
        groups, fresh = first, 0
        if self.refill_rounds and self.fresh is not None:
            prompts = self.fresh
            groups, fresh = refill(
                first,
                bounds,
                self.refill_rounds,
                draw=lambda count: self._sample(
                    prompts.take(
                        count, self.accelerator.process_index, self.accelerator.num_processes
                    )
                ),
                most=lambda count: int(processes.everywhere(self.accelerator, [count]).max()),
            )
        completions = [ids for group in first for ids in group.completions]
        self._note_drawn(
            [verdict for group in first for verdict in group.accuracy],
            [len(ids) for ids in completions],
            [ids[-1] in self.eos_token_ids for ids in completions],
            fresh,
        )
        return groups

    def _sample(self, rows: list[dict[str, Any]]) -> list[Group]:
        """Sample and grade a group of rollouts to each row."""
        seeds = (self.args.seed, self.state.global_step, self.accelerator.process_index)
        if self.sampler is None:
            groups = self._sample_with_trl(rows)
        else:
            groups = self.sampler.groups(self, rows, (*seeds, self._sampled))
        self._sampled += len(rows)
        completions = [ids for group in groups for ids in group.completions]
        texts = self.processing_class.batch_decode(completions, skip_special_tokens=True)
        repeated = [row for row in rows for _ in range(self.num_generations)]
        verdicts = self.grader(  # as TRL calls a reward function
            prompts=[row["prompt"] for row in repeated],
            completions=[[{"role": "assistant", "content": text}] for text in texts],
            completion_ids=completions,
            trainer_state=self.state,
            **{key: [row[key] for row in repeated] for key in rows[0] if key != "prompt"},
        )
        for index, group in enumerate(groups):
            first = index * self.num_generations
            group.accuracy = list(verdicts[first : first + self.num_generations])
        return groups

    def _sample_with_trl(self, rows: list[dict[str, Any]]) -> list[Group]:
        """Groups from TRL's own generation, or vLLM."""
        size = self.num_generations
        prompts = [
            prepare_multimodal_messages(row["prompt"], images=row["images"])
            if row.get("images")
            else row["prompt"]
            for row in rows
            for _ in range(size)
        ]
        ids, images, fields = self._tokenize_prompts(prompts)
        completions, logprobs = super()._generate_single_turn(ids, images, fields, size)
        return [
            Group(
                row,
                completions[first : first + size],
                [],
                logprobs=None if logprobs is None else logprobs[first : first + size],
            )
            for row, first in zip(rows, range(0, len(prompts), size), strict=True)
        ]

    def _tokenize_prompts(self, prompts: list[Any]) -> tuple[list, list | None, dict[str, Any]]:
        if self._drawn is not None:
            # The rollouts are there: nothing is sampled from this, and each prompt comes G times.
            ids, images, _ = super()._tokenize_prompts(prompts[:: self.num_generations])
            ids = [each for each in ids for _ in range(self.num_generations)]
            if images is not None:
                images = [each or [] for each in images for _ in range(self.num_generations)]
            return ids, images, {}
        # TRL marks a prompt without pictures by None; beside prompts with pictures the processor
        # refuses that, and takes an empty list.
        ids, images, fields = super()._tokenize_prompts(prompts)
        return ids, None if images is None else [each or [] for each in images], fields

    def _generate_single_turn(self, *arguments: Any, **named: Any) -> Any:
        if self._drawn is None:
            with self.records.clock("sampling"):
                return super()._generate_single_turn(*arguments, **named)
        completions = [ids for group in self._drawn for ids in group.completions]
        logprobs = [group.logprobs for group in self._drawn if group.logprobs is not None]
        if len(logprobs) < len(self._drawn):
            return completions, None
        return completions, [values for group in logprobs for values in group]

    def _note_drawn(
        self,
        accuracy: Sequence[float],
        length: Sequence[float],
        finished: Sequence[bool],
        refilled: int = 0,
    ) -> None:
        """What was drawn first, when dynamic sampling has not chosen yet; per rollout."""
        correct_B = processes.everywhere(self.accelerator, accuracy)
        self.records.add("accuracy", float(correct_B.mean()))
        self.records.add("length", float(processes.everywhere(self.accelerator, length).mean()))
        self.records.add("finished", float(processes.everywhere(self.accelerator, finished).mean()))
        rate_G = correct_B.reshape(-1, self.num_generations).mean(1)
        useful_G = (rate_G > self.settings.filter_low) & (rate_G < self.settings.filter_high)
        self.records.add("groups_dropped", float((~useful_G).sum()))
        refilled_P = processes.everywhere(self.accelerator, [refilled])
        self.records.add("groups_refilled", float(refilled_P.sum()))

    def _record_trees(self, correct_B: Tensor) -> None:
        """Keep the trees of this batch, of all processes."""
        if not self.settings.branching or self._drawn is None:
            return
        verdicts = iter(correct_B.tolist())
        first = self.accelerator.process_index * len(self._drawn)
        rows = []
        for index, group in enumerate(self._drawn):
            texts = self.processing_class.batch_decode(group.completions)
            for rollout, (ids, text) in enumerate(zip(group.completions, texts, strict=True)):
                rows.append(
                    {
                        "step": self.records.step,
                        "prompt_index": first + index,
                        "rollout": rollout,
                        "parent": group.parents[rollout],
                        "branch_at": group.branch_at[rollout],
                        "n_tokens": len(ids),
                        "correct": bool(next(verdicts)),
                        "text": text,
                    }
                )
        self.trees += gather_object(rows)
