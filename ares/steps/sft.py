"""Fine-tune the base model on one curation; run again, it goes on where it was."""

from __future__ import annotations

from ares.coldstart.curate import selected
from ares.config import load_config
from ares.errors import one_line
from ares.paths import resolve
from ares.steps import options
from ares.tables import read_form


def main() -> None:
    """Write the model and the losses of its training; the first process writes."""
    given = options(__doc__, "config", "selection", "curation", "state", "model-out", "losses-out")
    scale = load_config(given.config)
    selection = read_form(given.selection, "selection", data=scale.of_data_sets)
    chosen = selected(selection, given.curation)

    from ares.training.sft import fine_tune

    fine_tune(scale, chosen, resolve(given.state), given.model_out, given.losses_out)


if __name__ == "__main__":
    with one_line():
        main()
