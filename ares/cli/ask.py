"""`ares ask`: put one problem of the small world to a model and read what it answers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument

from ares.cli.options import Config, Samples, option


def ask(
    numbers: Annotated[list[int], Argument(metavar="NUMBER", help="that may be used")],
    target: Annotated[int, option("that is to be reached")],
    config: Config = "laptop",
    image: Annotated[bool, option("show the numbers as drawn cards", name="--image")] = False,
    picture: Annotated[Path | None, option("show this picture of the cards", "FILE")] = None,
    samples: Samples = 4,
) -> None:
    """Put one problem to a model, as text or as a picture."""
    from dataclasses import replace

    import pandas as pd

    from ares.config import load_config
    from ares.data.countdown import Problem, check_problem
    from ares.data.items import Problems
    from ares.data.pictures import read_picture
    from ares.data.world import countdown_item
    from ares.data.world_settings import load_world
    from ares.model.load import load
    from ares.sampling.rollouts import roll_out, sampling_of

    settings = load_config(config, of_data_sets=False)
    problem = Problem(tuple(numbers), target)
    check_problem(problem, load_world(settings.world))
    shown = read_picture(picture) if picture is not None else None
    presentation = "image" if image or shown else "text"
    model, processor, world = load(settings)
    item = countdown_item(problem, presentation, settings.seed, world.values, shown)
    table = pd.DataFrame({"problem_id": [problem.id], "presentation": [presentation]})
    sampling = replace(sampling_of(settings), samples=samples)
    for row in roll_out(model, processor, Problems(table, [item]), sampling).itertuples():
        print(f"[{row.verdict}; {row.n_tokens} tokens, mean entropy {row.entropy.mean():.2f} nats]")
        print(row.text, end="\n\n")
