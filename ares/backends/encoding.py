"""Between messages and tensors: a request as the model reads it, a response's tokens as texts.

One request at a time, so that a question the processor refuses fails alone, and its length is known
before it shares a batch with others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from jinja2 import TemplateError
from torch import Tensor
from torch.nn.functional import pad as pad_tensor

from ares.backends.base import Failure, Request
from ares.backends.messages import digest, pictures
from ares.data.items import row_seed
from ares.model.processor import placed, reads_pictures

#: What rendering can raise: a template is a program that comes with the model. transformers renders
#: it in a sandbox, so it reaches nothing but the messages.
TEMPLATE_ERRORS = (
    TemplateError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError,
    ValueError,
)  # fmt: skip
#: What a decoder writes for bytes that are no character (yet).
REPLACEMENT = "\ufffd"
#: Bytes of the longest character, so tokens after which one is finished or never will be.
LONGEST = 4


@dataclass(frozen=True, eq=False)
class EncodedRequest:
    """A request as the model reads it: tensors of a batch of one, `length` tokens long."""

    request: Request
    tensors: Mapping[str, Tensor]
    length: int
    seed: int

    @property
    def kind(self) -> Any:
        """Prompts of one kind may share a batch: same decoding, tensors that can be joined."""
        of_pictures = [name for name in self.tensors if not self.per_token(name)]
        shapes = frozenset((name, self.tensors[name].shape[1:]) for name in of_pictures)
        return self.request.decoding, shapes

    def per_token(self, name: str) -> bool:
        """Whether a tensor has one entry per token; others belong to pictures."""
        return tuple(self.tensors[name].shape) == (1, self.length)


def encode(request: Request, processor: Any, context: int) -> EncodedRequest | Failure:
    """The prompt of a request, or why it can't be asked.

    Args:
        processor: of the model, or the tokenizer of one that reads no pictures.
        context: tokens of prompt and response that the model can hold.
    """
    shown, limit = pictures(request.messages), request.decoding.max_tokens
    if shown and not reads_pictures(processor):
        return Failure("the model reads no pictures, and the question has some", 0)
    try:
        said = placed(request.messages, reads_pictures(processor))
        text = processor.apply_chat_template(said, tokenize=False, add_generation_prompt=True)
    except TEMPLATE_ERRORS as error:  # an order of roles, or a template that is broken
        return _refusal(error)
    try:
        # The template writes the special tokens that a prompt starts with.
        given = {"text": [text], "add_special_tokens": False, "return_tensors": "pt"}
        tensors = dict(processor(**given, **({"images": shown} if shown else {})))
    except ValueError as error:  # an aspect ratio
        return _refusal(error)
    length = tensors["input_ids"].shape[1]
    if length + limit > context:
        return Failure(
            f"the prompt takes {length} tokens, the response up to {limit}, the model's context "
            f"holds {context}: lower max_tokens or the size of pictures",
            0,
        )
    seed = row_seed(request.seed, text, *map(digest, shown))
    return EncodedRequest(request, tensors, length, seed)


def _refusal(error: Exception) -> Failure:
    reason = " ".join(str(error).split())[:300]
    return Failure(f"the model's processor refuses the question: {reason}", 0)


def collate(prompts: Sequence[EncodedRequest], pad: int) -> dict[str, Tensor]:
    """One batch, padded on the left."""
    width = max(prompt.length for prompt in prompts)
    batch = {}
    for name in prompts[0].tensors:
        rows = [prompt.tensors[name] for prompt in prompts]
        if prompts[0].per_token(name):
            value = pad if name == "input_ids" else 0
            rows = [pad_tensor(row, (width - row.shape[1], 0), value=value) for row in rows]
        batch[name] = torch.cat(rows)
    return batch


def token_texts(tokenizer: Any, ids: Sequence[int]) -> list[str]:
    """The texts of the tokens `ids`, special tokens by their names; joined, they are the response.

    A token by itself has no text: a byte-level token may be half a character, and a word-level one
    does not say whether a space goes before it. Its text is what it adds to the text so far. A
    token that leaves a character unfinished adds nothing, the one that completes it adds all of it;
    bytes that never become a character come out as replacement characters.
    """
    texts: list[str] = []
    start, done = 0, 0  # start .. done: what came before; from done on: not yet a character
    for end in range(1, len(ids) + 1):
        before, now = decode(tokenizer, ids[start:done]), decode(tokenizer, ids[start:end])
        unfinished = now.endswith(REPLACEMENT) and end < len(ids) and end - done < LONGEST
        texts.append("" if unfinished else now[len(before) :])
        if not unfinished:
            start, done = done, end
    return texts


@lru_cache(maxsize=200_000)
def text_after(tokenizer: Any, before: int | None, token: int) -> str:
    """What a token would add to the text after the token `before`; None: at the beginning."""
    ids = [] if before is None else [before]
    return decode(tokenizer, [*ids, token])[len(decode(tokenizer, ids)) :]


def decode(tokenizer: Any, ids: Sequence[int], skip_special_tokens: bool = False) -> str:
    """The text of tokens, as the decoder writes it."""
    options = {"skip_special_tokens": skip_special_tokens, "clean_up_tokenization_spaces": False}
    return tokenizer.decode(list(ids), **options)
