"""Saving and restoring what goes from step to step."""

from __future__ import annotations

import copy
from dataclasses import asdict, fields
from typing import Any

from ares.errors import UserError


class Stateful:
    """A dataclass that can be checkpointed: its fields, settings included, are its state."""

    def state_dict(self) -> dict[str, Any]:
        """A copy of every field, as plain numbers and lists (JSON can hold it)."""
        return asdict(self)  # type: ignore[call-overload]

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave.

        Raises:
            UserError: the state has other fields, so it was saved by another version or class.
        """
        names = {entry.name for entry in fields(self)}  # type: ignore[arg-type]
        if set(state) != names:
            raise UserError(
                f"saved state of {type(self).__name__} has fields {sorted(state)}, expected "
                f"{sorted(names)}: it is from another version; start a new run"
            )
        vars(self).update(copy.deepcopy(state))
