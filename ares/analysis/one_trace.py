"""One response under different windows and percentiles: which of its tokens become HWE tokens."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ares.analysis.tables import windows

#: A response of this many tokens fits in one line of a page.
READABLE = 45
#: Settings of the static figure: (window in tokens, percentile).
SETTINGS = ((1, 95), (4, 95), (8, 95), (4, 80))


def choose(rollouts: pd.DataFrame, length: int = READABLE) -> int:
    """The rollout of the last level whose length is nearest to `length`; of equals the first."""
    last = rollouts[rollouts["level"] == rollouts["level"].iloc[-1]]
    return last.loc[(last["n_tokens"] - length).abs().idxmin(), "rollout_id"]


def under(
    tokens: pd.DataFrame, rollout_id: int, settings: Sequence[tuple[int, float]]
) -> pd.DataFrame:
    """The tokens of one rollout under every setting.

    Args:
        tokens: the token table of all rollouts; the threshold is a percentile of all their windows
            (App. H), those over the end of a response taken over the tokens there are.
        settings: pairs of window (tokens) and percentile.

    Returns:
        window, percentile, threshold (nats), position, token, entropy, window_entropy (nats), hwe.
    """
    here = (tokens["rollout_id"] == rollout_id).to_numpy()
    own = tokens.loc[here, ["position", "token", "entropy"]]
    parts = []
    for window, percentile in settings:
        entropy = windows(tokens, window, incomplete="shorter")
        threshold = float(np.quantile(entropy, percentile / 100))
        setting = {"window": window, "percentile": percentile, "threshold": threshold}
        reached = entropy[here] >= threshold
        parts.append(own.assign(**setting, window_entropy=entropy[here], hwe=reached))
    return pd.concat(parts, ignore_index=True)
