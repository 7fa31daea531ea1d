"""From the words of a command line or a config to a backend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ares.backends.base import Backend
from ares.backends.budget import Budget
from ares.errors import UserError

KINDS = ("server", "vllm", "transformers")


@dataclass(frozen=True)
class Choice:
    """Which model answers, and how it is reached.

    kind: one of `KINDS`. model: a folder, a name on the hub, or what a server calls it.
    url: of a server, ends in /v1. parallel: requests at a time, or prompts per batch where the
        model runs in this process. key_variable: environment variable that holds the API key.
    revision: of a model on the hub; for a server only a name that tells weights apart.
    tensor_parallel: GPUs that share the model. max_model_len: tokens of prompt and response (both
        vllm). dtype: of the weights, where the model runs in this process; None: its own.
    attempts, wait_s, timeout_s, extra_body, budget: of a server, see
        `ares.backends.server.ServerBackend`.
    """

    kind: str
    model: str
    url: str | None = None
    parallel: int | None = None
    key_variable: str = "OPENAI_API_KEY"
    revision: str | None = None
    tensor_parallel: int = 1
    max_model_len: int | None = None
    dtype: str | None = None
    attempts: int = 6
    wait_s: float = 2.0
    timeout_s: float = 600.0
    extra_body: Mapping[str, Any] = field(default_factory=dict)
    budget: Budget = field(default_factory=Budget, compare=False)


def open_backend(choice: Choice) -> Backend:
    """The backend of a choice; what it needs is imported here, and nothing else.

    Raises:
        UserError: an unknown kind, options that do not belong together, a model that can't be
            loaded.
    """
    if choice.kind not in KINDS:
        raise UserError(f"unknown backend '{choice.kind}'; known: {', '.join(KINDS)}")
    if (choice.kind == "server") != (choice.url is not None):
        raise UserError("--url and --backend server belong together: give both or neither")
    if choice.kind == "server":
        from ares.backends.server import ServerBackend

        return ServerBackend(
            str(choice.url),
            choice.model,
            key_variable=choice.key_variable,
            parallel=choice.parallel or 64,
            attempts=choice.attempts,
            wait_s=choice.wait_s,
            timeout_s=choice.timeout_s,
            extra_body=choice.extra_body,
            revision=choice.revision or "",
            budget=choice.budget,
        )
    if choice.kind == "vllm":
        from ares.backends.vllm import VllmBackend

        return VllmBackend(
            choice.model,
            revision=choice.revision,
            tensor_parallel=choice.tensor_parallel,
            max_model_len=choice.max_model_len,
            dtype=choice.dtype or "auto",
            parallel=choice.parallel or 512,
        )
    from ares.backends.local import LocalBackend

    return LocalBackend(
        choice.model,
        batch=choice.parallel or 16,
        dtype=choice.dtype,
        revision=choice.revision,
    )
