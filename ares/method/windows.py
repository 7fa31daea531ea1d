"""Window entropy (eq. 4), the high-window-entropy (HWE) mask and what is counted from it.

Deviations and choices:
1. Paper and release place the window differently; both are here under a name: `start="at"` is eq.
   4, mean(H_t .. H_{t+w-1}), and `start="after"` is the release, mean(H_{t+1} .. H_{t+w}).
2. Neither source says in its text what a window that runs over the end is worth. The choice has a
   name (`incomplete`) and the default leaves such a window undefined (NaN), so it is never an HWE
   window.
3. A window that touches a masked position inside a response (tool output, say) is incomplete too.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ares.method.tensors import masked


def window_entropy(
    entropy_BT: Tensor,
    mask_BT: Tensor,
    window: int,
    start: str = "at",
    incomplete: str = "undefined",
) -> Tensor:
    """Mean entropy of the `window` tokens that start at, or after, each token (eq. 4).

    Args:
        entropy_BT: token entropies in nats; those at masked positions are ignored.
        mask_BT: True on response tokens; padding may be on either side.
        start: "at" (paper: tokens t .. t+w-1) or "after" (release: tokens t+1 .. t+w).
        incomplete: the value of a window with fewer than w response tokens: "undefined" is NaN;
            "shorter" the mean of those there are; "running_mean" the mean of the rollout's complete
            windows, or else the entropy of its first token (the release's threshold).

    Returns:
        (B, T) window entropies in nats, float32 or float64 as given; NaN at masked positions.

    Raises:
        UserError: shapes that differ, NaN or infinite entropy.

    >>> H, mask = torch.tensor([[1.0, 3.0, 5.0]]), torch.ones(1, 3)
    >>> window_entropy(H, mask, 2).tolist()
    [[2.0, 4.0, nan]]
    >>> window_entropy(H, mask, 2, start="after").tolist()
    [[4.0, nan, nan]]
    """
    mask_BT = mask_BT.bool()
    entropy_BT = masked(entropy_BT, mask_BT, "entropy_BT")
    first = 0 if start == "at" else 1
    # Shifted slices are added in the same order everywhere, so that equal windows are equal to the
    # last bit and a threshold taken from them keeps its ties; a running sum would not do that.
    total_BT = _sum_ahead(entropy_BT, window, first)
    tokens_BT = _sum_ahead(mask_BT.to(torch.int16), window, first)
    mean_BT = total_BT / tokens_BT
    complete_BT = mask_BT & (tokens_BT == window)
    if incomplete == "shorter":
        return mean_BT.where(mask_BT & (tokens_BT > 0), torch.nan)
    if incomplete == "undefined":
        return mean_BT.where(complete_BT, torch.nan)
    filler_B1 = _running_mean_filler(mean_BT, complete_BT, entropy_BT, mask_BT)
    return mean_BT.where(complete_BT, filler_B1).where(mask_BT, torch.nan)


def hwe_mask(window_BT: Tensor, threshold: Tensor | float, strict: bool = False) -> Tensor:
    """Tokens whose window entropy reaches the threshold: m_t = [W_t >= theta] (Alg. 1).

    `threshold` is theta in nats, one number or (B,); `strict` selects W_t > theta (main text). An
    undefined window (NaN) is never selected.

    >>> hwe_mask(torch.tensor([[2.0, 4.0, float("nan")]]), 2.0).tolist()
    [[True, True, False]]
    """
    threshold_B1 = _threshold_column(window_BT, threshold)
    return window_BT > threshold_B1 if strict else window_BT >= threshold_B1


def excess_entropy(window_BT: Tensor, threshold: Tensor | float) -> Tensor:
    """[W_t - theta]_+ in nats, 0 where it is undefined (Alg. 1's phi; the release's soft cost)."""
    return (window_BT - _threshold_column(window_BT, threshold)).clamp(min=0).nan_to_num(nan=0.0)


def count_hwe(hwe_BT: Tensor) -> Tensor:
    """N_HE: HWE tokens per rollout, (B,) int64."""
    return hwe_BT.bool().sum(dim=1)


def _sum_ahead(values_BT: Tensor, window: int, first: int) -> Tensor:
    """Sum over positions t+first .. t+first+window-1, those beyond the end counting 0."""
    total_BT = torch.zeros_like(values_BT)
    length = values_BT.shape[1]
    for shift in range(first, min(first + window, length)):
        total_BT[:, : length - shift] += values_BT[:, shift:]
    return total_BT


def _running_mean_filler(
    mean_BT: Tensor, complete_BT: Tensor, entropy_BT: Tensor, mask_BT: Tensor
) -> Tensor:
    """The release's padding, (B, 1): a running mean does not change when it joins its own list.

    So every padded value equals the mean of the complete windows; without any, the first value is
    H_t of the first token and all later ones repeat it.
    """
    if mean_BT.shape[1] == 0:
        return mean_BT.new_zeros(mean_BT.shape[0], 1)
    complete_B1 = complete_BT.sum(1, keepdim=True)
    mean_B1 = mean_BT.where(complete_BT, 0.0).sum(1, keepdim=True) / complete_B1.clamp(min=1)
    first_B1 = mask_BT.int().argmax(1, keepdim=True)
    return mean_B1.where(complete_B1 > 0, entropy_BT.gather(1, first_B1))


def _threshold_column(window_BT: Tensor, threshold: Tensor | float) -> Tensor:
    return torch.as_tensor(threshold, dtype=window_BT.dtype, device=window_BT.device).reshape(-1, 1)
