"""The vLLM backend's own part, with a made-up vLLM; the real one has `make test-vllm`."""

import sys
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace

import pytest
from PIL import Image

import ares.backends.vllm as adapter
from ares.backends.base import Decoding, Failure, Request, Response
from ares.backends.messages import with_pictures_as
from ares.backends.vllm import VllmBackend, _as_pil, sampling, to_outcome
from ares.errors import UserError


@dataclass
class Logprob:
    logprob: float
    decoded_token: str
    rank: int = 1


def output(request_id: str = "0", finish: str = "stop", logprobs: list | None = None):
    """A finished request as vLLM gives it: two tokens, " 5" and the end token."""
    completion = SimpleNamespace(
        text=" 5", token_ids=[4, 9], finish_reason=finish, stop_reason=None, logprobs=logprobs
    )
    return SimpleNamespace(
        request_id=request_id, finished=True, prompt_token_ids=[1, 2, 3], outputs=[completion]
    )


class ClientError(Exception):
    pass


@dataclass
class MadeUpEngine:
    """Ends the last request first, one at a step; unfinished outputs come along."""

    running: list[str] = field(default_factory=list)
    aborted: list[str] = field(default_factory=list)
    most: int = 0

    def step(self):
        self.most = max(self.most, len(self.running))
        unfinished = [SimpleNamespace(request_id=it, finished=False) for it in self.running[:-1]]
        return [*unfinished, output(self.running.pop())]

    def abort_request(self, ids: list[str]) -> None:
        self.aborted += ids


class MadeUpLLM:
    made: list

    def __init__(self, **options) -> None:
        if options["model"].endswith("broken"):
            raise RuntimeError("Engine core\ninitialization failed")
        self.options, self.chats, self.params = options, [], []
        self.llm_engine = MadeUpEngine()
        self.made.append(self)

    def enqueue_chat(self, messages, sampling_params, use_tqdm):
        (chat,) = messages
        if chat[-1]["content"] == "too long":
            raise ClientError("the prompt has\ntoo many tokens")
        name = str(len(self.chats))
        self.chats.append(chat)
        self.params.append(sampling_params)
        self.llm_engine.running.append(name)
        return [f"{name}-a1b2c3d4"]


@pytest.fixture
def made_up(monkeypatch):
    """A module `vllm`; the list of the engines that were made with it."""
    MadeUpLLM.made = []
    vllm, exceptions = ModuleType("vllm"), ModuleType("vllm.exceptions")
    vllm.LLM, vllm.SamplingParams = MadeUpLLM, dict
    exceptions.VLLMClientError = ClientError
    monkeypatch.setitem(sys.modules, "vllm", vllm)
    monkeypatch.setitem(sys.modules, "vllm.exceptions", exceptions)
    monkeypatch.setattr(adapter, "packages_distributions", lambda: {"vllm": ["vllm-of-tests"]})
    monkeypatch.setattr(adapter, "version", lambda name: {"vllm-of-tests": "0.30.2+cpu"}[name])
    for name in ("VLLM_NO_USAGE_STATS", "VLLM_LOGGING_LEVEL"):
        monkeypatch.setenv(name, "1")  # so that it is as before afterwards
        monkeypatch.delenv(name)
    return MadeUpLLM.made


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    return folder


def request(name: str, text: str = "2 + 3 = ?", seed: int = 0) -> Request:
    return Request(name, [{"role": "user", "content": text}], Decoding(max_tokens=8), seed)


def test_a_response_with_its_records():
    # The drawn token " 5" is not among the two most probable: vLLM puts it first, then the others.
    first = {4: Logprob(-3.0, " 5", rank=7), 7: Logprob(-0.1, " 6"), 8: Logprob(-2.5, " 7", 2)}
    second = {9: Logprob(-0.5, "<|im_end|>"), 7: Logprob(float("-inf"), " 6", 2)}
    response = to_outcome(output(logprobs=[first, second]))
    five, six, seven = (
        {"token": f" {n}", "logprob": p} for n, p in ((5, -3.0), (6, -0.1), (7, -2.5))
    )
    end = {"token": "<|im_end|>", "logprob": -0.5}
    assert response.logprobs == [
        {**five, "top_logprobs": [six, seven, five]},
        {**end, "top_logprobs": [end, {"token": " 6", "logprob": -9999.0}]},
    ]
    assert to_outcome(output(finish="length")) == Response(
        text=" 5", finish="length", prompt_tokens=3, tokens=2, token_ids=[4, 9]
    )
    assert to_outcome(output(finish="abort")) == Failure("the engine ended it: abort", 1)


def test_all_that_decides_is_said():
    given = {"max_tokens": 9, "temperature": 0.5, "top_p": 0.9, "top_k": 40}
    decoding = Decoding(**given, top_logprobs=20, stop=("a", "b"))
    more = {"stop": ["a", "b"], "seed": 3, "logprobs": 20, "flat_logprobs": True}
    assert sampling(decoding, seed=3) == {**given, **more}
    plain = sampling(Decoding(max_tokens=9), seed=0)
    assert (plain["temperature"], plain["top_p"], plain["top_k"]) == (1.0, 1.0, 0)
    assert plain["stop"] is None and plain["logprobs"] is None


@pytest.mark.parametrize(("alpha", "expected"), [(255, (1, 2, 3)), (0, (255, 255, 255))])
def test_a_picture_is_given_in_rgb_on_white(alpha, expected):
    picture = {"type": "image", "image": Image.new("RGBA", (2, 1), (1, 2, 3, alpha))}
    text = {"type": "text", "text": "what is this?"}
    (user,) = with_pictures_as([{"role": "user", "content": [picture, text]}], _as_pil)
    shown, words = user["content"]
    assert shown.keys() == {"type", "image_pil"} and shown["type"] == "image_pil"
    assert (shown["image_pil"].mode, shown["image_pil"].getpixel((1, 0))) == ("RGB", expected)
    assert words == text


def test_answers_all_and_keeps_only_so_many_in_the_engine(made_up, folder):
    backend = VllmBackend(str(folder), parallel=3)
    assert made_up == []  # not loaded before it is asked
    asked = [request(f"q{number}", f"{number} + 1", seed=number) for number in range(8)]
    answers = list(backend.generate(iter(asked)))
    assert all(isinstance(outcome, Response) for _, outcome in answers)
    # The made-up engine ends the last first: the engine's number n stands for the n-th request.
    assert [done.id for done, _ in answers] == [f"q{n}" for n in (2, 3, 4, 5, 6, 7, 1, 0)]
    (llm,) = made_up
    assert llm.llm_engine.most == 3
    assert [chat[0]["content"] for chat in llm.chats] == [f"{number} + 1" for number in range(8)]
    assert [params["seed"] for params in llm.params] == list(range(8))


def test_a_refused_prompt_fails_alone(made_up, folder):
    asked = [request("a"), request("b", "too long"), request("c")]
    answers = {done.id: outcome for done, outcome in VllmBackend(str(folder)).generate(asked)}
    assert answers["b"] == Failure("the prompt has too many tokens", 1)
    assert sum(isinstance(outcome, Response) for outcome in answers.values()) == 2


def test_takes_only_what_it_is_about_to_ask_and_stops_when_nobody_reads(made_up, folder):
    taken = []

    def endless():
        while True:
            taken.append(request(str(len(taken))))
            yield taken[-1]

    answers = VllmBackend(str(folder), parallel=3).generate(endless())
    next(answers)
    assert len(taken) == 3
    answers.close()
    assert made_up[0].llm_engine.aborted == ["0", "1"]


def test_options_of_the_engine_and_what_tells_weights_apart(made_up, folder):
    def opened() -> VllmBackend:
        return VllmBackend(
            str(folder), tensor_parallel=2, max_model_len=64, dtype="bfloat16", gpu_memory=0.5
        )

    first = opened().identity()
    list(opened().generate([request("a")]))
    assert made_up[0].options == {
        "model": str(folder),
        "revision": None,
        "tokenizer_revision": None,
        "tensor_parallel_size": 2,
        "max_model_len": 64,
        "dtype": "bfloat16",
        "gpu_memory_utilization": 0.5,
        "logprobs_mode": "raw_logprobs",
        "max_logprobs": -1,
    }
    asked = {"model": str(folder), "dtype": "bfloat16", "max_model_len": 64, "vllm": "0.30"}
    assert {**first, "kind": "vllm", **asked} == first == opened().identity()
    (folder / "model.safetensors").write_bytes(b"trained on")
    assert opened().identity() != first


def test_a_model_of_the_hub_is_loaded_at_the_commit_of_its_identity(made_up, tmp_path, monkeypatch):
    import huggingface_hub

    def download(repo, file, revision):
        assert (repo, file, revision) == ("owner/name", "config.json", "main")
        return str(tmp_path / "snapshots" / "c0ffee" / file)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    backend = VllmBackend("owner/name", revision="main")
    assert backend.identity()["weights"] == "c0ffee"
    list(backend.generate([request("a")]))
    assert made_up[0].options["model"] == "owner/name"
    assert made_up[0].options["revision"] == "c0ffee"


def test_a_model_that_cant_be_loaded_or_is_not_there_and_no_vllm(made_up, folder, monkeypatch):
    folder = folder.rename(folder.with_name("broken"))
    with pytest.raises(UserError, match=r"can't load '.*broken': Engine core initialization"):
        list(VllmBackend(str(folder)).generate([request("a")]))
    with pytest.raises(UserError, match="no such model folder"):
        VllmBackend("/nowhere/model").identity()
    monkeypatch.setattr(adapter, "packages_distributions", lambda: {"torch": ["torch"]})
    with pytest.raises(UserError, match=r"pip install -e '\.\[gpu\]'.*--backend server"):
        VllmBackend("owner/name")
