"""Settings with other values, for tests."""

import copy
from typing import Any, TypeVar

from ares.settings import Settings, checked

Model = TypeVar("Model", bound=Settings)

#: A scale of the small world with nothing but what a scale has to say, and everything small.
TINY: dict[str, Any] = {
    "scale": "tiny",
    "problems": {"per_level": 1},
    "rollouts": {"batch_prompts": 2, "shards": 1},
    "causal": {"rollouts": 1, "alternatives": 2, "continuations": 2, "shards": 1},
    "cold_start": {
        "per_level": 2,
        "max_new_tokens": 20,
        "size": 4,
        "sft": {"batch": 4, "lr": 3e-4},
    },
    "aepo": {
        "steps": 1,
        "prompts": 2,
        "lr": 3e-4,
        "max_new_tokens": 20,
        "validation": {"per_level": 1, "every": 1},
        "arms": {"grpo": {"seeds": [1]}},
    },
    "evaluation": {"per_level": 1, "samples": 1, "max_new_tokens": 20},
}


def changed(settings: Model, changes: dict[str, Any]) -> Model:
    """Settings as if their file gave other values, such as {"aepo.steps": 4}."""
    plain = settings.model_dump(mode="json", exclude_unset=True)
    return checked(type(settings), with_changes(plain, changes), "changed")


def with_changes(plain: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A copy of a dictionary, with changes like {"aepo.steps": 4} made in it."""
    plain = copy.deepcopy(plain)
    for place, value in changes.items():
        *parents, key = place.split(".")
        part = plain
        for parent in parents:
            part = part.setdefault(parent, {})
        part[key] = value
    return plain
