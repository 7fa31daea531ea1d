"""A model in this process: transformers' `generate`, for any chat model that it can load.

Slower than a server that batches continuously, but it needs nothing else, and it sees the whole
distribution: entropies here are exact, where a server's top log-probabilities give an estimate.

1. A response depends on the question and on its seed and, apart from rounding, not on the batch
   (`ares.backends.drawing`). Two prompts asked with the same seed draw different numbers.
2. Penalties and temperatures of the model's own generation config do not apply; only what ends a
   response is read from there. What the request says is what is done.
3. Pictures go through the processor at their size, within the limits that the model sets itself.
4. A small model on a CPU keeps to one thread: more cost it more than they bring, and sums then come
   out the same on every machine.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteriaList

from ares.backends.base import Failure, Request, Response
from ares.backends.drawing import Draw, Record, StopTexts
from ares.backends.encoding import EncodedRequest, collate, decode, encode, text_after, token_texts
from ares.backends.weights import weights_of
from ares.errors import UserError, is_memory
from ares.model.load import load_policy
from ares.model.processor import tokenizer_of

#: Parameters up to which a model is small.
_SMALL = 100_000_000
#: Batches' worth of prompts among which those of similar length are put together.
_AHEAD = 2
_PICTURES = ("image_token_id", "image_token_index", "video_token_id", "video_token_index")


class LocalBackend:
    """Answers with a model folder, or a model of the hub.

    Args:
        model: folder (relative to the repository or absolute) or name on the hub.
        batch: prompts at a time.
        device: "cuda", "cuda:1", "cpu"; None is a GPU where there is one.
        dtype: of the weights in memory, "float32", "bfloat16" or "float16"; None is float32 on a
            CPU and bfloat16 elsewhere.
        revision: of a model on the hub.

    Raises:
        UserError: the model can't be loaded or has no chat template, or there is no such device.
    """

    def __init__(
        self,
        model: str | Path,
        batch: int = 16,
        device: str | None = None,
        dtype: str | None = None,
        revision: str | None = None,
    ) -> None:
        self.name, self.batch, self.revision = str(model), batch, revision
        self.device = _device(device)
        default = "float32" if self.device.type == "cpu" else "bfloat16"
        self.dtype = getattr(torch, dtype or default)
        self.model, self.processor = load_policy(
            model, dtype=self.dtype, device=str(self.device), revision=revision
        )
        if self.device.type == "cpu" and self.model.num_parameters() <= _SMALL:
            torch.set_num_threads(1)
        #: Tokens of prompt and response that the model can hold.
        self.context = int(self.model.config.get_text_config().max_position_embeddings)
        self.tokenizer = tokenizer_of(self.processor)
        if not (self.processor.chat_template or self.tokenizer.chat_template):
            raise UserError(
                f"{model}: has no chat template, so it can't be asked; give a chat model, or add "
                "chat_template.jinja to the folder"
            )
        self.ends = _ends(self.model, self.tokenizer)
        self.pad = self.tokenizer.pad_token_id
        if self.pad is None:
            self.pad = self.ends[0]
        settings = self.model.config.to_dict()
        self.barred = [settings[name] for name in _PICTURES if settings.get(name) is not None]
        # Whatever is left unset in a call would come from the config that the model ships with.
        self.model.generation_config = GenerationConfig(
            eos_token_id=self.ends, pad_token_id=self.pad, do_sample=False
        )

    def identity(self) -> dict[str, Any]:
        """What decides about a response: the files of the model above all, which are read."""
        return {
            "kind": "transformers",
            "model": self.name,
            "weights": weights_of(self.name, self.revision),
            "dtype": str(self.dtype).removeprefix("torch."),
            "device": self.device.type,
            "attention": self.model.config._attn_implementation,
            "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        }

    def prompt(self, request: Request) -> EncodedRequest | Failure:
        """A request as the model reads it, or why it can't be asked."""
        return encode(request, self.processor, self.context)

    def generate(self, requests: Iterable[Request]) -> Iterator[tuple[Request, Response | Failure]]:
        """Answer requests a batch at a time; see `ares.backends.base.Backend`."""
        waiting = iter(requests)
        while chunk := list(islice(waiting, _AHEAD * self.batch)):
            groups: dict[Any, list[EncodedRequest]] = defaultdict(list)
            for request in chunk:
                encoded = self.prompt(request)
                if isinstance(encoded, Failure):
                    yield request, encoded
                else:
                    groups[encoded.kind].append(encoded)
            for prompts in groups.values():
                prompts.sort(key=lambda prompt: prompt.length)
                for start in range(0, len(prompts), self.batch):
                    yield from self._answers(prompts[start : start + self.batch])

    def _answers(
        self, prompts: list[EncodedRequest]
    ) -> Iterator[tuple[Request, Response | Failure]]:
        """Answer a batch; where memory is short, in halves."""
        try:
            answers = self._batch(prompts)
        except RuntimeError as error:
            if not is_memory(error):
                raise
            answers = []
        if not answers:
            torch.cuda.empty_cache()  # does nothing without a GPU
            if half := len(prompts) // 2:
                yield from self._answers(prompts[:half])
                yield from self._answers(prompts[half:])
                return
            reason = (
                f"out of memory with a prompt of {prompts[0].length} tokens alone: lower "
                "max_tokens or the size of pictures, or take a larger device"
            )
            answers = [Failure(reason, 1)]
        yield from zip([prompt.request for prompt in prompts], answers, strict=True)

    @torch.inference_mode()
    def _batch(self, prompts: list[EncodedRequest]) -> list[Response | Failure]:
        decoding = prompts[0].request.decoding
        batch = {name: t.to(self.device) for name, t in collate(prompts, self.pad).items()}
        width = batch["input_ids"].shape[1]
        draws = Draw(decoding, [prompt.seed for prompt in prompts], self.barred, self.device)
        stop = StopTexts(decoding.stop, self.tokenizer, width) if decoding.stop else None
        self.model.generate(
            **batch,
            max_new_tokens=decoding.max_tokens,
            logits_processor=LogitsProcessorList([draws]),
            stopping_criteria=StoppingCriteriaList([stop] if stop else []),
        )
        record = draws.record()
        ended = stop.ended if stop else {}
        rows = enumerate(prompts)
        return [self._response(record, row, prompt, ended.get(row)) for row, prompt in rows]

    def _response(
        self, record: Record, row: int, prompt: EncodedRequest, stopped: int | None
    ) -> Response | Failure:
        """Take one row's tokens up to its end; `stopped`: tokens at which a stop text ended it."""
        drawn = record.token_BT[row].tolist()
        end = next((at + 1 for at, token in enumerate(drawn) if token in self.ends), None)
        length = min(end or len(drawn), stopped or len(drawn))
        ids, entropy = drawn[:length], record.entropy_BT[row, :length]
        if not torch.isfinite(entropy).all():
            return Failure(
                "the model's logits are not finite: its weights have diverged or the number type "
                "overflows; use another checkpoint, float32 or bfloat16",
                1,
            )
        decoding = prompt.request.decoding
        text = decode(self.tokenizer, ids, skip_special_tokens=True)
        cuts = [text.find(stop) for stop in decoding.stop if stop in text]
        return Response(
            text=text[: min(cuts)] if cuts else text,
            finish="stop" if end == length or stopped == length else "length",
            prompt_tokens=prompt.length,
            tokens=length,
            logprobs=self._records(record, row, ids) if decoding.top_logprobs else None,
            entropy=entropy.tolist(),
            token_ids=ids,
        )

    def _records(self, record: Record, row: int, ids: Sequence[int]) -> list[dict[str, Any]]:
        """Token records in the OpenAI format; the end token has one as well, as servers do it."""
        texts = token_texts(self.tokenizer, ids)
        columns = (record.logprob_BT, record.top_id_BTK, record.top_logprob_BTK)
        logprob_T, top_id_TK, top_logprob_TK = (c[row, : len(ids)].tolist() for c in columns)
        records = []
        for at, (token, rivals) in enumerate(zip(ids, top_id_TK, strict=True)):
            # A rival reads as it would after any text: an end token stands for that.
            before = self.ends[0] if at else None
            top = [
                {
                    "token": texts[at] if i == token else text_after(self.tokenizer, before, i),
                    "logprob": logprob,
                }
                for i, logprob in zip(rivals, top_logprob_TK[at], strict=True)
            ]
            records.append({"token": texts[at], "logprob": logprob_T[at], "top_logprobs": top})
        return records


def _device(name: str | None) -> torch.device:
    try:
        device = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(
            f"device '{name}': {str(error).splitlines()[0]}; give cpu, cuda or cuda:1"
        ) from None
    return device


def _ends(model: Any, tokenizer: Any) -> list[int]:
    """Ids that end a response, from the generation config or else the tokenizer."""
    ends = model.generation_config.eos_token_id
    if ends is None:
        ends = tokenizer.eos_token_id
    if ends is None:
        raise UserError(
            "neither generation_config.json nor the tokenizer names an end token: a response would "
            "never end"
        )
    return list(ends) if isinstance(ends, list) else [ends]
