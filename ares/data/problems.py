"""Problems of a scale, whatever its material: chosen once into a table, read when they are needed.

The small world draws problems by level, presentation and split. Of data sets, rows are chosen at
random among those that a model can read; they stay where they are, and the table names them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from ares.config import Scale
from ares.data.items import Item, Lazy, Problems, row_seed
from ares.data.world import draw_table, world_problems
from ares.data.world_settings import load_world
from ares.errors import UserError
from ares.evaluation.load import items
from ares.evaluation.registry import REGISTRY, Benchmark, load_registry
from ares.evaluation.sources import ItemError
from ares.model.load import load_processor
from ares.model.processor import prompt_tokens, reads_pictures
from ares.paths import resolve
from ares.settings import suggestion
from ares.tables import columns_of, read_form

#: Which problems are kept by their number of pictures.
PICTURES = {"only": lambda n: n > 0, "none": lambda n: n == 0, "both": lambda n: True}


def choose_problems(scale: Scale, use: str) -> pd.DataFrame:
    """The problems of a use, one row each; prints how many there are.

    Args:
        use: "cold-start" (pass rates and traces), "aepo" (prompts) or "rollouts" (the analysis),
            and in the small world "validation" or "evaluation".

    Returns:
        The columns of `draw_table` in the small world, else those of `choose`.

    Raises:
        UserError: a data set that is not registered or can't be read, or none of its problems can
            be used, or nobody has traces for it; the world has too few problems for the analysis.
    """
    if scale.of_data_sets:
        return _of_data_sets(scale, use)
    split, section = {
        "cold-start": ("train", scale.cold_start),
        "aepo": ("train", scale.aepo),
        "validation": ("validation", scale.aepo.validation),
        "evaluation": ("test", scale.evaluation),
        "rollouts": ("test", scale.problems),
    }[use]
    shown, few = (scale.problems.levels, scale.problems.presentations), use != "rollouts"
    table = draw_table(load_world(scale.world), split, *shown, section.per_level, scale.seed, few)
    for level, number in table.groupby("level", sort=False)["problem_id"].nunique().items():
        wanted = section.per_level
        less = f", {wanted} were asked for; taking all" if number < wanted else ""
        print(f"level '{level}': {number} {split} problems{less}")
    return table


def read_problems(scale: Scale, path: str | Path) -> Problems:
    """The problems of a file of `choose_problems`; UserError as `read_form` and `problems_of`."""
    table = read_form(path, "problems", maker=scale.material)
    return problems_of(scale, table, str(path))


def problems_of(scale: Scale, table: pd.DataFrame, where: str = "") -> Problems:
    """The problems that the rows of a table stand for.

    Args:
        table: of `choose_problems`, or one that was made from it row by row.

    Raises:
        UserError: it is of another world, or of data sets that are not registered.
    """
    if not scale.of_data_sets:
        return world_problems(table, load_world(scale.world), scale.seed, where)
    return data_set_problems(table, data_sets(scale, table["source"].unique()))


def data_sets(scale: Scale, names: Iterable[str]) -> dict[str, Benchmark]:
    """The entries of some data sets and benchmarks in the registries of a scale.

    Raises:
        UserError: a registry that can't be read, or a name that no registry has.
    """
    registries = dict.fromkeys((REGISTRY, *scale.benchmarks, *scale.training_data))
    registry = load_registry(*(resolve(file) for file in registries))
    for name in names:
        if name not in registry:
            raise UserError(
                f"no data set '{name}'{suggestion(name, registry)} in "
                f"{', '.join(map(str, registries))}; there are {', '.join(registry)}"
            )
    return {name: registry[name] for name in names}


def data_set_problems(table: pd.DataFrame, sources: dict[str, Benchmark]) -> Problems:
    """Rows (source, row, problem_id) of data sets, by name, as problems."""
    named = list(zip(table["source"], table["row"].astype(int), table["problem_id"], strict=True))
    rows_of = {name: items(sources[name]) for name in dict.fromkeys(table["source"])}

    def item_at(index: int) -> Item:
        source, row, problem_id = named[index]
        rows = rows_of[source]
        item = rows[row] if row < len(rows) else None
        if item is None or item.id != problem_id:
            raise UserError(
                f"data set '{source}': row {row} is not problem {problem_id} any more: it has "
                "changed since the problems were chosen; make them again"
            )
        return item

    return Problems(table.reset_index(drop=True), Lazy(len(named), item_at))


def _of_data_sets(scale: Scale, use: str) -> pd.DataFrame:
    part = {"cold-start": scale.cold_start, "aepo": scale.aepo, "rollouts": scale.problems}[use]
    numbers = part.data if isinstance(part.data, dict) else dict.fromkeys(part.data)  # None: all
    pictures = scale.aepo.pictures if use == "aepo" else "both"
    sources = data_sets(scale, numbers)
    if use == "cold-start":
        check_traces(scale, sources)
    processor, tables = load_processor(scale.model), []
    for name, entry in sources.items():
        wanted = numbers[name], processor, part.max_prompt_tokens, pictures, scale.seed
        table, left_out = choose(items(entry), name, *wanted)
        reasons = "; ".join(f"{count} left out: {why}" for why, count in left_out.items())
        print(f"{name}: {len(table)} problems{'; ' + reasons if reasons else ''}")
        if table.empty:
            raise UserError(f"data set '{name}': not one problem can be used ({reasons})")
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def check_traces(scale: Scale, sources: dict[str, Benchmark]) -> None:
    """Refuse (UserError) a data set that brings no traces and for which there is no teacher."""
    whose, teachers = scale.cold_start.traces, scale.cold_start.teachers
    for name, entry in sources.items():
        kind = "pictures" if entry.columns.images else "text"
        asked = teachers.pictures if entry.columns.images else teachers.text
        own = bool(entry.columns.trace) and whose != "teachers"
        if not own and (whose == "own" or not asked.url):
            raise UserError(
                f"cold_start: nobody has traces for data set '{name}' (traces: {whose}, "
                f"{'a' if entry.columns.trace else 'no'} column of its own): give "
                f"cold_start.teachers.{kind} a url, or take it out of cold_start.data"
            )


def choose(
    items_of: Sequence[Item],
    source: str,
    number: int | None,
    processor: Any,
    longest: int,
    pictures: str,
    seed: int,
) -> tuple[pd.DataFrame, Counter]:
    """Problems of one data set, drawn at random among those that can be used, in its order.

    Args:
        items_of: the data set.
        number: how many; None or more than there are: all.
        processor: of the model; it says how long a prompt is, and whether pictures can be read.
        longest: prompt that is kept, in tokens, pictures included.
        pictures: a key of `PICTURES`.
        seed: of the draw. More problems with the same seed contain the fewer.

    Returns:
        The table (source, row, problem_id, prompt_tokens, pictures), and how many were left out for
        which reason.
    """
    order = np.random.default_rng(row_seed(seed, source)).permutation(len(items_of)).tolist()
    wanted = len(order) if number is None else min(number, len(order))
    rows: list[tuple] = []
    left_out: Counter = Counter()
    with tqdm(total=wanted, desc=source, mininterval=5) as bar:
        for row in order:
            if len(rows) == wanted:
                break
            try:
                item = items_of[row]
            except ItemError:  # in data of hundreds of thousands of rows some are broken
                left_out["row can't be used"] += 1
                continue
            shown = len(item.images)
            if not PICTURES[pictures](shown):
                left_out["has a picture" if shown else "has no picture"] += 1
            elif shown and not reads_pictures(processor):
                left_out["has a picture, which the model can't read"] += 1
            elif (tokens := prompt_tokens(item, processor)) > longest:
                left_out[f"prompt of more than {longest} tokens"] += 1
            else:
                rows.append((source, row, item.id, tokens, shown))
                bar.update()
    columns = columns_of("problems", "data")
    return pd.DataFrame(sorted(rows, key=lambda each: each[1]), columns=columns), left_out
