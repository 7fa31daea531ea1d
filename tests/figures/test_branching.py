"""The tree of a branching rollout: which groups there are, what a rollout says, the controls."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from ares.analysis import trees
from ares.analysis.tables import read
from ares.errors import UserError
from ares.figures import branching, controls
from ares.plotting import use_style

NAMES = ["rollout", "parent", "branch_at", "n_tokens", "correct", "text"]


def group(prompt: int, *rollouts: tuple) -> pd.DataFrame:
    """Rollouts of one prompt: (parent, branch_at, correct, text)."""
    rows = [
        (number, parent, at, len(text.split()), correct, text)
        for number, (parent, at, correct, text) in enumerate(rollouts)
    ]
    table = pd.DataFrame(rows, columns=NAMES)
    return table.assign(arm="ares-branch", seed=1, step=3, prompt_index=prompt)


LONE = group(0, (-1, 0, True, "a b"), (-1, 0, False, "a c"))
SAME = group(1, (-1, 0, True, "a b c"), (0, 1, True, "a d"), (0, 2, True, "a b e"))
TURNS = group(2, (-1, 0, True, "so 3 + 4 ."), (0, 3, False, "so 3 + 5"), (0, 3, True, "so 3 + 4"))
GROWN = trees.typed(pd.concat([LONE, SAME, TURNS], ignore_index=True))
GROUPS = trees.ranked(GROWN)


@pytest.fixture(autouse=True)
def style():
    use_style()
    yield
    plt.close("all")


def test_groups_come_in_the_order_in_which_they_are_worth_a_look():
    columns = ["prompt_index", "turned", "branches"]
    assert GROUPS[columns].to_numpy().tolist() == [[2, 1, 2], [1, 0, 2]]


def test_a_rollout_is_read_token_by_token():
    tokens = trees.tokens_of(TURNS, 0)
    assert tokens["token"].tolist() == ["so", "3", "+", "4", "."]
    assert tokens["own"].all() and tokens["leaves"].tolist() == ["", "", "", "1, 2", ""]
    assert trees.tokens_as_text(tokens) == "so 3 + <1, 2> 4 ."
    branch = trees.tokens_of(TURNS, 1)
    assert branch["own"].tolist() == [False, False, False, True]
    assert trees.tokens_as_text(branch) == "[so 3 +] 5"


def test_tokens_that_are_no_words_are_refused():
    with pytest.raises(UserError, match="rollout 0 has 9 tokens and 5 words"):
        trees.tokens_of(TURNS.assign(n_tokens=9), 0)


def test_the_chosen_rollout_is_marked_and_its_tokens_stand_below():
    for rollout, words in ((0, "so 3 + <1, 2> 4 ."), (1, "[so 3 +] 5")):
        fig = branching.reading(GROWN, GROUPS, 1, rollout)
        below = fig.get_supxlabel().splitlines()
        assert below[0].startswith(f"rollout {rollout};") and below[1:] == [words]
        (mark,) = fig.axes[0].patches
        row = trees.lay_out(TURNS).set_index("rollout").loc[rollout, "row"]
        assert mark.get_y() == pytest.approx(row - 0.45)


def test_controls_draw_the_tree_and_the_rollout_that_are_chosen(monkeypatch):
    drawn = []
    monkeypatch.setattr(
        branching, "reading", lambda *chosen: drawn.append(chosen[2:]) or plt.figure()
    )
    draw, offered = branching.reader(GROWN, GROUPS), branching.choices(GROWN, GROUPS)
    box = controls.with_controls(draw, **offered)
    menu, slider = box.children[:2]
    assert menu.label == "ares-branch, seed 1, batch 3, prompt 2: 2 branches, 1 turned"
    box.update()
    slider.value = 2
    menu.value = 2
    assert drawn[-3:] == [(1, 0), (1, 2), (2, 2)] and slider.max == 2


def test_every_rollout_of_the_reference_can_be_read():
    grown = trees.typed(read("data/reference", "trees"))
    groups = trees.ranked(grown)
    assert len(groups) > 100
    last = trees.rollouts_of(grown, groups.iloc[-1].to_dict())
    for rollout in last["rollout"]:
        text = trees.tokens_as_text(trees.tokens_of(last, rollout))
        assert text.endswith("<|im_end|>") or len(text.split()) > 100


def test_no_tree_is_drawn_where_nothing_branches():
    empty = trees.lay_out(trees.choose(trees.typed(LONE)))
    fig = branching.tree(empty)
    assert fig.axes[0].texts[0].get_text() == "no arm of this scale branches"
