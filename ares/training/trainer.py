"""AEPO (Alg. 1) as a thin subclass of TRL's GRPOTrainer.

TRL keeps the loop, the loss, the reference model, the back-ends of sampling and the processes. Ours
are five seams: what is sampled (dynamic sampling, branching: `drawing`), the entropies of the
scoring pass (`scoring`), the advantages, the weight of each token's KL (both here), and what a
checkpoint holds (`resuming`).

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
from functools import partial
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from torch import Tensor
from trl import GRPOConfig

from ares.errors import UserError
from ares.io import read_json, write_json
from ares.method.difficulty import BucketSums
from ares.method.lexicon import load_lexicon, token_match
from ares.method.presets import Settings
from ares.method.step import Method, Rollouts
from ares.training import processes
from ares.training.drawing import DrawingTrainer
from ares.training.measures import mean_threshold, note_kappa, note_shaped, note_variance
from ares.training.resuming import Resumable
from ares.training.sampling import EngineSampler
from ares.training.token_kl import TokenBeta

STATE = "aepo.json"
#: Our name of what transformers and TRL log of every optimizer step.
LOGGED = {
    "grad_norm": "grad_norm",
    "lr": "learning_rate",
    "loss": "loss",
    "clip_fraction": "clip_ratio/region_mean",
}


class AEPOTrainer(Resumable, DrawingTrainer):
    """GRPOTrainer with the method of a preset.

    Args:
        settings: the preset.
        verifier: reward function, 0 or 1 per completion (see `ares.training.data.verifier`).
        others: as DrawingTrainer (our sampler, dynamic sampling), ScoringTrainer (passes without
            padding) and GRPOTrainer; make `args` with `ares.training.arguments.grpo_config`.

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
        **others: Any,
    ) -> None:
        super().__init__(
            model, settings, verifier, args=args, train_dataset=train_dataset, **others
        )
        self.method = Method(settings)
        self.measurements: list[dict[str, Any]] = []  # of callbacks; checkpoints hold them
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

    def _shape(self, output: dict[str, Any]) -> None:
        """Put advantages, HWE mask, buckets and loss mask of the method into the batch."""
        scored = self._scored or {}
        mask_BT = output["completion_mask"].bool()
        whole = Rollouts(
            entropy_BT=processes.gathered(self.accelerator, scored["entropy_BT"]),
            mask_BT=processes.gathered(self.accelerator, mask_BT),
            correct_B=processes.everywhere(self.accelerator, self.grader.last),
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
            kl_BT = torch.where(mask_BT, log_ratio_BT, 0.0)
            kl_B = processes.gathered(self.accelerator, kl_BT).double().sum(1)
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
        return processes.gathered(self.accelerator, token_match(ids_BT, self._trigger_V, mask_BT))

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
            reduced = partial(processes.reduced, self.accelerator)
            self.method.end_step(reduced)
            window, outside = reduced(self._kl_window), reduced(self._kl_outside)
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

    def write_state(self, folder: Path) -> None:
        """Add `state_dict` to a checkpoint."""
        write_json(folder / STATE, self.state_dict())

    def read_state(self, folder: Path) -> None:
        """Go on from the `state_dict` of a checkpoint.

        Raises:
            UserError: it is damaged, or was written with other settings.
        """
        state = read_json(folder / STATE)
        try:
            self.load_state_dict(state)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(
                f"{folder / STATE}: damaged ({error!r}); remove {folder}, then training goes on "
                "from the state before"
            ) from error
