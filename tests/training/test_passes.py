"""Forward passes over parts of a batch give what one forward over all of it gives."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import TrainerCallback

from ares.errors import UserError
from ares.model.load import load_policy
from ares.training import passes
from ares.training.passes import sequences

fast = settings(deadline=None, derandomize=True, max_examples=60)


@fast
@given(st.lists(st.integers(1, 12), min_size=1, max_size=20), st.integers(1, 60))
def test_passes_hold_every_row_once_and_keep_to_their_size(lengths, tokens):
    mask_BT = torch.arange(12)[None] < torch.tensor(lengths)[:, None]
    parts = passes.passes_of(mask_BT, tokens)
    assert sorted(row for part in parts for row in part) == list(range(len(lengths)))
    for part in parts:
        assert len(part) == 1 or len(part) * max(lengths[row] for row in part) <= tokens
    widths = [max(lengths[row] for row in part) for part in parts]
    assert widths == sorted(widths, reverse=True)


def test_values_come_back_in_the_order_of_the_batch_and_other_models_are_refused():
    parts = [torch.tensor([[2.0, 2.0, 2.0]]), torch.tensor([[0.0], [1.0]])]
    joined = passes.joined(parts, [[2], [0, 1]], width=4)
    assert joined.tolist() == [[0, 0, 0, 0], [1, 0, 0, 0], [2, 2, 2, 0]]
    with pytest.raises(UserError, match="image_sizes: only the picture fields of Qwen-VL"):
        passes.fields_of({"image_sizes": torch.ones(2, 2)}, [0], slice(0, 1))


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


@pytest.mark.parametrize(
    ("tokens_per_pass", "batch_size"), [(None, 7), (1, None), (40, 4), (150, None), (10_000, 7)]
)
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
    parts = passes.passes_of(sequences(batch)[1], tokens_per_pass, 4)
    got_BT = passes.most_probable(made.model, batch, parts)
    assert torch.equal(got_BT[own_BT], best_BT[own_BT])


class Gradients(TrainerCallback):
    """Keeps the gradients of the first optimizer step."""

    def __init__(self) -> None:
        self.first: torch.Tensor | None = None

    def on_pre_optimizer_step(self, args, state, control, model, **others) -> None:
        if self.first is None:
            parts = [w.grad if w.grad is not None else torch.zeros_like(w)
                     for w in model.parameters()]  # fmt: skip
            self.first = torch.cat([part.flatten() for part in parts])


def run(scenes, folder, path, name, **options):
    """A run on fixed rollouts by plain gradient descent, without clipping, and its gradients."""
    schedule = {"steps": 2, "prompts": 4, "max_grad_norm": 1e9, **options.pop("schedule", {})}
    changes = options.pop("settings", {})
    arguments = {**scenes.SGD, "learning_rate": 0.01}
    made = scenes.trainer(
        folder, path, scenes.settings(name, **changes), sampler=scenes.FixedSampler(),
        schedule=scenes.scheduled(**schedule), arguments=arguments, **options,
    )  # fmt: skip
    gradients = Gradients()
    made.add_callback(gradients)
    made.train()
    assert gradients.first.abs().max() > 1e-3
    return made, gradients.first


def same_state(scenes, one, other) -> bool:
    """Whether threshold, targets and controller agree."""
    return scenes.close(one.method.state_dict(), other.method.state_dict())


@pytest.mark.parametrize("name", ["ares", "paper", "grpo"])
def test_padding_does_not_matter(scenes, lively_folder, tmp_path, name):
    """TRL's passes, padded to the longest rollout, against passes of rows of similar length."""
    one, first = run(scenes, lively_folder, tmp_path, name)
    other, second = run(scenes, lively_folder, tmp_path, name, tokens_per_pass=90)
    torch.testing.assert_close(first, second, rtol=0, atol=1e-5)
    assert scenes.losses(one) == pytest.approx(scenes.losses(other), abs=1e-5)
    torch.testing.assert_close(scenes.parameters(one), scenes.parameters(other), rtol=0, atol=1e-5)
    assert same_state(scenes, one, other)


@pytest.mark.parametrize(("name", "updates"), [("ares", 1), ("ares", 2), ("paper", 2)])
def test_micro_batches_do_not_matter(scenes, lively_folder, tmp_path, name, updates):
    (one, first), (other, second) = (
        run(
            scenes, lively_folder, tmp_path, name,
            schedule={"updates": updates, "micro_batches": parts},
        )
        for parts in (1, 2)
    )  # fmt: skip
    torch.testing.assert_close(first, second, rtol=0, atol=1e-5)
    torch.testing.assert_close(scenes.parameters(one), scenes.parameters(other), rtol=0, atol=1e-5)
    assert same_state(scenes, one, other)
    if one.method.controller is not None:
        assert one.method.controller.beta_D != [one.settings.kl_beta] * 3
