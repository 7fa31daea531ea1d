"""Arms and levels on the test problems: values, paired differences, and the paper's numbers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ares import paths
from ares.analysis import ablation, ablation_words, levels
from ares.analysis.findings import Run, load_rules
from ares.analysis.findings.evaluation import test_difference as found_difference
from ares.config import load_config
from ares.errors import UserError
from ares.io import read_table
from tests.configs import changed

CONFIG = changed(load_config("smoke"), {"bootstrap.resamples": 400, "seed": 1})


def model(arm: str, seed: int, right: dict[str, int], length: float = 50.0) -> pd.DataFrame:
    """A model that answers the first so many of ten problems of every level, all else being equal.

    Images have one right answer less and ten tokens more.
    """
    rows = [
        (arm, seed, f"{level}-{i}", level, shown, 1, int(i < number - (shown == "image")))
        for level, number in right.items()
        for shown in ("text", "image")
        for i in range(10)
    ]
    columns = ["arm", "seed", "problem_id", "level", "presentation", "samples", "correct"]
    table = pd.DataFrame(rows, columns=columns)
    table["n_tokens"] = length + 10 * (table["presentation"] == "image")
    return table.assign(hwe=1.0)


EVALUATION = pd.concat(
    [
        model("adacs", 0, {"easy": 6, "hard": 3}, 50),
        model("grpo", 1, {"easy": 8, "hard": 3}, 60),
        model("grpo", 2, {"easy": 6, "hard": 3}, 60),
        model("ares", 1, {"easy": 9, "hard": 5}, 45),
        model("ares", 2, {"easy": 9, "hard": 5}, 45),
        model("ares", 9, {"easy": 1, "hard": 1}, 45),  # a seed that grpo has not
        model("paper", 1, {"easy": 7, "hard": 3}, 60),
    ],
    ignore_index=True,
)


@pytest.fixture(scope="module")
def tested():
    return ablation.Evaluated(EVALUATION, CONFIG)


def test_a_value_is_the_mean_of_its_cells(tested):
    found = tested.value("paper", "accuracy")
    assert found.estimate.value == pytest.approx((0.7 + 0.6 + 0.3 + 0.2) / 4)
    assert (found.over, found.runs) == ("problems", 1)
    assert found.estimate.low < found.estimate.value < found.estimate.high
    assert tested.value("paper", "accuracy", "easy", "image").estimate.value == pytest.approx(0.6)
    assert tested.value("paper", "length", "hard").estimate.value == pytest.approx(65)


def test_a_value_of_several_runs_stays_within_what_it_can_be(tested):
    found = tested.value("ares", "accuracy", "easy", "text")
    assert (found.over, found.runs) == ("runs and problems", 3)
    assert found.estimate.value == pytest.approx(1.9 / 3)
    assert (found.estimate.low, found.estimate.high) == (0.0, 1.0)


def test_arms_are_compared_by_common_seeds(tested):
    found = tested.difference("ares", "grpo", "accuracy", "easy")
    assert found.runs == 2
    assert found.estimate.value == pytest.approx((0.1 + 0.3) / 2)
    assert tested.per_run("ares", "accuracy", "grpo") == pytest.approx([0.15, 0.25])


def test_one_common_seed_gives_no_interval(tested):
    found = tested.difference("paper", "grpo", "accuracy")
    assert (found.over, found.runs) == ("none", 1)
    assert found.estimate.value == pytest.approx(-0.05)
    assert np.isnan([found.estimate.low, found.estimate.high]).all()


def test_the_start_of_training_is_the_same_for_every_seed(tested):
    found = tested.difference("grpo", "adacs", "length", relative=True)
    assert found.runs == 2
    assert found.estimate.value == pytest.approx(10 / 55)
    assert found.estimate.low == pytest.approx(found.estimate.high) == pytest.approx(10 / 55)


def test_absent_arms_give_no_number(tested):
    assert tested.value("dapo", "accuracy").runs == 0
    assert np.isnan(tested.difference("ares", "dapo", "accuracy").estimate.value)


def test_models_tested_on_different_problems_are_refused():
    with pytest.raises(UserError, match="tested on other problems"):
        ablation.Evaluated(EVALUATION.drop(index=EVALUATION.index[-1]), CONFIG)


def test_the_interval_is_that_of_the_findings(tested):
    rules = load_rules()
    run = Run(lambda name: {"evaluation": EVALUATION}[name], CONFIG, rules)
    theirs = found_difference(run, "ares", "grpo", "accuracy", "all").found
    ours = tested.difference("ares", "grpo", "accuracy").estimate
    assert (ours.value, ours.low, ours.high) == (theirs.value, theirs.low, theirs.high)


def test_table5_has_every_cell_and_differences_to_grpo(tested):
    table = ablation.table5(tested, "accuracy").set_index(["arm", "kind", "cell"])
    of_ares = ablation.table5(tested, "accuracy").query("arm == 'ares' and kind == 'value'")
    assert of_ares["cell"].tolist() == [
        *("easy text", "easy image", "hard text", "hard image", "average"),
    ]
    assert ("grpo", "difference", "average") not in table.index
    of_start = table.loc[("adacs", "difference", "average")]
    assert of_start["value"] == pytest.approx(-0.05) and of_start["low"] <= of_start["high"]
    printed = ablation_words.printed(table.reset_index(), 2).set_index("arm")
    assert printed.loc["paper", "difference"] == "-0.05 [none]"
    assert printed.loc["grpo", "difference"] == ""


def test_table5_without_its_reference_has_no_differences():
    tested = ablation.Evaluated(EVALUATION[EVALUATION["arm"] != "grpo"], CONFIG)
    assert set(ablation.table5(tested, "length")["kind"]) == {"value"}
    assert set(ablation.per_run_values(tested, "length")["kind"]) == {"value"}


def test_parts_are_those_whose_models_there_are(tested):
    table = ablation.parts(tested, "length").set_index("part")
    assert list(table.index) == ["everything but the cold start", "all of the training"]
    assert table["value"].tolist() == [-15, -5]


def test_the_order_of_the_arms(tested):
    assert ablation_words.order(tested, "length", ["ares", "dapo", "grpo"]) == "grpo > ares"


def test_what_rl_changes_by_level(tested):
    found = levels.changes(tested).set_index(["quantity", "level"])["value"]
    assert found["accuracy", "easy"] == pytest.approx(1.9 / 3 - 0.6)
    assert found["length", "hard"] == pytest.approx(-5 / 55)
    only_grpo = ablation.Evaluated(EVALUATION[EVALUATION["arm"] == "grpo"], CONFIG)
    assert levels.changes(only_grpo).empty


def test_cells_come_level_by_level(tested):
    table = levels.by_cell(tested, ["adacs"])
    shown = table[table["quantity"] == "accuracy"]
    assert shown["level"].tolist() == ["easy"] * 3 + ["hard"] * 3
    assert shown["presentation"].tolist() == ["text", "image", "both"] * 2
    assert shown["value"].tolist() == pytest.approx([0.6, 0.5, 0.55, 0.3, 0.2, 0.25])
    assert levels.printed(table).loc[2, ["accuracy", "length"]].tolist() == ["0.550", "55.0"]


def paper(name: str) -> pd.DataFrame:
    return read_table(paths.DATA / "paper" / f"{name}.csv")


def test_the_papers_levels_and_changes():
    table = levels.paper_by_level(paper("table4_accuracy_length"))
    hard = table.query("arm == 'ares' and level == 'hard' and benchmark == 'both'")
    values = hard.set_index("quantity")["value"]
    assert values.to_dict() == pytest.approx({"accuracy": 0.593, "length": 17756.1})
    changes = levels.paper_changes(table).set_index(["quantity", "level", "benchmark"])["value"]
    assert changes["accuracy", "hard", "AIME25"] == pytest.approx(0.067)
    assert changes["length", "easy", "GSM8K"] == pytest.approx(278.9 / 332.3 - 1)
    assert changes["length", "hard", "both"] == pytest.approx(17756.1 / 14088.25 - 1)


def test_the_papers_curves_and_differences():
    curves = ablation.paper_curves(paper("figure6_training_curves"))
    last = curves[(curves["step"] == 267) & (curves["metric"] == "accuracy")]
    assert last.set_index("arm")["value"].to_dict() == {
        "ares": 0.79, "ares-no-kl": 0.78, "ares-no-entropy": 0.77, "dapo": 0.74, "grpo": 0.66
    }  # fmt: skip
    differences = ablation.paper_differences(paper("table5_ablation")).set_index("arm")
    assert differences["difference"].to_dict() == pytest.approx(
        {"adacs": -0.027, "grpo": 0, "ares-no-entropy": 0.013, "ares-no-kl": 0.018, "ares": 0.023}
    )
