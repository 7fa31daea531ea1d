"""AEPO (Alg. 1) as a subclass of TRL's GRPOTrainer.

TRL keeps the loop, the reference model, the back-ends of sampling and the processes. Ours are:

- what is sampled: groups are drawn and graded (`rollouts`), and `rollout_func`, TRL's own hook,
  hands them over;
- the scoring pass, which gives entropies as well and need not be padded (`passes`);
- the advantages, buckets and masks, which `Method.shape` puts into the batch;
- the loss (`loss`), put together from surrogate, KL estimate and token weights of `ares.method`;
- what a checkpoint holds (`checkpoints`).

Deviations and choices:
1. With settings that change nothing (preset `grpo`) TRL's own advantages are left as they are, and
   a run is bitwise TRL's. Everywhere else they come from `Method.shape` on the gathered batch.
2. Entropies and old log-probabilities are those of the trained model in training precision: the
   package's own sampler gives them with the tokens; for every other back-end they come from one
   scoring pass of TRL, whose fused head never holds the logits of a batch.
3. Rollouts of groups that dynamic sampling could not replace are masked out of the whole loss. A
   batch without any informative group has the loss 0: the optimizer's momentum still moves it.
4. The entropies of `released` are exact over the vocabulary, and its top-1 token is that of the
   trained model; the release had the sampler's ten best, and clamped its KL estimate at 10.
5. The tokens that a branch shares with its root carry the advantages of both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import gather_object
from datasets import Dataset
from torch import Tensor
from torch.nn.functional import pad
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils.rnn import pad_sequence
from trl import GRPOConfig, GRPOTrainer
from trl.trainer import utils as trl_utils

from ares.errors import UserError
from ares.io import read_json, write_json
from ares.method.difficulty import BUCKETS
from ares.method.entropy import logits_entropy
from ares.method.lexicon import load_lexicon, token_match
from ares.method.presets import MethodSettings
from ares.method.step import Method, Rollouts
from ares.training import passes, processes
from ares.training.arguments import check_arguments
from ares.training.checkpoints import Resumable
from ares.training.loss import gradient_metrics, loss_of
from ares.training.records import (
    Records,
    mean_threshold,
    note_drawn,
    note_entropy_reward,
    note_shaped,
    note_variance,
)
from ares.training.rollouts import (
    EngineSampler,
    FreshPrompts,
    RewardFunction,
    RolloutGroup,
    draw_groups,
    generate_with_trl,
    tree_rows,
)

_STATE = "aepo.json"
#: Our name of what transformers and TRL log of every optimizer step.
_LOGGED = {
    "grad_norm": "grad_norm",
    "lr": "learning_rate",
    "loss": "loss",
    "clip_fraction": "clip_ratio/region_mean",
}

#: TRL's own is NaN where a logit is -inf.
trl_utils.entropy_from_logits = logits_entropy


class AEPOTrainer(Resumable, GRPOTrainer):
    """GRPOTrainer with the method of a preset.

    Args:
        settings: the preset.
        verifier: reward function, 0 to 1 per completion (see `ares.training.data.verifier`).
        args: made with `ares.training.arguments.grpo_config`.
        fresh: prompts for dynamic sampling; None or `refill_rounds=0` only masks groups out.
        refill_rounds: see `ares.training.rollouts`.
        sampler: draws rollouts in place of TRL's generation; None leaves it to TRL (and vLLM).
        tokens_per_pass: rows of similar length share a forward pass of at most so many tokens,
            padding included; None leaves TRL's passes, all padded to the longest rollout.
        gradients_every: batches of rollouts between two looks at the gradient's parts
            (`ares.training.loss`), which need the whole model on every process; 0: none.
        others: as GRPOTrainer.

    Raises:
        UserError: arguments that TRL could not run the method with.
    """

    beta: float  # TRL's KL coefficient

    def __init__(
        self,
        model: Any,
        settings: MethodSettings,
        verifier: Callable[..., Sequence[float]],
        args: GRPOConfig,
        train_dataset: Dataset,
        *,
        fresh: Dataset | None = None,
        refill_rounds: int = 0,
        sampler: EngineSampler | None = None,
        tokens_per_pass: int | None = None,
        gradients_every: int = 0,
        **others: Any,
    ) -> None:
        self.grader = RewardFunction(verifier)
        super().__init__(model, self.grader, args=args, train_dataset=train_dataset, **others)
        self.rollout_func = self._hand_over
        passes.allow_many_passes(self.model)
        self.settings = settings
        self.method = Method(settings)
        self.records = Records()
        self.fresh = None if fresh is None else FreshPrompts(fresh)
        filtered = settings.filter == "accuracy" and not settings.probe
        self.refill_rounds = refill_rounds if filtered else 0
        self.sampler = sampler
        self.tokens_per_pass = tokens_per_pass
        self.gradients_every = gradients_every
        self.branch_threshold = math.inf  # of the batch before; nothing branches in the first
        self.trees: list[dict[str, Any]] = []
        self.measurements: list[dict[str, Any]] = []  # of callbacks; checkpoints hold them
        #: The groups of the batch that is being scored; None in an evaluation, where TRL draws.
        self._drawn: list[RolloutGroup] | None = None
        #: `logprob_BT` and `entropy_BT` of that batch; empty before, None at other times.
        self._scored: dict[str, Tensor] | None = None
        tokens = self._tokenizer.convert_ids_to_tokens(range(len(self._tokenizer)))
        self._trigger_V = load_lexicon().vocabulary_mask(tokens)
        self._check()

    def _check(self) -> None:
        check_arguments(self.args)
        if self.aux_loss_enabled:
            raise UserError("mixture-of-experts models with a router loss are not supported")
        if isinstance(self.sampler, EngineSampler) and self._sharded:
            raise UserError(
                "the sampler needs the whole model on every process, and FSDP or ZeRO-3 shards it: "
                "pass sampler=None and let TRL sample"
            )
        probe, size = self.settings.probe, self.settings.group_size
        if probe and not 2 <= probe <= size:
            raise UserError(f"probe={probe}: choose 0, or 2 to group_size={size}")
        if probe and self.settings.branching:
            raise UserError("branching and probe exclude each other: choose probe=0")
        if self.settings.branching and self.sampler is None:
            raise UserError("branching=True needs a sampler: pass sampler=")

    @property
    def _sharded(self) -> bool:
        """Whether processes hold parts of the model."""
        plugin = self.accelerator.state.deepspeed_plugin if self.is_deepspeed_enabled else None
        return self.is_fsdp_enabled or (plugin is not None and plugin.zero_stage == 3)

    # --- a batch of rollouts: drawn, scored, shaped

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        if not self.model.training:
            return super()._generate_and_score_completions(inputs)
        per_batch = self.args.steps_per_generation // self.args.gradient_accumulation_steps
        self.records.step = self.state.global_step // (per_batch * self.num_iterations) + 1
        with self.records.clock("sampling"):
            self._drawn = self._draw(inputs)
        inputs = [group.row for group in self._drawn for _ in group.completions]
        self.grader.known = [verdict for group in self._drawn for verdict in group.accuracy]
        self._scored = {}
        with self.records.clock("scoring"):
            output = super()._generate_and_score_completions(inputs)
            self._score(output)
            self._shape(output)
        if self.gradients_every and (self.records.step - 1) % self.gradients_every == 0:
            with self.records.clock("gradients"):
                for metric, value in gradient_metrics(self, output).items():
                    everywhere = processes.everywhere(self.accelerator, [value])
                    self.records.add(metric, float(everywhere.nanmean()))
        self._drawn = self._scored = None
        return output

    def _draw(self, inputs: list[dict[str, Any]]) -> list[RolloutGroup]:
        """The groups of this process, after dynamic sampling."""
        first, groups, refilled = draw_groups(self, inputs)
        everywhere = partial(processes.everywhere, self.accelerator)
        completions = [ids for group in first for ids in group.completions]
        note_drawn(
            self.records,
            everywhere([verdict for group in first for verdict in group.accuracy]),
            everywhere([len(ids) for ids in completions]),
            everywhere([ids[-1] in self.eos_token_ids for ids in completions]),
            len(first[0].completions),
            (self.settings.filter_low, self.settings.filter_high),
        )
        self.records.add("groups_refilled", float(everywhere([refilled]).sum()))
        return groups

    @property
    def sizes(self) -> list[int]:
        """Rollouts of every group of this process's batch."""
        return [len(group.completions) for group in self._drawn or ()]

    def _hand_over(self, prompts: list[Any], _: GRPOTrainer) -> dict[str, list | None]:
        """TRL's `rollout_func`: the rollouts that were drawn, or else its own."""
        if self._drawn is None:
            size = self.num_generations_eval
            ids, completions, logprobs = generate_with_trl(self, prompts, size)
        else:
            # Nothing is sampled from these, and each prompt comes as often as it has rollouts.
            first = [
                end - size for end, size in zip(accumulate(self.sizes), self.sizes, strict=True)
            ]
            once, _, _ = self._tokenize_prompts([prompts[row] for row in first])
            ids = [each for each, size in zip(once, self.sizes, strict=True) for _ in range(size)]
            completions = [ids for group in self._drawn for ids in group.completions]
            known = [group.logprobs for group in self._drawn if group.logprobs is not None]
            whole = len(known) == len(self._drawn)
            logprobs = [values for group in known for values in group] if whole else None
        return {"prompt_ids": ids, "completion_ids": completions, "logprobs": logprobs}

    def _score(self, output: dict[str, Any]) -> None:
        """Entropies of the batch, where TRL had no reason to score it."""
        if self._scored:
            return
        ids_BT, mask_BT = passes.sequences(output)
        with torch.no_grad():
            logprob_BT, entropy_BT, _ = self._get_per_token_logps_and_entropies(
                self.model,
                ids_BT,
                mask_BT,
                output["completion_ids"].shape[1],
                batch_size=self.args.per_device_train_batch_size,
                compute_entropy=True,
                **{name: output[name] for name in passes.FORWARD if name in output},
            )
        self._scored = {"logprob_BT": logprob_BT, "entropy_BT": entropy_BT}

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
        # During scoring TRL's first pass of the policy gives the entropies as well, unless the
        # sampler gave both.
        wanted = self._scored == {} and model is self.model
        if wanted and self._drawn and self._drawn[0].scores is not None:
            self._scored = _padded_scores(self._drawn, logits_to_keep, input_ids.device)
            return self._scored["logprob_BT"], self._scored["entropy_BT"], None
        wanted = wanted and self._trl_scores_the_policy
        entropy = compute_entropy or wanted
        score = super()._get_per_token_logps_and_entropies
        parts = passes.passes_of(attention_mask, self.tokens_per_pass, batch_size)
        batch = input_ids, attention_mask, logits_to_keep
        pictures = fields.get("num_images")  # TRL can't forward rows of which none has any
        bare = pictures and not all(any(pictures[row] for row in part) for part in parts)

        def in_parts(model: Any) -> tuple:
            forward = partial(score, model, compute_entropy=entropy)
            return passes.in_passes(forward, *batch, fields, parts)

        if not (self.tokens_per_pass or bare):
            scores = score(model, *batch, batch_size, entropy, **fields)
        elif isinstance(model, DistributedDataParallel):
            scores = model(passes=in_parts)  # all of them in one call, see `passes`
        else:
            scores = in_parts(model)
        if wanted:
            self._scored = {"logprob_BT": scores[0], "entropy_BT": scores[1]}
        return scores

    @property
    def _trl_scores_the_policy(self) -> bool:
        """Whether TRL needs old log-probabilities: several updates a batch, or vLLM."""
        cycle = self.args.steps_per_generation * self.num_iterations
        return bool(self.args.gradient_accumulation_steps % cycle) or (
            self.use_vllm and self.vllm_importance_sampling_correction
        )

    def _shape(self, output: dict[str, Any]) -> None:
        """Put advantages, HWE mask, buckets and loss mask of the method into the batch."""
        scored = self._scored or {}
        mask_BT = output["completion_mask"].bool()
        rows, width = mask_BT.shape
        trigger_BT = sampled_BT = self._triggers(output, output["completion_ids"])
        if self.settings.trigger == "top1":
            _, whole_BT = passes.sequences(output)
            size = self.args.per_device_train_batch_size
            parts = passes.passes_of(whole_BT, self.tokens_per_pass, size)
            best_BT = passes.most_probable(self.model, output, parts)
            trigger_BT = self._triggers(output, best_BT)
        size_G = processes.everywhere(self.accelerator, self.sizes).long()
        whole = Rollouts(
            entropy_BT=processes.gathered(self.accelerator, scored["entropy_BT"]),
            mask_BT=processes.gathered(self.accelerator, mask_BT),
            accuracy_B=processes.everywhere(self.accelerator, self.grader.last),
            group_B=torch.arange(len(size_G), device=mask_BT.device).repeat_interleave(size_G),
            trigger_BT=trigger_BT,
        )
        shaped = self.method.shape(whole)
        process = self.accelerator.process_index
        own = slice(rows * process, rows * (process + 1))
        output["hwe_mask"] = shaped.hwe_BT[own, :width]
        output["bucket"] = shaped.bucket_B[own]
        output["keep"] = shaped.keep_B[own]
        if not self.method.leaves_advantages:
            output["advantages"] = shaped.advantage_BT[own, :width]
        if self.settings.filter != "none":
            output["num_items_in_batch"] = (whole.mask_BT & shaped.keep_B[:, None]).sum()
        self.branch_threshold = mean_threshold(shaped)
        note_shaped(self.records, whole, shaped, sampled_BT)
        if self.settings.entropy_reward != "none":
            note_entropy_reward(self.records, whole, shaped)
        if self.settings.branching:
            groups = self._drawn or []
            texts = self.processing_class.batch_decode(
                [ids for g in groups for ids in g.completions]
            )
            trees = tree_rows(groups, texts, process * len(groups))
            self.trees += gather_object([{"step": self.records.step, **row} for row in trees])
        if "ref_per_token_logps" in output:
            log_ratio_BT = scored["logprob_BT"] - output["ref_per_token_logps"]
            kl_BT = torch.where(mask_BT, log_ratio_BT, 0.0)
            kl_B = processes.gathered(self.accelerator, kl_BT).double().sum(1)
            coefficient = self.settings.kl_coefficient * self.settings.kl_beta
            note_variance(self.records, shaped.score_B, kl_B, whole.group_B, coefficient)

    def _triggers(self, output: dict[str, Any], ids_BT: Tensor) -> Tensor:
        """Lexicon tokens of the whole batch, among the sampled or the most probable ones."""
        matched_BT = token_match(ids_BT, self._trigger_V, output["completion_mask"])
        return processes.gathered(self.accelerator, matched_BT)

    # --- an update

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Tensor:
        return loss_of(self, model, inputs)

    def observe_kl(self, kl_BT: Tensor, mask_BT: Tensor, inputs: dict[str, Any]) -> None:
        """Show the KL of a forward pass to the method; after an update, write down what it did."""
        self.method.observe_kl(kl_BT, mask_BT, inputs["hwe_mask"], inputs["bucket"])
        if self.accelerator.sync_gradients:
            window, outside = self.method.end_step(partial(processes.reduced, self.accelerator))
            self.records.add_buckets("kl_window", window)
            self.records.add_buckets("kl_outside", outside)
            self.records.add_buckets("kl", window + outside)
            if self.method.controller is not None:
                for bucket, kappa in zip(BUCKETS, self.method.controller.beta_D, strict=True):
                    self.records.add("kappa", kappa, bucket)

    def training_step(self, *arguments: Any, **named: Any) -> Tensor:
        with self.records.clock("update"):
            return super().training_step(*arguments, **named)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        # TRL averages its metrics into the logs here; some go to the records, and the records go to
        # whatever `report_to` names.
        if "loss" in logs:
            own = self.records.current()
            logs.update({f"aepo/{name}": own[name] for name in own if name not in _LOGGED})
        super().log(logs, start_time)
        for metric, name in _LOGGED.items():
            if logs.get(name) is not None:
                self.records.add(metric, float(logs[name]))

    # --- what goes from batch to batch

    def state_dict(self) -> dict[str, Any]:
        """What goes from batch to batch beside model, optimizer and data; JSON-ready."""
        threshold = None if math.isinf(self.branch_threshold) else self.branch_threshold
        return {
            "settings": asdict(self.settings),
            "method": self.method.state_dict(),
            "fresh": None if self.fresh is None else self.fresh.position,
            "branch_threshold": threshold,
            "records": self.records.state_dict(),
            "trees": self.trees,
            "measurements": self.measurements,
        }

    def write_state(self, folder: Path) -> None:
        """Add `state_dict` to a checkpoint."""
        write_json(folder / _STATE, self.state_dict())

    def read_state(self, folder: Path) -> None:
        """Go on from the `state_dict` of a checkpoint.

        Raises:
            UserError: it was written with other settings.
        """
        state = read_json(folder / _STATE)
        own, saved = asdict(self.settings), state["settings"]
        differing = [name for name in {**own, **saved} if own.get(name) != saved.get(name)]
        if differing:
            raise UserError(
                f"the checkpoint was written with other settings ({', '.join(differing)} differ): "
                "resume with the preset it was started with, or start in an empty folder"
            )
        self.method.load_state_dict(state["method"])
        if self.fresh is not None:
            self.fresh.position = state["fresh"]
        threshold = state["branch_threshold"]
        self.branch_threshold = math.inf if threshold is None else threshold
        self.records.load_state_dict(state["records"])
        self.trees, self.measurements = state["trees"], state["measurements"]


def _padded_scores(
    groups: Sequence[RolloutGroup], width: int, device: torch.device
) -> dict[str, Tensor]:
    """What the sampler measured, `logprob_BT` and `entropy_BT`, 0 behind the end of a response."""
    pairs = [pair for group in groups for pair in group.scores or ()]
    padded = {}
    for name, rows in zip(("logprob_BT", "entropy_BT"), zip(*pairs, strict=True), strict=True):
        values_BT = pad_sequence(list(rows), batch_first=True)
        padded[name] = pad(values_BT, (0, width - values_BT.shape[1])).to(device)
    return padded
