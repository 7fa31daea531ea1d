"""The token table: one row per response token, with its entropies and its labels."""

from __future__ import annotations

from itertools import chain, count
from typing import Any

import numpy as np
import pandas as pd

from ares.data.items import Problems
from ares.data.responses import decision_starts, label_tokens
from ares.data.world_settings import Language
from ares.errors import UserError
from ares.method.lexicon import Lexicon, normalize_token
from ares.model.processor import tokenizer_of
from ares.sampling.rollouts import encode, evenly_spaced
from ares.sampling.scoring import score

#: Largest difference between the entropy a rollout was sampled with and the one it is scored with.
TOLERANCE = 1e-3
#: Batches' worth of responses, with their pictures, among which those of similar length are joined.
_AHEAD = 256


def slots(language: Language) -> list[str]:
    """The lexical slots, fillers first."""
    return ["filler", *language.markers]


def vocabulary_classes(words: list[str], language: Language) -> np.ndarray:
    """Class of every token of a vocabulary, (V,): slots first, then each other token on its own.

    Words of one slot are interchangeable, so the entropy over classes is what is left of a
    token's entropy once the choice among them is taken out.
    """
    names, slot_of = slots(language), language.slot_of()
    found = [slot_of.get(normalize_token(word)) for word in words]
    following = count(len(names))
    return np.array([next(following) if slot is None else names.index(slot) for slot in found])


def token_tables(
    rollouts: pd.DataFrame,
    problems: Problems,
    model,
    processor,
    language: Language | None,
    lexicon: Lexicon,
    temperature: float,
    top_k: int = 20,
    top_k_rollouts: int = 64,
    batch_size: int = 32,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Label every response token and read its distribution back from the model.

    Args:
        rollouts: the rollouts table; entropy and logprob are computed where it has none.
        problems: those of the rollouts, in the order of the table.
        language: of the small world; None: there is no grammar that could tell decisions and slots.
        temperature: they were sampled at.
        top_k, top_k_rollouts: how many most probable tokens are kept, and of how many rollouts.
        batch_size: responses per forward pass.

    Returns:
        tokens: rollout_id, position, token, entropy, logprob (nats), lexicon (bool), lexicon_top1
            (bool: the most probable token is in the lexicon); with a language also decision ('',
            'pair', 'operation'), slot ('' or a lexical slot), class_entropy (nats, over lexical
            slots and other tokens), p_<slot> (probability of each slot).
        top_k: rollout_id, position, entropy, sampled_logprob, top_logprobs (list, best first) for
            `top_k_rollouts` evenly spaced rollouts.

    Raises:
        UserError: the rollouts were sampled from another model or at another temperature.
    """
    tokenizer = tokenizer_of(processor)
    words = [tokenizer.decode([i]) for i in range(len(tokenizer))]
    # The model may have more logits than the tokenizer has words.
    spare = model.config.get_text_config().vocab_size - len(words)
    classes = ()
    if language is not None:
        class_V = vocabulary_classes(words, language)
        classes = np.concatenate([class_V, class_V.max() + 1 + np.arange(spare)])
    words += [""] * spare
    listed_V = np.array([word in lexicon for word in words])
    said, ahead = [ids.copy() for ids in rollouts["token_ids"]], _AHEAD * batch_size
    scores = chain.from_iterable(
        score(
            model,
            encode(problems.items[start : start + ahead], model, processor),
            said[start : start + ahead],
            temperature=temperature,
            top_k=top_k,
            token_classes=classes,
            batch_size=batch_size,
        )
        for start in range(0, len(said), ahead)
    )
    kept = evenly_spaced(len(rollouts), top_k_rollouts)
    labelled, top = [], []
    for index, (row, scored) in enumerate(zip(rollouts.itertuples(), scores, strict=True)):
        entropy_T, logprob_T = scored.entropies.numpy(), scored.logprobs.numpy()
        place: dict[str, Any] = {"rollout_id": row.rollout_id}
        place["position"] = np.arange(row.n_tokens, dtype=np.int32)
        if index in kept:
            own = {"entropy": entropy_T, "sampled_logprob": logprob_T}
            own["top_logprobs"] = list(scored.top_logprobs.numpy())
            top.append(pd.DataFrame(place | own))
        if "entropy" in rollouts:
            check_same_policy(row, entropy_T)
            entropy_T, logprob_T = row.entropy, row.logprob
        tokens = [words[i] for i in row.token_ids]
        read = {
            "token": tokens,
            "entropy": np.asarray(entropy_T, dtype=np.float32),
            "logprob": np.asarray(logprob_T, dtype=np.float32),
            "lexicon": listed_V[row.token_ids],
            "lexicon_top1": listed_V[scored.top_ids[:, 0].numpy()],
        }
        if language is not None:
            read |= _grammar(tokens, row.text, scored.class_mass.numpy(), language)
        labelled.append(pd.DataFrame(place | read))
    return pd.concat(labelled, ignore_index=True), pd.concat(top, ignore_index=True)


def check_same_policy(row, entropy_T: np.ndarray) -> None:
    """Refuse a rollout whose entropies (nats) are not those that its model gives it now.

    Raises:
        UserError: it was sampled from another model, at another temperature or with other pictures.
    """
    difference = float(np.abs(entropy_T - row.entropy).max())
    if not difference < TOLERANCE:
        raise UserError(
            f"rollout {row.rollout_id}: entropies differ by {difference:.3g} nats from those it "
            "was sampled with; it comes from another model or temperature, so sample again"
        )


def _grammar(
    tokens: list[str], text: str, mass_TC: np.ndarray, language: Language
) -> dict[str, Any]:
    """The labels that a language gives to a response, and what the model gives to its slots."""
    slot_of = language.slot_of()
    shares_TC = np.where(mass_TC > 0, mass_TC * np.log(np.maximum(mass_TC, 1e-30)), 0)
    return {
        "decision": label_tokens(tokens, text, decision_starts(text, language)),
        "slot": [slot_of.get(normalize_token(token), "") for token in tokens],
        "class_entropy": -shares_TC.sum(1),
        **{f"p_{name}": mass_TC[:, index] for index, name in enumerate(slots(language))},
    }
