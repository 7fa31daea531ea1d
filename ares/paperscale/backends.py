"""From a paper scale's config to the backends that answer."""

from __future__ import annotations

from typing import Any

from ares.backends.choose import Choice
from ares.errors import UserError


def sampling_choice(config: dict[str, Any]) -> Choice:
    """The base model, as `backend` of the config says."""
    backend, part = config["backend"], config["cold_start"]
    return Choice(
        kind=backend["kind"],
        model=config["model"],
        url=backend["url"] or None,
        parallel=backend["parallel"] or None,
        key_variable=backend["key_variable"],
        tensor_parallel=backend["tensor_parallel"],
        max_model_len=part["max_prompt_tokens"] + part["max_new_tokens"],
    )


def teacher_choice(config: dict[str, Any], kind: str) -> Choice | None:
    """The teacher of a kind of problems, text or pictures; None where the config names none.

    Raises:
        UserError: it has a url and no model.
    """
    teachers = config["cold_start"]["teachers"]
    teacher = teachers[kind]
    if not teacher["url"]:
        return None
    if not teacher["model"]:
        raise UserError(
            f"cold_start.teachers.{kind}: has a url and no model: name the one that is served there"
        )
    return Choice(
        kind="server",
        model=teacher["model"],
        url=teacher["url"],
        parallel=teachers["parallel"],
        key_variable=teacher["key_variable"],
    )
