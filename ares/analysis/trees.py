"""Trees of branching rollouts: which one to show, how it is laid out, and what branching does."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from ares.errors import UserError

GROUP = ["arm", "seed", "step", "prompt_index"]
_WHOLE = ["seed", "step", "prompt_index", "rollout", "parent", "branch_at", "n_tokens"]
#: Words written where a branch leaves its parent.
WORDS = 4


def typed(trees: pd.DataFrame) -> pd.DataFrame:
    """The table with whole numbers and truth values, which tables without rows have lost."""
    return trees.astype(dict.fromkeys(_WHOLE, int) | {"correct": bool})


def with_parents(trees: pd.DataFrame) -> pd.DataFrame:
    """The branches, each with what its parent came to: parent_correct, parent_n_tokens,
    parent_text.

    Args:
        trees: from `typed`.
    """
    own = ["rollout", "correct", "n_tokens", "text"]
    parents = trees[[*GROUP, *own]].rename(
        columns={"rollout": "parent"} | {name: f"parent_{name}" for name in own[1:]}
    )
    return trees[trees["parent"] >= 0].merge(parents, on=[*GROUP, "parent"], validate="m:1")


def ranked(trees: pd.DataFrame) -> pd.DataFrame:
    """The groups that branch: those with the most branches ending otherwise than their parent
    first, then those with the most branches, then in the order of `GROUP`.

    Args:
        trees: from `typed`.

    Returns:
        arm, seed, step, prompt_index, turned (branches that end otherwise), branches (counts).
    """
    branches = with_parents(trees)
    turned = (branches["correct"] != branches["parent_correct"]).astype(int)
    groups = branches.assign(turned=turned).groupby(GROUP, sort=True, as_index=False)
    found = groups.agg(turned=("turned", "sum"), branches=("turned", "size"))
    by = ["turned", "branches"]
    return found.sort_values(by, ascending=False, kind="stable", ignore_index=True)


def rollouts_of(trees: pd.DataFrame, group: Mapping[Hashable, Any]) -> pd.DataFrame:
    """The rollouts of one group.

    Args:
        trees: from `typed`.
        group: has the keys of `GROUP`, as a row of `ranked`.
    """
    chosen = (trees[GROUP] == pd.Series(group)[GROUP]).all(axis=1)
    return trees[chosen].reset_index(drop=True)


def choose(trees: pd.DataFrame) -> pd.DataFrame:
    """The rollouts of the group to show, the first of `ranked`; empty where nothing branches.

    Args:
        trees: from `typed`.
    """
    groups = ranked(trees)
    return trees.iloc[:0] if groups.empty else rollouts_of(trees, groups.iloc[0].to_dict())


def lay_out(tree: pd.DataFrame) -> pd.DataFrame:
    """One line per rollout, so that no connection crosses a line.

    A parent stands above its branches, late ones first: an early branch hangs further down, left
    of where the others begin.

    Args:
        tree: from `choose`.

    Returns:
        In order from the top: arm, seed, step, prompt_index, row, rollout, name, parent, parent_row
        (-1: none), depth, start, end (tokens), correct, departs (the first words that differ from
        the parent's).
    """
    by_number = {row["rollout"]: row for row in tree.to_dict("records")}
    order: list[tuple[int, int]] = []

    def visit(number: int, depth: int) -> None:
        order.append((number, depth))
        children = [n for n, row in by_number.items() if row["parent"] == number]
        for child in sorted(children, key=lambda n: (-by_number[n]["branch_at"], n)):
            visit(child, depth + 1)

    for number in sorted(by_number):
        if by_number[number]["parent"] < 0:
            visit(number, 0)
    place = {number: row for row, (number, _) in enumerate(order)}
    rows = []
    for number, depth in order:
        entry = by_number[number]
        parent = entry["parent"]
        before = by_number[parent]["text"] if parent >= 0 else ""
        rows.append(
            {name: entry[name] for name in GROUP}
            | {
                "row": place[number],
                "rollout": number,
                "name": f"{'branch' if depth else 'root'} {number}",
                "parent": parent,
                "parent_row": place.get(parent, -1),
                "depth": depth,
                "start": entry["branch_at"],
                "end": entry["n_tokens"],
                "correct": entry["correct"],
                "departs": departure(before, entry["text"]),
            }
        )
    return pd.DataFrame(rows)


def departure(before: str, text: str, words: int = WORDS) -> str:
    """The first words of `text` that stand where `before` goes on otherwise, or ends.

    >>> departure("then 3 + 4 = 7 no", "then 3 + 5 = 8 yes . good", words=3)
    '5 = 8'
    """
    old, new = before.split(), text.split()
    same = 0
    while same < min(len(old), len(new)) and old[same] == new[same]:
        same += 1
    return " ".join(new[same : same + words])


def tokens_of(tree: pd.DataFrame, rollout: int) -> pd.DataFrame:
    """What one rollout of a group says, token by token.

    Args:
        tree: the rollouts of a group, from `rollouts_of`.
        rollout: its number.

    Returns:
        token, own (False: shared with the parent), leaves (numbers of the rollouts that leave
        before this token, as text; "" for none). The index is the position.

    Raises:
        UserError: the tokens of the responses are not words between spaces, as the small world's
            are; then the table does not say where one token ends.
    """
    (entry,) = tree[tree["rollout"] == rollout].to_dict("records")
    words = entry["text"].split()
    if len(words) != entry["n_tokens"]:
        raise UserError(
            f"rollout {rollout} has {entry['n_tokens']} tokens and {len(words)} words: only "
            "responses with one token a word, as the small world's, can be shown token by token"
        )
    branches = tree[tree["parent"] == rollout].groupby("branch_at")["rollout"]
    leaves = {place: ", ".join(map(str, sorted(numbers))) for place, numbers in branches}
    places = range(len(words))
    return pd.DataFrame(
        {
            "token": words,
            "own": [place >= entry["branch_at"] for place in places],
            "leaves": [leaves.get(place, "") for place in places],
        }
    )


def tokens_as_text(tokens: pd.DataFrame) -> str:
    """`tokens_of` as a line: what the parent said in brackets, `<7>` where rollout 7 leaves.

    >>> table = pd.DataFrame({"token": ["so", "3", "+"], "own": [False, True, True]})
    >>> tokens_as_text(table.assign(leaves=["", "", "7"]))
    '[so] 3 <7> +'
    """
    parts = []
    for own, run in tokens.groupby("own", sort=True):
        words = " ".join(
            f"<{row['leaves']}> {row['token']}" if row["leaves"] else row["token"]
            for row in run.to_dict("records")
        )
        parts.append(words if own else f"[{words}]")
    return " ".join(parts)


def as_text(layout: pd.DataFrame) -> str:
    """The tree for reading without the picture, a line per rollout.

    Args:
        layout: from `lay_out`.
    """
    lines = []
    for row in layout.to_dict("records"):
        verdict = "right" if row["correct"] else "wrong"
        name = "   " * max(0, row["depth"] - 1) + ("|- " if row["depth"] else "") + row["name"]
        place = f"tokens {row['start']:>3} to {row['end']:>3}"
        says = f"  {row['departs']} ..." if row["depth"] else ""
        lines.append(f"{name:<16} {verdict}  {place}{says}")
    return "\n".join(lines)


def statistics(trees: pd.DataFrame) -> pd.DataFrame:
    """What branching does, over all groups with at least one branch.

    Args:
        trees: from `typed`.

    Returns:
        One row per arm: groups, rollouts, branches (counts), shared (mean fraction of a branch
        that is its parent's), turned (fraction of branches that end otherwise than their parent),
        roots_differ (the same for two roots of a group, which share nothing but the prompt; NaN
        without pairs).
    """
    rows = []
    branches = with_parents(trees)
    for arm, own in branches.groupby("arm", sort=False):
        whole = trees.merge(own[GROUP].drop_duplicates(), on=GROUP)
        roots = whole[whole["parent"] < 0].groupby(GROUP)["correct"].agg(["sum", "size"])
        differing = (roots["sum"] * (roots["size"] - roots["sum"])).sum()
        pairs = (roots["size"] * (roots["size"] - 1) / 2).sum()
        rows.append(
            {
                "arm": arm,
                "groups": len(own[GROUP].drop_duplicates()),
                "rollouts": len(whole),
                "branches": len(own),
                "shared": (own["branch_at"] / own["n_tokens"]).mean(),
                "turned": (own["correct"] != own["parent_correct"]).mean(),
                "roots_differ": differing / pairs if pairs else float("nan"),
            }
        )
    columns = ["arm", "groups", "rollouts", "branches", "shared", "turned", "roots_differ"]
    return pd.DataFrame(rows, columns=columns)
