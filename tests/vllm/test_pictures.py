"""Questions with pictures: the shipped Qwen2.5-VL, exported, in vLLM and in stock transformers."""

from __future__ import annotations

import random
import subprocess

import pytest
import torch
from PIL import Image

from ares.backends.base import Decoding, Request, Response
from ares.backends.server import ServerBackend
from ares.backends.vllm import VllmBackend
from ares.paths import BASE_MODEL, ROOT
from tests.vllm.serving import serving

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

#: Largest difference in log-probability that is agreement, in nats.
TOLERANCE = 1e-4
LENGTH = 256
DECODING = Decoding(max_tokens=24, temperature=0.0, top_logprobs=20)


def picture(seed: int, width: int, mode: str = "RGB") -> Image.Image:
    """Noise, so that no two parts of a picture look alike."""
    size = (width, 56)
    levels = random.Random(seed).randbytes(width * 56 * len(Image.new(mode, (1, 1)).getbands()))
    return Image.frombytes(mode, size, levels)


def asked(name: str, *pictures: Image.Image) -> Request:
    parts = [{"type": "image", "image": it} for it in pictures]
    text = {"type": "text", "text": "3 8 5 = 19"}
    return Request(name, [{"role": "user", "content": [*parts, text]}], DECODING)


REQUESTS = [
    asked("one", picture(0, 84)),
    asked("another", picture(1, 84)),
    asked("wide", picture(2, 140)),
    asked("two", picture(3, 112), picture(4, 56)),
    asked("grey", picture(5, 84, "L")),
    asked("see-through", picture(6, 84, "RGBA")),
]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The shipped checkpoint as `ares export` writes it."""
    folder = tmp_path_factory.mktemp("export") / "base"
    command = ["-m", "ares", "export", str(BASE_MODEL), "--out", str(folder), "--dtype", "float32"]
    subprocess.run([ROOT / ".venv" / "bin" / "python", *command], cwd=ROOT, check=True)
    return folder


@pytest.fixture(scope="module")
def responses(exported) -> dict[str, Response]:
    backend = VllmBackend(str(exported), dtype="float32", max_model_len=LENGTH)
    found = {request.id: outcome for request, outcome in backend.generate(REQUESTS)}
    assert all(isinstance(outcome, Response) for outcome in found.values()), found
    return found


def test_logprobs_agree_with_transformers(exported, responses):
    from transformers import AutoProcessor, Qwen2_5_VLForConditionalGeneration

    processor = AutoProcessor.from_pretrained(exported)
    assert type(processor).__name__ == "Qwen2_5_VLProcessor"
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(exported, dtype="float32").eval()
    by_text = {processor.tokenizer.decode([i]): i for i in range(len(processor.tokenizer))}
    worst = 0.0
    for request in REQUESTS:
        if request.id == "see-through":  # where the background is a matter of taste
            continue
        parts = request.messages[0]["content"]
        text = processor.apply_chat_template(
            request.messages, tokenize=False, add_generation_prompt=True
        )
        pictures = [part["image"].convert("RGB") for part in parts if part["type"] == "image"]
        records = responses[request.id].logprobs
        drawn = [by_text[record["token"]] for record in records]
        inputs = processor(text=[text], images=pictures, return_tensors="pt")
        length = inputs["input_ids"].shape[1]
        assert responses[request.id].prompt_tokens == length
        for name, filler in (("input_ids", drawn), ("attention_mask", 1), ("mm_token_type_ids", 0)):
            added = torch.tensor(filler).expand(1, len(drawn))
            inputs[name] = torch.cat([inputs[name], added], dim=1)
        with torch.inference_mode():
            logits_TV = model(**inputs).logits[0, length - 1 : -1]
        expected_TV = logits_TV.double().log_softmax(-1)
        assert drawn == expected_TV.argmax(-1).tolist()
        for at, record in enumerate(records):
            for entry in record["top_logprobs"]:
                expected = expected_TV[at, by_text[entry["token"]]].item()
                worst = max(worst, abs(entry["logprob"] - expected))
    print(f"\nlargest difference in log-probability: {worst:.1e} nats")
    assert worst < TOLERANCE


def test_pictures_matter(responses):
    # The same words below another picture of the same size: other numbers are read from it.
    assert responses["one"].text != responses["another"].text
    assert responses["one"].prompt_tokens == responses["another"].prompt_tokens


def test_the_server_gives_the_same(exported, responses, tmp_path):
    with serving(exported, "base", LENGTH, tmp_path / "log") as url:
        found = {
            request.id: outcome
            for request, outcome in ServerBackend(url, "base").generate(REQUESTS)
        }
    assert found.keys() == responses.keys()
    for name, theirs in found.items():
        ours = responses[name]
        assert (theirs.text, theirs.finish) == (ours.text, ours.finish)
        assert (theirs.prompt_tokens, theirs.tokens) == (ours.prompt_tokens, ours.tokens)
        for mine, other in zip(ours.logprobs, theirs.logprobs, strict=True):
            assert mine["logprob"] == pytest.approx(other["logprob"], abs=TOLERANCE)
