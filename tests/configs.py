"""Settings with other values, for tests."""

from __future__ import annotations

from typing import Any, TypeVar

from ares.settings import Settings, checked

Model = TypeVar("Model", bound=Settings)


def changed(settings: Model, changes: dict[str, Any]) -> Model:
    """Settings as if their file gave other values, such as {"aepo.steps": 4}."""
    plain = settings.model_dump(mode="json", exclude_unset=True)
    return checked(type(settings), with_changes(plain, changes), "changed")


def with_changes(plain: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """The same dictionary, with changes like {"aepo.steps": 4} made in it."""
    for place, value in changes.items():
        *parents, key = place.split(".")
        part = plain
        for parent in parents:
            part = part.setdefault(parent, {})
        part[key] = value
    return plain
