"""The scorer against plain log-softmax of single, unpadded rows."""

import pytest
import torch

from ares.errors import UserError
from ares.sampling.prompts import Prompt, split_prompts
from ares.sampling.scoring import score

RESPONSES = [[20, 21, 22], [30], [40, 41, 42, 43, 44], [50, 2]]


def reference(model, prompt, response, temperature):
    """Log-probabilities (T, V) before each token of one response, by the plain forward pass."""
    ids = torch.cat([prompt.token_ids, torch.tensor(response)])[None]
    pictures = {}
    if prompt.pixel_values is not None:
        pictures = {
            "pixel_values": prompt.pixel_values,
            "image_grid_thw": prompt.image_grid_thw,
            "mm_token_type_ids": (ids == model.config.image_token_id).int(),
        }
    with torch.no_grad():
        logits = model(input_ids=ids, **pictures).logits[0]
    return (logits[-len(response) - 1 : -1].double() / temperature).log_softmax(-1).float()


def test_padding_and_batching_change_nothing(policy, prompts):
    model, _ = policy
    classes = torch.arange(model.config.text_config.vocab_size) % 3
    scores = score(
        model, prompts, RESPONSES, temperature=0.7, top_k=4,
        token_classes=classes, batch_size=3,
    )  # fmt: skip
    for prompt, response, got in zip(prompts, RESPONSES, scores, strict=True):
        expected = reference(model, prompt, response, 0.7)
        close = {"atol": 1e-5, "rtol": 0}
        chosen = expected[torch.arange(len(response)), response]
        torch.testing.assert_close(got.logprobs, chosen, **close)
        torch.testing.assert_close(got.entropies, -(expected.exp() * expected).sum(-1), **close)
        torch.testing.assert_close(got.top_logprobs, expected.topk(4).values, **close)
        torch.testing.assert_close(got.top_logprobs, expected.gather(1, got.top_ids), **close)
        mass = [expected.exp()[:, classes == index].sum(1) for index in range(3)]
        torch.testing.assert_close(got.class_mass, torch.stack(mass, dim=1), **close)


def test_responses_that_cannot_be_scored_are_refused(policy, prompts):
    model, _ = policy
    image = model.config.image_token_id
    for last, message in (
        ([], "a response is empty"),
        ([20, image], "placeholder"),
        ([20] * 1024, "context holds 1024"),
    ):
        with pytest.raises(UserError, match=message):
            score(model, prompts, [*RESPONSES[:3], last])


def test_a_model_that_scales_its_logits_behind_the_output_layer_is_refused(
    policy, prompts, monkeypatch
):
    text = policy[0].config.get_text_config()
    monkeypatch.setattr(text, "logits_scaling", 8.0, raising=False)  # as in Granite
    with pytest.raises(UserError, match="scales or caps its logits"):
        score(policy[0], prompts, RESPONSES)


def test_prompts_are_taken_apart(policy):
    config = policy[0].config
    image = config.image_token_id
    batch = {
        "input_ids": torch.tensor([[0, 0, 9, image, 7], [image, image, image, 8, 9]]),
        "attention_mask": torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 0]]),
        # One token is 2 x 2 patches: pictures of 1, 1 and 2 tokens.
        "pixel_values": torch.arange(16.0)[:, None],
        "image_grid_thw": torch.tensor([[1, 2, 2], [1, 2, 2], [1, 2, 4]]),
    }
    first, second = split_prompts(batch, config)
    assert first.token_ids.tolist() == [9, image, 7]
    assert second.token_ids.tolist() == [image, image, image, 8]
    assert first.pixel_values[:, 0].tolist() == [0, 1, 2, 3]
    assert second.pixel_values[:, 0].tolist() == list(range(4, 16))
    assert second.image_grid_thw.tolist() == [[1, 2, 2], [1, 2, 4]]
    longer = second.followed_by([5, 6])
    assert longer.token_ids.tolist() == [image, image, image, 8, 5, 6]
    assert longer.pixel_values is second.pixel_values


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"attention_mask": torch.tensor([[0, 0]])}, "a prompt is empty"),
        ({"input_ids": torch.tensor([[9, 9]])}, "picture placeholders in the rows do not match"),
        ({"image_grid_thw": torch.tensor([[1, 2, 4]])}, "picture placeholders in the rows"),
        ({"pixel_values_videos": torch.ones(4, 1)}, "pictures, not videos"),
    ],
)
def test_batches_that_do_not_fit_are_named(policy, changed, message):
    config = policy[0].config
    batch = {
        "input_ids": torch.tensor([[9, config.image_token_id]]),
        "pixel_values": torch.ones(4, 1),
        "image_grid_thw": torch.tensor([[1, 2, 2]]),
    }
    with pytest.raises(UserError, match=message):
        split_prompts({**batch, **changed}, config)
    assert isinstance(split_prompts(batch, config)[0], Prompt)
