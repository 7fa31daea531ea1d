"""Score given responses with one teacher-forced pass through the model's own forward.

This is the reference the sampler is checked against: no cache, no slots, right padding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from transformers import PreTrainedModel

from ares.errors import UserError
from ares.method.entropy import distribution
from ares.sampling.engine import check_finite, check_room, evaluating
from ares.sampling.prompts import Prompt, pad_prompts, placeholders


@dataclass(frozen=True, eq=False)
class Score:
    """One response of T tokens as the model reads it, on the CPU, float32, nats.

    logprobs, entropies: (T,), of the full distribution softmax(logits / temperature).
    top_ids, top_logprobs: (T, k), the k most probable tokens, best first.
    class_mass: (T, n_classes), the probability of each token class.
    """

    logprobs: Tensor
    entropies: Tensor
    top_ids: Tensor
    top_logprobs: Tensor
    class_mass: Tensor


def score(
    model: PreTrainedModel,
    prompts: Sequence[Prompt],
    responses: Sequence[Sequence[int] | Tensor],
    *,
    temperature: float = 1.0,
    top_k: int = 0,
    token_classes: Sequence[int] | Tensor = (),
    batch_size: int = 64,
) -> list[Score]:
    """Return the exact entropy and log-probability of every token of every response.

    Args:
        responses: token ids, as many responses to every prompt, side by side; each must hold a
            token. The end token counts as a token.
        top_k: how many of the most probable tokens to return at every position.
        token_classes: (V,) class of every token of the vocabulary, 0 .. n_classes - 1; or none.
        batch_size: responses per forward pass; lower it when memory is short.

    Raises:
        UserError: an empty or too long response, one with a picture placeholder, logits that are
            not finite, or that the model scales or caps after its output layer.
    """
    text = model.config.get_text_config().to_dict()
    if any(text.get(name) not in (None, 1) for name in _SCALED):
        raise UserError("the model scales or caps its logits, which scoring does not know")
    barred = placeholders(model.config)
    for response in responses:
        if len(response) == 0 or any(token in response for token in barred):
            raise UserError("a response is empty, or holds a placeholder without its picture")
    sequences = [
        prompts[row * len(prompts) // len(responses)].followed_by(response)
        for row, response in enumerate(responses)
    ]
    check_room(model, [len(sequence.token_ids) for sequence in sequences])
    class_V = torch.as_tensor(token_classes, device=model.device).long()
    read = partial(_read, model, temperature=temperature, top_k=top_k, class_V=class_V)
    # Similar lengths share a batch, so little of it is padding.
    by_length = sorted(range(len(sequences)), key=lambda row: -len(sequences[row].token_ids))
    scores: dict[int, Score] = {}
    for start in range(0, len(by_length), batch_size):
        rows = by_length[start : start + batch_size]
        batch = [(sequences[row], len(responses[row])) for row in rows]
        scores.update(zip(rows, _score_batch(model, batch, read), strict=True))
    return [scores[row] for row in range(len(sequences))]


#: Keys of configs (Gemma 2, Granite, Cohere, Falcon-H1) of what comes behind the output layer.
_SCALED = ("final_logit_softcapping", "logits_scaling", "logit_scale", "lm_head_multiplier")
#: Logits that are held at a time: 2 GB of a vocabulary of 150,000 are 3,500 tokens.
_ELEMENTS = 2**29


def _score_batch(
    model: PreTrainedModel,
    responses: list[tuple[Prompt, int]],
    read: Callable[[Tensor, Tensor], list[Tensor]],
) -> list[Score]:
    """Score one batch of sequences with the lengths of the responses at their ends.

    N below is the number of response tokens, without padding.
    """
    sequences, lengths = zip(*responses, strict=True)
    batch = pad_prompts(sequences, model, side="right")
    with evaluating(model), torch.inference_mode():
        hidden_BTC = model.base_model(**batch, use_cache=False).last_hidden_state
        # The hidden state before a token predicts it.
        ends = [len(sequence.token_ids) for sequence in sequences]
        spans = [slice(end - length, end) for end, length in zip(ends, lengths, strict=True)]
        before = [slice(span.start - 1, span.stop - 1) for span in spans]
        hidden_NC = torch.cat([hidden_BTC[row, span] for row, span in enumerate(before)])
        token_N = torch.cat([batch["input_ids"][row, span] for row, span in enumerate(spans)])
        size = max(1, _ELEMENTS // model.get_output_embeddings().weight.shape[0])
        pieces = zip(hidden_NC.split(size), token_N.split(size), strict=True)
        columns = zip(*[read(*piece) for piece in pieces], strict=True)
    # Joined outside inference mode, they may enter a loss.
    split = [torch.cat(column).split(lengths) for column in columns]
    return [Score(*tensors) for tensors in zip(*split, strict=True)]


def _read(
    model: PreTrainedModel,
    hidden_NC: Tensor,
    token_N: Tensor,
    temperature: float,
    top_k: int,
    class_V: Tensor,
) -> list[Tensor]:
    """The fields of `Score` for N tokens, from the hidden states that predict them."""
    logits_NV = model.get_output_embeddings()(hidden_NC)
    prob_NV, logprob_NV, entropy_N = distribution(logits_NV, temperature)
    check_finite(entropy_N, "while scoring")
    logprob_N = logprob_NV.gather(1, token_N[:, None])[:, 0]
    top_logprob_NK, top_id_NK = logprob_NV.topk(min(top_k, logprob_NV.shape[1]), dim=-1)
    mass_NC = prob_NV.new_zeros(len(prob_NV), int(class_V.max()) + 1 if len(class_V) else 0)
    if len(class_V):
        mass_NC.index_add_(1, class_V, prob_NV)
    columns = logprob_N, entropy_N, top_id_NK, top_logprob_NK, mass_NC
    return [column.cpu() for column in columns]
