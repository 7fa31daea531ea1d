"""The token table: one row per response token, with its entropies and its labels."""

from __future__ import annotations

from itertools import count

import numpy as np
import pandas as pd
import torch

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
    language: Language,
    lexicon: Lexicon,
    temperature: float,
    top_k: int = 20,
    top_k_rollouts: int = 64,
    batch_size: int = 32,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Label every response token and read its distribution back from the model.

    Args:
        rollouts: the rollouts table.
        problems: those of the rollouts, in the order of the table.
        temperature: they were sampled at.
        top_k, top_k_rollouts: how many most probable tokens are kept, and of how many rollouts.
        batch_size: responses per forward pass.

    Returns:
        tokens: rollout_id, position, token, entropy, logprob (nats), lexicon (bool), lexicon_top1
            (bool: the most probable token is in the lexicon), decision ('', 'pair', 'operation'),
            slot ('' or a lexical slot), class_entropy (nats, over lexical slots and other tokens),
            p_<slot> (probability of each slot).
        top_k: rollout_id, position, entropy, sampled_logprob, top_logprobs (list, best first) for
            `top_k_rollouts` evenly spaced rollouts.

    Raises:
        UserError: the rollouts were sampled from another model or at another temperature.
    """
    tokenizer = tokenizer_of(processor)
    words = [tokenizer.decode([i]) for i in range(len(tokenizer))]
    classes = vocabulary_classes(words, language)
    # The model may have more logits than the tokenizer has words.
    spare = model.config.get_text_config().vocab_size - len(words)
    classes = np.concatenate([classes, classes.max() + 1 + np.arange(spare)])
    words += [""] * spare
    scores = score(
        model,
        encode(problems.items, model, processor),
        [ids.copy() for ids in rollouts["token_ids"]],
        pad_token_id=tokenizer.pad_token_id,
        temperature=temperature,
        top_k=top_k,
        token_classes=torch.from_numpy(classes),
        batch_size=batch_size,
    )
    names, kept = slots(language), evenly_spaced(len(rollouts), top_k_rollouts)
    labelled, top = [], []
    for index, (row, scored) in enumerate(zip(rollouts.itertuples(), scores, strict=True)):
        check_same_policy(row, scored.entropies.numpy())
        labelled.append(_label(row, scored, words, names, language, lexicon))
        if index in kept:
            top.append(
                pd.DataFrame(
                    {
                        "rollout_id": row.rollout_id,
                        "position": np.arange(row.n_tokens, dtype=np.int32),
                        "entropy": scored.entropies.numpy(),
                        "sampled_logprob": scored.logprobs.numpy(),
                        "top_logprobs": list(scored.top_logprobs.numpy()),
                    }
                )
            )
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


def _label(row, scored, words, names, language: Language, lexicon: Lexicon) -> pd.DataFrame:
    tokens = [words[i] for i in row.token_ids]
    slot_of = language.slot_of()
    mass = scored.class_mass.numpy()
    table = pd.DataFrame(
        {
            "rollout_id": row.rollout_id,
            "position": np.arange(len(tokens), dtype=np.int32),
            "token": tokens,
            "entropy": np.asarray(row.entropy, dtype=np.float32),
            "logprob": np.asarray(row.logprob, dtype=np.float32),
            "lexicon": [token in lexicon for token in tokens],
            "lexicon_top1": [words[i] in lexicon for i in scored.top_ids[:, 0].tolist()],
            "decision": label_tokens(tokens, row.text, decision_starts(row.text, language)),
            "slot": [slot_of.get(normalize_token(token), "") for token in tokens],
            "class_entropy": -np.where(mass > 0, mass * np.log(np.maximum(mass, 1e-30)), 0).sum(1),
        }
    )
    for index, name in enumerate(names):
        table[f"p_{name}"] = mass[:, index]
    return table
