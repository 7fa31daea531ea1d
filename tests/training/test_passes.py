"""Forward passes over parts of a batch give what one forward over all of it gives."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ares.errors import UserError
from ares.model.load import load_policy
from ares.training import passes
from ares.training.passes import sequences

fast = settings(deadline=None, derandomize=True, max_examples=60)


@fast
@given(st.lists(st.integers(1, 12), min_size=1, max_size=20), st.integers(1, 60))
def test_passes_hold_every_row_once_and_keep_to_their_size(lengths, tokens):
    mask_BT = torch.arange(12)[None] < torch.tensor(lengths)[:, None]
    parts = passes.passes_by_length(mask_BT, tokens)
    assert sorted(row for part in parts for row in part) == list(range(len(lengths)))
    for part in parts:
        assert len(part) == 1 or len(part) * max(lengths[row] for row in part) <= tokens
    widths = [max(lengths[row] for row in part) for part in parts]
    assert widths == sorted(widths, reverse=True)


@pytest.mark.parametrize(
    ("mask", "completion", "expected"),
    [
        ([[0, 1, 1, 1, 0, 0]], 3, slice(1, 4)),  # prompt padded left, response right
        ([[0, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 0]], 3, slice(0, 5)),
        ([[0, 0, 1, 0, 0, 0]], 3, slice(2, 4)),  # a response masked out keeps a column
        ([[0, 0, 0, 0, 0, 0]], 3, slice(3, 4)),
    ],
)
def test_columns_that_some_row_needs(mask, completion, expected):
    assert passes.columns(torch.tensor(mask), completion) == expected


def test_a_pass_without_pictures():
    assert not passes.lacks_pictures(None, [[0], [1]])
    assert not passes.lacks_pictures([1, 1], [[0], [1]])
    assert passes.lacks_pictures([1, 0], [[0], [1]])
    assert not passes.lacks_pictures([1, 0], [[0, 1]])


def test_fields_are_dealt_out_with_their_rows():
    """Row 0 has one picture of two patches, row 1 none, row 2 two of one patch each."""
    fields = {
        "num_images": [1, 0, 2],
        "image_grid_thw": torch.tensor([[1, 1, 2], [1, 1, 1], [1, 1, 1]]),
        "pixel_values": torch.tensor([[10.0], [11.0], [20.0], [21.0]]),
        "mm_token_type_ids": torch.tensor([[1, 0, 0], [0, 0, 0], [0, 1, 1]]),
        "pixel_attention_mask": None,
    }
    part = passes.fields_of(fields, [2, 0], slice(1, 3))
    assert part["num_images"] == [2, 1]
    assert part["image_grid_thw"].tolist() == [[1, 1, 1], [1, 1, 1], [1, 1, 2]]
    assert part["pixel_values"].flatten().tolist() == [20.0, 21.0, 10.0, 11.0]
    assert part["mm_token_type_ids"].tolist() == [[1, 1], [0, 0]]
    part = passes.fields_of(fields, [1], slice(0, 3))
    assert list(part) == ["mm_token_type_ids"]


def test_fields_of_another_kind_of_model_are_refused():
    with pytest.raises(UserError, match="image_sizes: only the picture fields of Qwen-VL"):
        passes.fields_of({"image_sizes": torch.ones(2, 2)}, [0], slice(0, 1))


def test_values_come_back_in_the_order_of_the_batch():
    parts = [torch.tensor([[2.0, 2.0, 2.0]]), torch.tensor([[0.0], [1.0]])]
    joined = passes.joined(parts, [[2], [0, 1]], width=4)
    assert joined.tolist() == [[0, 0, 0, 0], [1, 0, 0, 0], [2, 2, 2, 0]]


def test_many_passes_in_one_call_of_a_model():
    model = torch.nn.Linear(2, 1, bias=False)
    calls = []
    model.register_forward_hook(lambda *_: calls.append(1))
    passes.allow_many_passes(model)
    x = torch.ones(1, 2)
    plain = model(x)
    assert calls == [1]
    results = model(passes=lambda forward: [(forward(x),), (forward(2 * x),)])
    assert calls == [1, 1]  # what counts calls sees one
    assert [float(y) for (y,) in results] == [float(plain), float(2 * plain)]


# ---------------------------------------------------------------------- against the model itself


@pytest.fixture(scope="module")
def mixed(scenes, lively_folder, tmp_path_factory):
    """A trainer, a batch of text and pictures, and what one unsplit forward says of it."""
    made = scenes.trainer(
        lively_folder, tmp_path_factory.mktemp("mixed"), scenes.settings("ares"),
        sampler=scenes.FixedSampler(),
    )  # fmt: skip
    made.model.train()
    rows = [row for row in scenes.dataset(6) for _ in range(4)]
    batch = made._generate_and_score_completions(rows)
    ids_BT, mask_BT = sequences(batch)
    model, _ = load_policy(lively_folder)
    fields = {name: batch[name] for name in ("pixel_values", "image_grid_thw", "mm_token_type_ids")}
    with torch.no_grad():
        logits_BTV = model(input_ids=ids_BT, attention_mask=mask_BT, **fields).logits
    width = batch["completion_ids"].shape[1]
    logprob_BTV = logits_BTV[:, -width - 1 : -1].log_softmax(-1)
    entropy_BT = -(logprob_BTV.exp() * logprob_BTV).sum(-1)
    logprob_BT = logprob_BTV.gather(2, batch["completion_ids"][..., None])[..., 0]
    return made, batch, logprob_BT, entropy_BT, logprob_BTV.argmax(-1)


@pytest.mark.parametrize("tokens_per_pass", [None, 1, 40, 150, 10_000])
@pytest.mark.parametrize("batch_size", [None, 4, 7])
def test_passes_equal_one_unsplit_forward(mixed, tokens_per_pass, batch_size):
    made, batch, logprob_BT, entropy_BT, _ = mixed
    made.tokens_per_pass = tokens_per_pass
    ids_BT, mask_BT = sequences(batch)
    names = ("pixel_values", "image_grid_thw", "num_images", "mm_token_type_ids")
    with torch.no_grad():
        scored, entropies, _ = made._get_per_token_logps_and_entropies(
            made.model, ids_BT, mask_BT, batch["completion_ids"].shape[1], batch_size,
            compute_entropy=True, **{name: batch[name] for name in names},
        )  # fmt: skip
    own_BT = batch["completion_mask"].bool()
    assert 0 in batch["num_images"] and 1 in batch["num_images"]
    torch.testing.assert_close(scored[own_BT], logprob_BT[own_BT], rtol=0, atol=2e-5)
    torch.testing.assert_close(entropies[own_BT], entropy_BT[own_BT], rtol=0, atol=2e-5)


@pytest.mark.parametrize("tokens_per_pass", [None, 40])
def test_the_most_probable_tokens(mixed, tokens_per_pass):
    made, batch, _, _, best_BT = mixed
    made.tokens_per_pass = tokens_per_pass
    own_BT = batch["completion_mask"].bool()
    parts = made._passes(sequences(batch)[1], 4)
    got_BT = passes.most_probable(made.model, batch, parts)
    assert torch.equal(got_BT[own_BT], best_BT[own_BT])
