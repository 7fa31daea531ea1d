"""The model in this process: draws, records, batches, ends and failures."""

import huggingface_hub
import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError

from ares import paths
from ares.backends.base import Decoding, Failure, Request
from ares.backends.drawing import Draw
from ares.backends.local import LocalBackend
from ares.backends.weights import local_folder, weights_of
from ares.data.countdown import Problem
from ares.data.world import messages, picture
from ares.errors import UserError
from ares.model.load import load_policy
from ares.paths import BASE_MODEL
from ares.sampling.engine import sample
from ares.sampling.prompts import split_prompts
from ares.sampling.scoring import score
from tests.vllm.tiny import make_model

QUESTION = "numbers 3 8 5 target 19"
DECODING = Decoding(max_tokens=40, top_logprobs=5)


def ask(text: str = QUESTION, decoding: Decoding = DECODING, seed: int = 0) -> Request:
    return Request(f"{text}/{seed}", [{"role": "user", "content": text}], decoding, seed)


def ask_cards(decoding: Decoding = DECODING, seed: int = 0) -> Request:
    problem = Problem((3, 8, 5), 19)
    said = messages(problem, "image")
    said[1]["content"][0]["image"] = picture(problem, 0)
    return Request(f"cards/{seed}", said, decoding, seed)


def answers(backend: LocalBackend, requests: list[Request]) -> list:
    got = {request.id: answer for request, answer in backend.generate(requests)}
    return [got[request.id] for request in requests]


@pytest.fixture(scope="module")
def base() -> LocalBackend:
    return LocalBackend(BASE_MODEL, batch=8, device="cpu")


@pytest.fixture(scope="module")
def chat_folder(tmp_path_factory):
    """A language model; its generation config must not reach what is drawn here."""
    folder = tmp_path_factory.mktemp("chat")
    make_model(folder)
    return folder


@pytest.fixture(scope="module")
def chat(chat_folder) -> LocalBackend:
    return LocalBackend(chat_folder, batch=8, device="cpu")


@pytest.mark.parametrize("request_", [ask(seed=3), ask_cards(seed=3)], ids=["text", "cards"])
def test_draws_are_those_of_the_sampler_and_numbers_those_of_the_scorer(base, request_) -> None:
    decoding = Decoding(max_tokens=40, temperature=0.7, top_p=0.95, top_logprobs=5)
    asked = Request(request_.id, request_.messages, decoding, request_.seed)
    prompt = base.prompt(asked)
    prompts = split_prompts(prompt.tensors, base.model.config)
    drawn = sample(
        base.model,
        prompts,
        max_new_tokens=40,
        eos_token_ids=base.ends,
        seeds=[prompt.seed],
        temperature=0.7,
        top_p=0.95,
    )[0]
    ids = drawn.token_ids.tolist()
    (answer,) = answers(base, [asked])
    assert answer.text == base.tokenizer.decode(ids, skip_special_tokens=True)
    assert answer.tokens == len(ids) and answer.prompt_tokens == prompt.length
    at_temperature, raw = (
        score(base.model, prompts, [ids], temperature=t, top_k=5)[0] for t in (0.7, 1.0)
    )
    assert answer.entropy == pytest.approx(at_temperature.entropies.tolist(), abs=1e-4)
    records = answer.logprobs
    assert [r["logprob"] for r in records] == pytest.approx(raw.logprobs.tolist(), abs=1e-4)
    for record, expected in zip(records, raw.top_logprobs.tolist(), strict=True):
        assert [t["logprob"] for t in record["top_logprobs"]] == pytest.approx(expected, abs=1e-4)


def test_a_request_draws_the_same_alone_and_in_any_company(base) -> None:
    requests = [ask(seed=n) for n in range(4)] + [ask_cards(seed=n) for n in range(3)]
    requests += [ask("numbers 2 7 target 14", seed=5), ask("numbers 2 7 9 4 target 22", seed=1)]
    together = answers(base, requests)
    assert len({answer.text for answer in together}) > 5
    assert len({base.prompt(request).seed for request in requests}) == len(requests)
    for request, before in zip(requests, together, strict=True):
        (alone,) = answers(base, [request])
        assert alone.text == before.text and alone.finish == before.finish
        assert alone.entropy == pytest.approx(before.entropy, abs=1e-4)


def test_a_barred_token_is_never_drawn_and_top_k_comes_before_top_p() -> None:
    logits = torch.tensor([[0.5, 0.25, 0.25]]).log().repeat(200, 1)
    for temperature in (0.0, 1.0):
        decoding = Decoding(max_tokens=1, temperature=temperature)
        draws = Draw(decoding, range(200), [0], torch.device("cpu"))
        draws(torch.zeros(200, 1, dtype=torch.long), logits)
        record = draws.record()
        assert 0 not in record.token_BT
        assert record.logprob_BT.exp().unique().tolist() == [0.25]
        assert record.entropy_BT[0, 0].item() == pytest.approx(1.0397, abs=1e-4)  # 1.5 ln 2
    logits = torch.tensor([[0.5, 0.25, 0.125, 0.125]]).log().repeat(200, 1)
    # Of the two that are left by top-k the first alone has two thirds of the mass.
    for options, drawn in (({"top_k": 2}, {0, 1}), ({"top_k": 2, "top_p": 0.6}, {0})):
        draws = Draw(Decoding(max_tokens=1, **options), range(200), [], torch.device("cpu"))
        draws(torch.zeros(200, 1, dtype=torch.long), logits)
        assert {*draws.record().token_BT[:, 0].tolist()} == drawn


def test_greedy_is_greedy_whatever_the_generation_config_says(chat) -> None:
    request = ask("go", Decoding(max_tokens=12, temperature=0.0, top_logprobs=1))
    ids = chat.prompt(request).tensors["input_ids"]
    width = ids.shape[1]
    with torch.inference_mode():
        while ids.shape[1] < width + 12 and int(ids[0, -1]) not in chat.ends:
            ids = torch.cat([ids, chat.model(input_ids=ids).logits[:, -1:].argmax(-1)], dim=1)
    (answer,) = answers(chat, [request])
    assert answer.text == chat.tokenizer.decode(ids[0, width:], skip_special_tokens=True)
    best = [record["top_logprobs"][0] for record in answer.logprobs]
    assert [record["token"] for record in answer.logprobs] == [rival["token"] for rival in best]
    assert min(answer.entropy) > 0  # of the distribution at temperature 1


def test_token_texts_join_to_the_response(base, chat) -> None:
    for backend, question in ((base, QUESTION), (chat, "go")):
        for answer in answers(backend, [ask(question, seed=n) for n in range(6)]):
            joined = "".join(record["token"] for record in answer.logprobs)
            assert answer.tokens == len(answer.logprobs) == len(answer.entropy)
            ended = joined.endswith(("<|im_end|>", "<|endoftext|>"))
            assert ended == (answer.finish == "stop")
            for special in (" <|im_end|>", "<|im_end|>", "<|im_start|>", "<|endoftext|>"):
                joined = joined.replace(special, "")
            assert joined == answer.text


def test_a_response_ends_by_itself_at_its_limit_or_at_a_stop_text(base) -> None:
    long = Decoding(max_tokens=200, temperature=0.0, top_logprobs=1)
    (whole,) = answers(base, [ask(decoding=long)])
    assert whole.finish == "stop" and whole.text.startswith("<think> ") and whole.tokens < 200
    assert whole.logprobs[-1]["token"] == " <|im_end|>"
    short = Decoding(max_tokens=5, temperature=0.0)
    (cut,) = answers(base, [ask(decoding=short)])
    assert cut.finish == "length" and cut.tokens == 5 and cut.logprobs is None
    assert whole.text.startswith(cut.text)
    stopped = Decoding(max_tokens=200, temperature=0.0, stop=("</think>", "no such text"))
    (thought, other) = answers(
        base, [ask(decoding=stopped), ask("numbers 2 7 target 14", decoding=stopped)]
    )
    assert thought.finish == "stop" and thought.text == whole.text.split("</think>")[0]
    assert thought.tokens == len(whole.text.split("</think>")[0].split()) + 1
    assert "</think>" not in other.text and other.finish == "stop"


def test_what_fails_fails_alone_and_so_does_what_diverged(base, chat, chat_folder) -> None:
    good, endless, thin = ask(seed=1), ask("numbers 3 8 " * 400), ask_cards()
    thin.messages[1]["content"][0]["image"] = picture(Problem((3, 8), 24), 0).resize((6000, 10))
    first, second, third = answers(base, [endless, thin, good])
    assert isinstance(first, Failure) and "context holds 1024" in first.reason
    assert isinstance(second, Failure) and "aspect ratio" in second.reason
    assert third.tokens == 40
    (blind,) = answers(chat, [ask_cards()])
    assert isinstance(blind, Failure) and "reads no pictures" in blind.reason
    backend = LocalBackend(chat_folder, device="cpu")
    backend.model.lm_head.weight.data.fill_(torch.nan)
    (answer,) = answers(backend, [ask("go")])
    assert isinstance(answer, Failure) and "not finite" in answer.reason


def test_a_batch_that_is_too_large_is_halved(base, monkeypatch) -> None:
    requests = [ask(seed=n) for n in range(5)]
    expected = [answer.text for answer in answers(base, requests)]
    whole = base._batch
    sizes = []

    def small(prompts):
        sizes.append(len(prompts))
        if len(prompts) > 2 or 4 in [prompt.request.seed for prompt in prompts]:
            raise torch.OutOfMemoryError("CUDA out of memory")
        if len(sizes) > 20:
            raise RuntimeError("shapes do not fit")
        return whole(prompts)

    monkeypatch.setattr(base, "_batch", small)
    got = answers(base, requests)
    assert [answer.text for answer in got[:4]] == expected[:4]
    assert isinstance(got[4], Failure) and "out of memory" in got[4].reason
    assert sizes[0] == 5 and max(sizes[1:]) <= 3
    sizes += [0] * 20
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        answers(base, requests[:1])


def test_identity_names_the_weights_and_not_the_batch(chat_folder, chat, base) -> None:
    identity = chat.identity()
    assert identity == LocalBackend(chat_folder, batch=2, device="cpu").identity()
    assert identity["weights"] != base.identity()["weights"]
    assert identity | {"kind": "transformers", "dtype": "float32", "device": "cpu"} == identity


def test_what_can_not_be_asked_is_said_at_once(chat_folder, tmp_path) -> None:
    with pytest.raises(UserError, match="device 'abacus'"):
        LocalBackend(BASE_MODEL, device="abacus")
    with pytest.raises(UserError, match="no such model folder"):
        LocalBackend(tmp_path / "nowhere")
    mute = tmp_path / "mute"
    model, processor = load_policy(BASE_MODEL)
    model.save_pretrained(mute)
    processor.tokenizer.chat_template = processor.chat_template = None
    processor.save_pretrained(mute)
    with pytest.raises(UserError, match="no chat template"):
        LocalBackend(mute, device="cpu")


def test_the_weights_of_a_folder_are_all_files_that_decide_wherever_it_lies(tmp_path, monkeypatch):
    folder = tmp_path / "model"
    folder.mkdir()
    with pytest.raises(UserError, match=r"no config\.json"):
        weights_of(str(folder))
    seen = set()
    for name in ("config.json", "model.safetensors", "chat_template.jinja", "merges.txt"):
        (folder / name).write_bytes(b"{}")
        seen.add(weights_of(str(folder)))
    (folder / "model.safetensors").write_bytes(b"trained on")
    seen.add(last := weights_of(str(folder)))
    assert len(seen) == 5 and {*map(len, seen)} == {64}
    (folder / "optimizer.pt").write_bytes(b"moments")  # decides nothing
    assert weights_of(str(folder.rename(tmp_path / "elsewhere"))) == last
    monkeypatch.chdir(tmp_path)
    assert local_folder("data/base") == paths.BASE_MODEL
    assert local_folder("owner/name") is None
    for name in ("/nowhere/model", "./model", "results/laptop/model"):  # not asked of the hub
        with pytest.raises(UserError, match="no such model folder"):
            weights_of(name)


def test_on_the_hub_it_is_the_commit_and_a_name_that_it_does_not_know_is_refused(
    monkeypatch, tmp_path
):
    def download(repo, file, revision):
        if (repo, file, revision) != ("owner/name", "config.json", "v1"):
            raise LocalEntryNotFoundError("Cannot find the requested files\nin the disk cache")
        return str(tmp_path / "models--owner--name" / "snapshots" / "c0ffee" / "config.json")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    assert weights_of("owner/name", "v1") == "c0ffee"
    with pytest.raises(UserError, match=r"'owner/nme'.*not found on the hub or in its cache"):
        weights_of("owner/nme")
