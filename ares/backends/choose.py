"""From the words of a command line or a config to a backend."""

from __future__ import annotations

from typing import Any

from ares.backends.base import Backend
from ares.errors import UserError

KINDS = ("server", "vllm", "transformers")


def open_backend(
    kind: str,
    model: str,
    *,
    url: str | None = None,
    parallel: int | None = None,
    revision: str | None = None,
    dtype: str | None = None,
    tensor_parallel: int = 1,
    max_model_len: int | None = None,
    **of_server: Any,
) -> Backend:
    """A backend; what it needs is imported here, and nothing else.

    Args:
        kind: one of `KINDS`.
        model: a folder, a name on the hub, or what a server calls it.
        url: of a server, ends in /v1.
        parallel: requests at a time, or prompts per batch where the model runs in this process.
        revision: of a model on the hub; for a server only a name that tells weights apart.
        dtype: of the weights, where the model runs in this process; None: its own.
        tensor_parallel, max_model_len: see `ares.backends.vllm.VllmBackend`.
        of_server: see `ares.backends.server.ServerBackend`.

    Raises:
        UserError: an unknown kind, options that do not belong together, a model that can't be
            loaded.
    """
    if kind not in KINDS:
        raise UserError(f"unknown backend '{kind}'; known: {', '.join(KINDS)}")
    if (kind == "server") != (url is not None):
        raise UserError("--url and --backend server belong together: give both or neither")
    if url is not None:
        from ares.backends.server import ServerBackend

        return ServerBackend(
            url, model, parallel=parallel or 64, revision=revision or "", **of_server
        )
    if kind == "vllm":
        from ares.backends.vllm import VllmBackend

        return VllmBackend(
            model,
            revision,
            tensor_parallel,
            max_model_len,
            dtype or "auto",
            parallel=parallel or 512,
        )
    from ares.backends.local import LocalBackend

    return LocalBackend(model, batch=parallel or 16, dtype=dtype, revision=revision)
