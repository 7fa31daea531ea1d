"""AEPO (Alg. 1) as a thin subclass of TRL's GRPOTrainer.

TRL keeps the loop, the loss, the reference model, the back-ends of sampling and the processes. Ours
are five seams: what is sampled (dynamic sampling, branching), the entropies of the scoring pass,
the advantages, the weight of each token's KL, and what a checkpoint holds.

Deviations and choices:
1. With settings that change nothing (preset `grpo`) TRL's own advantages are left as they are, and
   a run is bitwise TRL's. Everywhere else they come from `Method.shape` on the gathered batch.
2. Entropies and old log-probabilities come from one scoring pass of the trained model in training
   precision, not from the sampler, so they mean the same for every back-end.
3. Rollouts of groups that dynamic sampling could not replace are masked out of the whole loss. A
   batch without any informative group has the loss 0: the optimizer's momentum still moves it.
4. The entropies of `released` are exact over the vocabulary, and its top-1 token is that of the
   trained model; the release had the sampler's ten best. TRL's k3 estimator is not clamped.
5. The tokens that a branch shares with its root carry the advantages of both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import gather_object
from datasets import Dataset
from torch import Tensor
from transformers import PreTrainedModel
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR
from trl import GRPOConfig, GRPOTrainer
from trl.data_utils import prepare_multimodal_messages

from ares.errors import UserError
from ares.io import read_json, write_json
from ares.method.difficulty import BucketSums
from ares.method.lexicon import load_lexicon, token_match
from ares.method.presets import Settings
from ares.method.step import Method, Rollouts
from ares.training import checkpoints, passes
from ares.training.grading import Grader
from ares.training.measures import mean_threshold, note_kappa, note_shaped, note_variance
from ares.training.records import Records
from ares.training.refill import FreshPrompts, Group, refill
from ares.training.sampling import EngineSampler, Sampler

STATE = "aepo.json"
#: Our name of what transformers and TRL log of every optimizer step.
LOGGED = {
    "grad_norm": "grad_norm",
    "lr": "learning_rate",
    "loss": "loss",
    "clip_fraction": "clip_ratio/region_mean",
}
#: What TRL's scoring function takes from a batch, beside ids and masks.
_FORWARD = (
    *("pixel_values", "image_grid_thw", "num_images", "pixel_attention_mask", "spatial_shapes"),
    *("num_tiles", "image_sizes", "token_type_ids", "mm_token_type_ids", "image_position_ids"),
)


class AEPOTrainer(GRPOTrainer):
    """GRPOTrainer with the method of a preset.

    Args:
        settings: the preset.
        verifier: reward function, 0 or 1 per completion (see `ares.training.data.verifier`).
        fresh: prompts for dynamic sampling; None or `refill_rounds=0` only masks groups out.
        refill_rounds: see `ares.training.refill`.
        sampler: draws rollouts in place of TRL's generation; None leaves it to TRL (and vLLM).
        tokens_per_pass: rows of similar length share a forward pass of at most so many tokens,
            padding included; None leaves TRL's passes, all padded to the longest rollout.
        others: as GRPOTrainer; make `args` with `ares.training.arguments.grpo_config`.

    Raises:
        UserError: arguments that TRL could not run the method with.
    """

    beta: float  # TRL's KL coefficient

    def __init__(
        self,
        model: Any,
        settings: Settings,
        verifier: Callable[..., Sequence[float]],
        args: GRPOConfig,
        train_dataset: Dataset,
        fresh: Dataset | None = None,
        refill_rounds: int = 0,
        sampler: Sampler | None = None,
        tokens_per_pass: int | None = None,
        **others: Any,
    ) -> None:
        self.grader = Grader(verifier)
        super().__init__(model, self.grader, args=args, train_dataset=train_dataset, **others)
        passes.allow_many_passes(self.model)
        self.settings = settings
        self.method = Method(settings)
        self.records = Records()
        self.fresh = None if fresh is None else FreshPrompts(fresh)
        self.refill_rounds = refill_rounds if settings.filter == "accuracy" else 0
        self.sampler = sampler
        self.tokens_per_pass = tokens_per_pass
        self._drawn: list[Group] | None = None
        self._scored: dict[str, Tensor] | None = None
        self.branch_threshold = math.inf  # of the batch before; nothing branches in the first
        self.trees: list[dict[str, Any]] = []
        self.measurements: list[dict[str, Any]] = []  # of callbacks; checkpoints hold them
        self._sampled = 0
        self._trigger_V: Tensor | None = None
        self._kl_window = self._kl_outside = BucketSums.none()
        self._check()

    def _check(self) -> None:
        cycle = self.args.steps_per_generation * self.num_iterations
        if self.args.steps_per_generation % self.args.gradient_accumulation_steps:
            raise UserError(
                f"steps_per_generation={self.args.steps_per_generation}: a batch of rollouts must "
                "last whole optimizer steps: choose a multiple of gradient_accumulation_steps="
                f"{self.args.gradient_accumulation_steps}"
            )
        done = self.args.save_steps * self.args.gradient_accumulation_steps
        if self.args.save_strategy == "steps" and done % cycle:
            raise UserError(
                f"save_steps={self.args.save_steps}: a batch of rollouts lasts "
                f"{cycle / self.args.gradient_accumulation_steps:g} optimizer steps, and only at "
                "its end a run can be resumed exactly: choose a multiple"
            )
        if self.args.save_strategy != "no" and self.args.save_total_limit == 1:
            raise UserError(
                "save_total_limit=1: the last state would be removed before the next one is whole: "
                "keep at least 2"
            )
        if self.aux_loss_enabled:
            raise UserError("mixture-of-experts models with a router loss are not supported")
        if isinstance(self.sampler, EngineSampler) and self._sharded:
            raise UserError(
                "the sampler needs the whole model on every process, and FSDP or ZeRO-3 shards it: "
                "pass sampler=None and let TRL sample"
            )
        if self.settings.branching and self.sampler is None:
            raise UserError("branching=True needs a sampler: pass sampler=")
        if self.refill_rounds and self.fresh is None:
            raise UserError(f"refill_rounds={self.refill_rounds} needs prompts: pass fresh=")

    @property
    def _sharded(self) -> bool:
        """Whether processes hold parts of the model."""
        plugin = self.accelerator.state.deepspeed_plugin if self.is_deepspeed_enabled else None
        return self.is_fsdp_enabled or (plugin is not None and plugin.zero_stage == 3)

    # ------------------------------------------------------------------ one batch of rollouts

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        if not self.model.training:
            return super()._generate_and_score_completions(inputs)
        per_batch = self.args.steps_per_generation // self.args.gradient_accumulation_steps
        self.records.step = self.state.global_step // (per_batch * self.num_iterations) + 1
        if self.sampler is not None or self.refill_rounds:
            with self.records.clock("sampling"):
                self._drawn = self._draw(inputs)
            inputs = [group.row for group in self._drawn for _ in group.completions]
            self.grader.known = [verdict for group in self._drawn for verdict in group.accuracy]
        self._scored = {}
        with self.records.clock("scoring"):
            output = super()._generate_and_score_completions(inputs)
            self._score(output)
            self._shape(output)
        self._drawn = self._scored = None
        return output

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
                most=lambda count: int(self._everywhere([count]).max()),
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

    def _get_per_token_logps_and_entropies(
        self,
        model: Any,
        input_ids: Tensor,
        attention_mask: Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        compute_entropy: bool = False,
        **fields: Any,
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        # During scoring TRL's first pass of the policy gives the entropies as well.
        wanted = self._scored == {} and model is self.model and self._trl_scores_the_policy
        entropy = compute_entropy or wanted
        score = super()._get_per_token_logps_and_entropies
        parts = self._passes(attention_mask, batch_size)
        if self.tokens_per_pass or passes.lacks_pictures(fields.get("num_images"), parts):

            def score_parts(forward: Any) -> list[tuple]:
                results = []
                for own in parts:
                    span = passes.columns(attention_mask[own], logits_to_keep)
                    results.append(
                        score(
                            forward,
                            input_ids[own][:, span],
                            attention_mask[own][:, span],
                            span.stop - (input_ids.shape[1] - logits_to_keep),
                            compute_entropy=entropy,
                            **passes.fields_of(fields, own, span),
                        )
                    )
                return results

            logprobs, entropies, _ = zip(*passes.in_one_forward(model, score_parts), strict=True)
            scores = (
                passes.joined(list(logprobs), parts, logits_to_keep),
                passes.joined(list(entropies), parts, logits_to_keep) if entropy else None,
                None,
            )
        else:
            scores = score(
                model, input_ids, attention_mask, logits_to_keep, batch_size, entropy, **fields
            )
        if wanted:
            self._scored = {"logprob_BT": scores[0], "entropy_BT": scores[1]}
        return scores

    def _passes(self, mask_BT: Tensor, batch_size: int | None) -> list[list[int]]:
        """The rows of every forward pass over a batch."""
        if self.tokens_per_pass:
            return passes.passes_by_length(mask_BT, self.tokens_per_pass)
        return passes.passes_in_order(len(mask_BT), batch_size or len(mask_BT))

    @property
    def _trl_scores_the_policy(self) -> bool:
        """Whether TRL needs old log-probabilities: several updates a batch, or vLLM."""
        cycle = self.args.steps_per_generation * self.num_iterations
        return bool(self.args.gradient_accumulation_steps % cycle) or (
            self.use_vllm and self.vllm_importance_sampling_correction
        )

    def _score(self, output: dict[str, Any]) -> None:
        """Entropies of the batch, where TRL had no reason to score it."""
        if self._scored:
            return
        ids_BT, mask_BT = sequences(output)
        with torch.no_grad():
            logprob_BT, entropy_BT, _ = self._get_per_token_logps_and_entropies(
                self.model,
                ids_BT,
                mask_BT,
                output["completion_ids"].shape[1],
                batch_size=self.args.per_device_train_batch_size,
                compute_entropy=True,
                **{name: output[name] for name in _FORWARD if name in output},
            )
        self._scored = {"logprob_BT": logprob_BT, "entropy_BT": entropy_BT}

    def _shape(self, output: dict[str, Any]) -> None:
        """Put advantages, HWE mask, buckets and loss mask of the method into the batch."""
        scored = self._scored or {}
        mask_BT = output["completion_mask"].bool()
        whole = Rollouts(
            entropy_BT=self._gathered(scored["entropy_BT"]),
            mask_BT=self._gathered(mask_BT),
            correct_B=self._everywhere(self.grader.last),
            group_B=torch.arange(
                len(mask_BT) * self.accelerator.num_processes, device=mask_BT.device
            )
            // self.num_generations,
            trigger_BT=self._triggers(output),
        )
        shaped = self.method.shape(whole)
        own = slice(
            len(mask_BT) * self.accelerator.process_index,
            len(mask_BT) * (self.accelerator.process_index + 1),
        )
        width = mask_BT.shape[1]
        output["hwe_mask"] = shaped.hwe_BT[own, :width]
        output["bucket"] = shaped.bucket_B[own]
        if not self.method.leaves_advantages:
            output["advantages"] = shaped.advantage_BT[own, :width]
        if self.settings.filter != "none":
            output["tool_mask"] = shaped.keep_B[own, None].long().expand(mask_BT.shape).clone()
            output["num_items_in_batch"] = (whole.mask_BT & shaped.keep_B[:, None]).sum()
        self.branch_threshold = mean_threshold(shaped)
        note_shaped(self.records, whole, shaped)
        if self._drawn is None:
            length_B = mask_BT.sum(1)
            last_B = output["completion_ids"].gather(1, length_B.clamp(min=1)[:, None] - 1)[:, 0]
            finished_B = torch.isin(last_B, torch.tensor(self.eos_token_ids, device=last_B.device))
            self._note_drawn(self.grader.last, length_B.tolist(), finished_B.tolist())
        if "ref_per_token_logps" in output:
            log_ratio_BT = scored["logprob_BT"] - output["ref_per_token_logps"]
            kl_B = self._gathered(torch.where(mask_BT, log_ratio_BT, 0.0)).double().sum(1)
            coefficient = self.settings.kl_coefficient * self.settings.kl_beta
            note_variance(self.records, shaped.score_B, kl_B, whole.group_B, coefficient)
        self._record_trees(whole.correct_B[own])

    def _triggers(self, output: dict[str, Any]) -> Tensor | None:
        """Lexicon tokens of the whole batch, for presets that need them."""
        if self.settings.trigger == "none":
            return None
        if self._trigger_V is None:
            tokenizer = self._tokenizer
            tokens = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
            self._trigger_V = load_lexicon().vocabulary_mask(tokens)
        mask_BT = output["completion_mask"].bool()
        ids_BT = output["completion_ids"]
        if self.settings.trigger == "top1":
            ids_BT = self._most_probable(output)
        return self._gathered(token_match(ids_BT, self._trigger_V, mask_BT))

    @torch.no_grad()
    def _most_probable(self, output: dict[str, Any]) -> Tensor:
        """The model's most probable token at every position of the responses, (B, T)."""
        ids_BT, mask_BT = sequences(output)
        fields = {name: output[name] for name in _FORWARD if name in output}
        keep = output["completion_ids"].shape[1]
        parts = self._passes(mask_BT, self.args.per_device_train_batch_size)
        best = []
        for own in parts:
            span = passes.columns(mask_BT[own], keep)
            inputs = passes.fields_of(fields, own, span)
            inputs.pop("num_images", None)
            logits_BTV = self.model(
                input_ids=ids_BT[own][:, span],
                attention_mask=mask_BT[own][:, span],
                logits_to_keep=span.stop - (ids_BT.shape[1] - keep) + 1,
                **inputs,
            ).logits
            best.append(logits_BTV[:, :-1].argmax(-1))
        return passes.joined(best, parts, keep)

    def _note_drawn(
        self,
        accuracy: Sequence[float],
        length: Sequence[float],
        finished: Sequence[bool],
        refilled: int = 0,
    ) -> None:
        """What was drawn first, when dynamic sampling has not chosen yet; per rollout."""
        correct_B = self._everywhere(accuracy)
        self.records.add("accuracy", float(correct_B.mean()))
        self.records.add("length", float(self._everywhere(length).mean()))
        self.records.add("finished", float(self._everywhere(finished).mean()))
        rate_G = correct_B.reshape(-1, self.num_generations).mean(1)
        useful_G = (rate_G > self.settings.filter_low) & (rate_G < self.settings.filter_high)
        self.records.add("groups_dropped", float((~useful_G).sum()))
        self.records.add("groups_refilled", float(self._everywhere([refilled]).sum()))

    # ------------------------------------------------------------------ the loss

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Tensor:
        if not self.model.training or self.beta == 0.0:
            return super()._compute_loss(model, inputs)
        weight = self.method.kl_weight(inputs["bucket"], inputs["hwe_mask"])
        plain, self.beta = (
            self.beta,
            TokenBeta(self.beta, None if self.settings.kl == "fixed" else weight),
        )
        try:
            loss = super()._compute_loss(model, inputs)
            self._observe_kl(self.beta.kl_BT, inputs)
        finally:
            self.beta = plain
        return loss

    def _observe_kl(self, kl_BT: Tensor, inputs: dict[str, Any]) -> None:
        mask_BT = inputs["completion_mask"].bool()
        if "tool_mask" in inputs:
            mask_BT = mask_BT & inputs["tool_mask"].bool()
        hwe_BT, bucket_B = inputs["hwe_mask"], inputs["bucket"]
        self.method.observe_kl(kl_BT, mask_BT, hwe_BT, bucket_B)
        bucket_BT = bucket_B[:, None].expand(kl_BT.shape)
        inside_BT, outside_BT = mask_BT & hwe_BT, mask_BT & ~hwe_BT
        self._kl_window += BucketSums.of(kl_BT[inside_BT], bucket_BT[inside_BT]).cpu()
        self._kl_outside += BucketSums.of(kl_BT[outside_BT], bucket_BT[outside_BT]).cpu()
        if self.accelerator.sync_gradients:
            self.method.end_step(self._reduced)
            window, outside = self._reduced(self._kl_window), self._reduced(self._kl_outside)
            self.records.add_buckets("kl_window", window)
            self.records.add_buckets("kl_outside", outside)
            self.records.add_buckets("kl", window + outside)
            note_kappa(self.records, self.method)
            self._kl_window = self._kl_outside = BucketSums.none()

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        # TRL averages its metrics into the logs here; some go to the records, and the records go to
        # whatever `report_to` names.
        if "loss" in logs:
            own = self.records.current()
            logs.update({f"aepo/{name}": own[name] for name in own if name not in LOGGED})
        super().log(logs, start_time)
        for metric, name in LOGGED.items():
            if logs.get(name) is not None:
                self.records.add(metric, float(logs[name]))

    def training_step(self, *arguments: Any, **named: Any) -> Tensor:
        with self.records.clock("update"):
            return super().training_step(*arguments, **named)

    # ------------------------------------------------------------------ over processes

    def _gathered(self, values_BT: Tensor) -> Tensor:
        """The rows of all processes, padded to one width, in TRL's order."""
        # Padding turns booleans into integers, on the processes that need padding only.
        numbers_BT = values_BT.long() if values_BT.dtype == torch.bool else values_BT
        padded_BT = self.accelerator.pad_across_processes(numbers_BT, dim=1)
        return self.accelerator.gather(padded_BT).to(values_BT.dtype)

    def _everywhere(self, values: Sequence[float]) -> Tensor:
        """A list of every process, joined; float64 and equally long everywhere."""
        return self.accelerator.gather(
            torch.tensor(list(values), dtype=torch.float64, device=self.accelerator.device)
        )

    def _reduced(self, sums: BucketSums) -> BucketSums:
        stacked = sums.stack().to(self.accelerator.device)
        return BucketSums.stacked(self.accelerator.reduce(stacked, reduction="sum")).cpu()

    # ------------------------------------------------------------------ what a checkpoint holds

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

    def state_dict(self) -> dict[str, Any]:
        """What goes from batch to batch beside model, optimizer and data; JSON-ready."""
        return {
            "settings": asdict(self.settings),
            "method": self.method.state_dict(),
            "fresh": None if self.fresh is None else self.fresh.position,
            "branch_threshold": None
            if math.isinf(self.branch_threshold)
            else self.branch_threshold,
            "records": self.records.state_dict(),
            "trees": self.trees,
            "measurements": self.measurements,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave.

        Raises:
            UserError: the state is of other settings.
        """
        own, saved = asdict(self.settings), state["settings"]
        differing = [name for name in {**own, **saved} if own.get(name) != saved.get(name)]
        if differing:
            raise UserError(
                f"the checkpoint was written with other settings ({', '.join(differing)} differ): "
                "resume with the preset it was started with, or start in an empty folder"
            )
        self.method.load_state_dict(state["method"])
        if self.fresh is not None:
            self.fresh.position = state["fresh"] or 0
        threshold = state["branch_threshold"]
        self.branch_threshold = math.inf if threshold is None else threshold
        self.records.load_state_dict(state["records"])
        self.trees = state["trees"]
        self.measurements = state["measurements"]

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        self.accelerator.wait_for_everyone()  # every process has written its part
        if self.args.should_save:
            name = f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
            folder = Path(self._get_output_dir(trial=trial)) / name
            write_json(folder / STATE, self.state_dict())
            checkpoints.mark_complete(folder)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        # transformers 5.23 writes weights under the names they have on the hub and reads them back
        # as they stand: of a model whose parts have other names in memory (Qwen2.5-VL) it would
        # restore nothing, with no more than a warning.
        model = self.model if model is None else model
        if self.is_fsdp_enabled or not isinstance(model, PreTrainedModel):
            super()._load_from_checkpoint(resume_from_checkpoint, model)
            return
        saved = type(model).from_pretrained(resume_from_checkpoint, dtype=model.dtype)
        model.load_state_dict(saved.state_dict())

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is not None:
            self.load_state_dict(read_json(Path(checkpoint) / STATE))


class TokenBeta(float):
    """A KL coefficient with a weight per token; TRL multiplies it with the per-token KL.

    `kl_BT` is the KL it was last multiplied with, in nats.
    """

    kl_BT: Tensor
    weight_BT: Tensor | None

    def __new__(cls, value: float, weight_BT: Tensor | None = None) -> TokenBeta:
        """`weight_BT` takes the place of `value` in the product; None: a plain coefficient."""
        beta = super().__new__(cls, value)
        beta.weight_BT = weight_BT
        return beta

    def __mul__(self, kl_BT: Tensor) -> Tensor:
        self.kl_BT = kl_BT.detach()
        return (float(self) if self.weight_BT is None else self.weight_BT) * kl_BT


def sequences(batch: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """Ids and attention mask of prompts followed by responses, (B, P + T)."""
    ids_BT = torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1)
    return ids_BT, torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1)
