"""From the messages of a request to the tensors that a model reads, one request at a time.

One at a time, so that a question the processor refuses fails alone, and its length is known before
it shares a batch with others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jinja2 import TemplateError
from torch import Tensor

from ares.backends.base import Failure, Request
from ares.backends.messages import digest, pictures
from ares.errors import UserError
from ares.model.processor import placed, reads_pictures, tokenizer_of
from ares.seeds import row_seed

#: What rendering can raise: a template is a program that comes with the model. transformers renders
#: it in a sandbox, so it reaches nothing but the messages.
TEMPLATE_ERRORS = (
    TemplateError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError,
    ValueError,
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Prompt:
    """A request as the model reads it: tensors of a batch of one, `length` tokens long."""

    request: Request
    tensors: Mapping[str, Tensor]
    length: int
    seed: int

    @property
    def kind(self) -> Any:
        """Prompts of one kind may share a batch: same decoding, tensors that can be joined."""
        shapes = {
            name: tensor.shape[1:]
            for name, tensor in self.tensors.items()
            if not self.per_token(name)
        }
        return self.request.decoding, frozenset(shapes.items())

    def per_token(self, name: str) -> bool:
        """Whether a tensor has one entry per token; others belong to pictures."""
        return tuple(self.tensors[name].shape) == (1, self.length)


class Encoder:
    """The processor of a model, or the tokenizer of one that reads no pictures.

    Raises:
        UserError: it has no chat template.
    """

    def __init__(self, name: str, processor: Any, context: int) -> None:
        self.name, self.processor, self.context = name, processor, context
        self.reads_pictures = reads_pictures(processor)
        self.tokenizer = tokenizer_of(processor)
        if not (processor.chat_template or self.tokenizer.chat_template):
            raise UserError(
                f"{name}: has no chat template, so it can't be asked; give a chat model, or add "
                "chat_template.jinja to the folder"
            )

    def prompt(self, request: Request) -> Prompt | Failure:
        """The prompt of a request, or why it can't be asked."""
        shown, limit = pictures(request.messages), request.decoding.max_tokens
        if shown and not self.reads_pictures:
            return Failure(f"{self.name} reads no pictures, and the question has some", 0)
        try:
            text = self.processor.apply_chat_template(
                placed(request.messages, self.reads_pictures),
                tokenize=False,
                add_generation_prompt=True,
            )
        except TEMPLATE_ERRORS as error:  # an order of roles, or a template that is broken
            return _refusal(error)
        try:
            # The template writes the special tokens that a prompt starts with.
            given = {"text": [text], "add_special_tokens": False, "return_tensors": "pt"}
            tensors = dict(self.processor(**given, **({"images": shown} if shown else {})))
        except ValueError as error:  # an aspect ratio
            return _refusal(error)
        length = tensors["input_ids"].shape[1]
        if length + limit > self.context:
            return Failure(
                f"the prompt takes {length} tokens, the response up to {limit}, the model's "
                f"context holds {self.context}: lower max_tokens or the size of pictures",
                0,
            )
        seed = row_seed(request.seed, text, *map(digest, shown))
        return Prompt(request, tensors, length, seed)


def _refusal(error: Exception) -> Failure:
    told = " ".join(str(error).split())[:300]
    return Failure(f"the model's processor refuses the question: {told}", 0)


def collate(prompts: Sequence[Prompt], pad: int) -> dict[str, Tensor]:
    """One batch, padded on the left."""
    width = max(prompt.length for prompt in prompts)
    batch = {}
    for name in prompts[0].tensors:
        rows = [prompt.tensors[name] for prompt in prompts]
        if prompts[0].per_token(name):
            value = pad if name == "input_ids" else 0
            rows = [
                torch.nn.functional.pad(row, (width - row.shape[1], 0), value=value) for row in rows
            ]
        batch[name] = torch.cat(rows)
    return batch
