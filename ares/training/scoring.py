"""TRL's GRPOTrainer with a scoring pass that gives entropies as well, and need not be padded.

Entropies and old log-probabilities come from one pass of the trained model in training precision,
not from the sampler, so they mean the same for every back-end.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from trl import GRPOTrainer

from ares.training import passes

#: What TRL's scoring function takes from a batch, beside ids and masks.
_FORWARD = (
    *("pixel_values", "image_grid_thw", "num_images", "pixel_attention_mask", "spatial_shapes"),
    *("num_tiles", "image_sizes", "token_type_ids", "mm_token_type_ids", "image_position_ids"),
)


class ScoringTrainer(GRPOTrainer):
    """GRPOTrainer that knows the entropy of every sampled token.

    Args:
        tokens_per_pass: rows of similar length share a forward pass of at most so many tokens,
            padding included; None leaves TRL's passes, all padded to the longest rollout.
        others: as GRPOTrainer.
    """

    def __init__(self, *arguments: Any, tokens_per_pass: int | None = None, **others: Any) -> None:
        super().__init__(*arguments, **others)
        passes.allow_many_passes(self.model)
        self.tokens_per_pass = tokens_per_pass
        #: `logprob_BT` and `entropy_BT` of the batch that is being scored; empty before, None at
        #: other times.
        self._scored: dict[str, Tensor] | None = None

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


def sequences(batch: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """Ids and attention mask of prompts followed by responses, (B, P + T)."""
    ids_BT = torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1)
    return ids_BT, torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1)
