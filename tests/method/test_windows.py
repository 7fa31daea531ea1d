"""Window entropy, the HWE mask and its counts, as definitions."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ares.errors import UserError
from ares.method.windows import count_hwe, excess_entropy, hwe_mask, window_entropy

NAN = math.nan
H = torch.tensor([[1.0, 2.0, 6.0, 3.0, 8.0]])
ALL = torch.ones(1, 5, dtype=torch.bool)


def values(tensor: torch.Tensor) -> list:
    """Nested lists with None for NaN, so that equality means equality."""
    return [[None if math.isnan(x) else x for x in row] for row in tensor.tolist()]


def test_paper_window_starts_at_the_token():
    assert values(window_entropy(H, ALL, 2)) == [[1.5, 4.0, 4.5, 5.5, None]]


def test_released_window_starts_after_the_token():
    assert values(window_entropy(H, ALL, 2, "after")) == [[4.0, 4.5, 5.5, None, None]]


def test_incomplete_windows_are_shortened_or_padded():
    assert values(window_entropy(H, ALL, 2, "at", "shorter")) == [[1.5, 4.0, 4.5, 5.5, 8.0]]
    assert values(window_entropy(H, ALL, 2, "after", "shorter")) == [[4.0, 4.5, 5.5, 8.0, None]]
    got = window_entropy(H, ALL, 2, "after", "running_mean")  # (4 + 4.5 + 5.5) / 3 = 14 / 3
    assert got[0].tolist() == pytest.approx([4.0, 4.5, 5.5, 14 / 3, 14 / 3])
    assert values(window_entropy(H, ALL, 9, "after", "running_mean")) == [[1.0] * 5]


@pytest.mark.parametrize("incomplete", ["undefined", "shorter", "running_mean"])
@pytest.mark.parametrize("start", ["at", "after"])
def test_empty_and_masked_rollouts_are_undefined(start, incomplete):
    empty = torch.zeros(2, 0)
    assert window_entropy(empty, empty.bool(), 4, start, incomplete).shape == (2, 0)
    masked = window_entropy(torch.full((1, 3), NAN), torch.zeros(1, 3), 2, start, incomplete)
    assert values(masked) == [[None] * 3]


def test_a_masked_token_inside_breaks_the_windows_over_it():
    mask = torch.tensor([[True, True, False, True, True]])
    assert values(window_entropy(H, mask, 2)) == [[1.5, None, None, 5.5, None]]


@pytest.mark.parametrize("bad", [NAN, math.inf])
def test_bad_entropy_is_refused_under_the_mask_only(bad):
    entropy = torch.tensor([[1.0, bad, 1.0]])
    with pytest.raises(UserError, match=r"NaN or infinite at \[\(0, 1\)\]"):
        window_entropy(entropy, torch.ones(1, 3), 1)
    ignored = window_entropy(entropy, torch.tensor([[True, False, True]]), 1)
    assert values(ignored) == [[1.0, None, 1.0]]


def test_number_types_are_kept_and_equal_windows_are_equal_to_the_last_bit():
    assert window_entropy(H.bfloat16(), ALL, 2).dtype == torch.float32
    assert window_entropy(H.double(), ALL, 2).dtype == torch.float64
    entropy = torch.tensor([[0.1, 0.2, 0.3] * 40])
    window = window_entropy(entropy, torch.ones_like(entropy), 3)[0, ::3]
    assert len(set(window[~window.isnan()].tolist())) == 1


@given(
    st.integers(1, 9), st.sampled_from(["at", "after"]), st.integers(0, 2**31), st.integers(0, 6)
)
def test_windows_equal_the_definition_wherever_the_padding_is(window, start, seed, padding):
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(0, 12, (3,), generator=generator).tolist()
    rows = [torch.rand(n, generator=generator) for n in lengths]
    width = max(lengths) + padding
    first = 0 if start == "at" else 1
    for left in (False, True):
        entropy, mask = torch.full((3, width), NAN), torch.zeros(3, width, dtype=torch.bool)
        for index, row in enumerate(rows):
            begin = width - len(row) if left else 0
            entropy[index, begin : begin + len(row)] = row
            mask[index, begin : begin + len(row)] = True
        got = window_entropy(entropy, mask, window, start)
        for index, row in enumerate(rows):
            for t in range(len(row)):
                value = got[index][mask[index]][t].item()
                inside = row[t + first : t + first + window]
                if len(inside) == window:
                    assert value == pytest.approx(inside.mean().item(), abs=1e-6)
                else:
                    assert math.isnan(value)
        assert got[~mask].isnan().all()


def test_hwe_mask_includes_the_threshold_unless_strict():
    window = torch.tensor([[1.0, 2.0, 3.0, NAN]])
    assert hwe_mask(window, 2.0).tolist() == [[False, True, True, False]]
    assert hwe_mask(window, 2.0, strict=True).tolist() == [[False, False, True, False]]
    assert count_hwe(hwe_mask(window, 2.0)).tolist() == [2]


def test_a_threshold_may_be_per_rollout_and_selects_no_undefined_window():
    window = torch.tensor([[1.0, 2.0], [1.0, 2.0]])
    assert hwe_mask(window, torch.tensor([2.0, 0.5])).tolist() == [[False, True], [True, True]]
    assert hwe_mask(torch.tensor([[NAN, 0.0]]), -1.0).tolist() == [[False, True]]


def test_excess_entropy():
    assert excess_entropy(torch.tensor([[1.0, 3.5, NAN]]), 3.0).tolist() == [[0.0, 0.5, 0.0]]
