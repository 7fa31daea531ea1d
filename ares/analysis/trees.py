"""Trees of branching rollouts: which one to show, how it is laid out, and what branching does."""

from __future__ import annotations

import pandas as pd

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


def choose(trees: pd.DataFrame) -> pd.DataFrame:
    """The rollouts of the group to show: that with the most branches ending otherwise than their
    parent, then the most branches, then the first. Empty where nothing branches.

    Args:
        trees: from `typed`.
    """
    branches = with_parents(trees)
    if branches.empty:
        return trees.iloc[:0]
    turned = (branches["correct"] != branches["parent_correct"]).astype(int)
    ranked = branches.assign(turned=turned).groupby(GROUP, sort=True, as_index=False)
    ranked = ranked.agg(turned=("turned", "sum"), branches=("turned", "size"))
    best = ranked.sort_values(["turned", "branches"], ascending=False, kind="stable").iloc[0]
    chosen = (trees[GROUP] == best[GROUP]).all(axis=1)
    return trees[chosen].reset_index(drop=True)


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
