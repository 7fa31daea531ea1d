"""Problems of a paper scale: rows of a table that stand for items of data sets.

A table holds names and sizes, no questions and no pictures: those are read from the data set when
they are needed, so a table of a million problems is small and no picture is stored twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from ares.benchmarks.load import items
from ares.benchmarks.registry import Benchmark, load_registry
from ares.benchmarks.sources import ItemError
from ares.errors import UserError
from ares.items import Item, Lazy
from ares.paperscale.chat import prompt_tokens
from ares.paperscale.processor import load_processor
from ares.paths import resolve
from ares.seeds import row_seed
from ares.settings import suggestion
from ares.tables import check_shard

COLUMNS = ["source", "row", "problem_id", "prompt_tokens", "pictures"]

#: Which problems are kept by their number of pictures.
PICTURES = {"only": lambda n: n > 0, "none": lambda n: n == 0, "both": lambda n: True}


def data_sets(config: dict[str, Any], names: Sequence[str]) -> dict[str, Benchmark]:
    """The registry's entries of some data sets.

    Raises:
        UserError: a registry that can't be read, or a name that no registry has.
    """
    registry = load_registry(*(resolve(file) for file in config["training_data"]))
    for name in names:
        if name not in registry:
            raise UserError(
                f"no data set '{name}'{suggestion(name, registry)} in "
                f"{', '.join(config['training_data'])}; there are {', '.join(registry)}"
            )
    return {name: registry[name] for name in names}


def check_traces(config: dict[str, Any], sources: dict[str, Benchmark]) -> None:
    """Refuse cold-start data that nobody would have traces for, before they cost any time.

    Raises:
        UserError: a data set brings no traces and there is no teacher for its problems.
    """
    part = config["cold_start"]
    teachers = {kind for kind in ("text", "pictures") if part["teachers"][kind]["url"]}
    for name, entry in sources.items():
        kind = "pictures" if entry.columns.images else "text"
        own = bool(entry.columns.trace) and part["traces"] != "teachers"
        if not own and (part["traces"] == "own" or kind not in teachers):
            raise UserError(
                f"cold_start: nobody has traces for data set '{name}' (traces: {part['traces']}, "
                f"{'a' if entry.columns.trace else 'no'} column of its own): give "
                f"cold_start.teachers.{kind} a url, or take it out of cold_start.data"
            )


def chosen_tables(config: dict[str, Any], use: str) -> list[pd.DataFrame]:
    """Problems of every data set that a config names for a use, see `choose`; tells what it leaves.

    Args:
        use: "cold-start" for the problems of the cold start, "aepo" for the prompts of AEPO.

    Raises:
        UserError: a data set that is not registered or can't be read, or none of its problems can
            be used, or nobody has traces for it.
    """
    part = config["cold_start" if use == "cold-start" else "aepo"]
    # The cold start says how many of each, AEPO takes them all.
    wanted = dict(part["data"]) if use == "cold-start" else dict.fromkeys(part["data"])
    sources = data_sets(config, list(wanted))
    if use == "cold-start":
        check_traces(config, sources)
    processor, tables = load_processor(config["model"]), []
    for name, entry in sources.items():
        table, left_out = choose(
            items(entry),
            name,
            wanted[name],
            processor,
            part["max_prompt_tokens"],
            part.get("pictures", "both"),
            config["seed"],
            progress=name,
        )
        told = "; ".join(f"{number} left out: {why}" for why, number in left_out.items())
        print(f"{name}: {len(table)} problems{'; ' + told if told else ''}")
        if table.empty:
            raise UserError(f"data set '{name}': not one problem can be used ({told})")
        tables.append(table)
    return tables


def choose(
    items_of: Sequence[Item],
    source: str,
    number: int | None,
    processor: Any,
    longest: int,
    pictures: str,
    seed: int,
    progress: str = "",
) -> tuple[pd.DataFrame, Counter]:
    """Problems of one data set, drawn at random among those that can be used, in its order.

    Args:
        items_of: the data set.
        number: how many; None or more than there are: all.
        processor: of the model; it says how long a prompt is.
        longest: prompt that is kept, in tokens, pictures included.
        pictures: a key of `PICTURES`.
        seed: of the draw. More problems with the same seed contain the fewer.

    Returns:
        The table (`COLUMNS`), and how many were left out for which reason.
    """
    order = np.random.default_rng(row_seed(seed, source)).permutation(len(items_of)).tolist()
    wanted = len(order) if number is None else min(number, len(order))
    rows: list[tuple] = []
    left_out: Counter = Counter()
    with tqdm(total=wanted, desc=progress, disable=not progress, mininterval=5) as bar:
        for row in order:
            if len(rows) == wanted:
                break
            try:
                item = items_of[row]
            except ItemError:  # in data of hundreds of thousands of rows some are broken
                left_out["row can't be used"] += 1
                continue
            tokens, shown = prompt_tokens(item, processor), len(item.images)
            if not PICTURES[pictures](shown):
                left_out["has a picture" if shown else "has no picture"] += 1
            elif tokens > longest:
                left_out[f"prompt of more than {longest} tokens"] += 1
            else:
                rows.append((source, row, item.id, tokens, shown))
                bar.update()
    return pd.DataFrame(sorted(rows, key=lambda each: each[1]), columns=COLUMNS), left_out


class ChosenItems(Lazy[Item]):
    """The items that the rows of a table stand for; read from their data sets when asked for.

    Args:
        table: columns source, row, problem_id.
        sources: the registry's entries, by name.
    """

    def __init__(self, table: pd.DataFrame, sources: dict[str, Benchmark]) -> None:
        self._named = list(
            zip(table["source"], table["row"].astype(int), table["problem_id"], strict=True)
        )
        self._items = {name: items(sources[name]) for name in dict.fromkeys(table["source"])}

    def __len__(self) -> int:
        return len(self._named)

    def made(self, place: int) -> Item:
        """The item of a row.

        Raises:
            UserError: the data set has changed since the table was made.
        """
        source, row, problem_id = self._named[place]
        rows = self._items[source]
        item = rows[row] if row < len(rows) else None
        if item is None or item.id != problem_id:
            raise UserError(
                f"data set '{source}': row {row} is not problem {problem_id} any more: it has "
                "changed since the problems were chosen; make them again"
            )
        return item


class Selected(Lazy[Item]):
    """Some of the items of a sequence, read from it when asked for."""

    def __init__(self, items_of: Sequence[Item], places: Sequence[int]) -> None:
        self._items, self._places = items_of, places

    def __len__(self) -> int:
        return len(self._places)

    def made(self, place: int) -> Item:
        """One of the chosen items."""
        return self._items[self._places[place]]


def shard_of(table: pd.DataFrame, shard: int, shards: int) -> pd.DataFrame:
    """Every `shards`-th row, from row `shard`: each shard has a share of every data set.

    Raises:
        UserError: there is no such shard.
    """
    check_shard(shard, shards)
    return table.iloc[shard::shards].reset_index(drop=True)
