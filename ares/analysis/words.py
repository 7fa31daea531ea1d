"""Fig. 2b and F2: which words have high entropy, and how many of them are reasoning triggers.

The judge that keeps the reasoning-relevant words is our lexicon. Since it passes only triggers, the
cloud itself proves nothing: what can fail is whether triggers are over-represented among the tokens
of highest entropy.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ares.analysis import detection
from ares.analysis.stats import Estimate, Resampler
from ares.analysis.tables import windows
from ares.method.judge import extract_lexicon, rank_tokens
from ares.method.lexicon import Lexicon

TRIGGER = "reasoning trigger"
#: Top of the entropies that is looked at: from this percentile on.
TOP = 95


def ranked(tokens: pd.DataFrame, lexicon: Lexicon, min_count: int = 10) -> pd.DataFrame:
    """Words by falling mean entropy: token, entropy (nats), count, category, kept by the lexicon.

    Args:
        min_count: occurrences that a word needs.
    """
    found = rank_tokens(tokens["token"], tokens["entropy"], min_count=min_count)
    kept = extract_lexicon(found, lexicon.__contains__, top=len(found)).words
    words = pd.DataFrame([vars(row) for row in found])
    category = words["token"].map(lexicon.category_of).fillna("none")
    return words.assign(category=category, kept=words["token"].isin(kept))


def kinds(tokens: pd.DataFrame) -> dict[str, np.ndarray]:
    """Kinds of token, each as bool per token; the last one is what is none of the others."""
    text = tokens["token"].str.strip()
    found = {
        TRIGGER: tokens["lexicon"].to_numpy(bool),
        "filler": (tokens["slot"] == "filler").to_numpy(),
        "number": text.str.isdigit().to_numpy(),
        "operation": text.isin(["+", "-", "x"]).to_numpy(),
    }
    return found | {"other": ~np.any(list(found.values()), axis=0)}


def top_shares(
    tokens: pd.DataFrame, resampler: Resampler, sizes: Sequence[int] = (1, 4)
) -> tuple[pd.DataFrame, dict[str, Estimate]]:
    """What the tokens of highest window entropy are, and F2 as claims above zero if they hold.

    Returns:
        window, kind, share_of_all, share_of_top_5_percent (fraction with its interval); the claims.
    """
    rows, claims = [], {}
    for size in sizes:
        found = detection.detect(
            windows(tokens, size), kinds(tokens), tokens["problem_id"], [TOP], resampler
        )
        for kind, counts in found.items():
            top = counts.precision_RQ[:, 0]
            share = (counts.labelled_R1 / counts.tokens_R1)[:, 0]
            rows.append((size, kind, share[0], f"{resampler.estimate(top):.3f}"))
            if kind == TRIGGER:
                claims[f"window {size}: triggers over-represented in the top 5 %"] = top - share
                claims[f"window {size}: most of the top 5 % are triggers"] = top - 0.5
    table = pd.DataFrame(rows, columns=["window", "kind", "share_of_all", "share_of_top_5_percent"])
    return table, {text: resampler.estimate(draws) for text, draws in claims.items()}
