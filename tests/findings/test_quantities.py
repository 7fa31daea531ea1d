"""Numbers and verdicts on tables in which the truth is planted: there, absent, reversed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ares.analysis import difficulty
from ares.errors import UserError
from ares.findings import judge
from ares.findings.run import QUANTITIES
from ares.stats import Resampler
from tests.configs import changed

SEEDS = (1, 2, 3)
WORD = {1: "reproduced", -1: "contradicted", 0: "not at this scale"}


def verdicts(run, rules, name: str) -> dict[str, str]:
    (judged,) = judge(run, rules, [name])
    return {name: judged.verdict, **{p.part.id: p.verdict for p in judged.parts}}


def numbers(run, rules, name: str) -> dict[str, float]:
    (judged,) = judge(run, rules, [name])
    return {p.part.id: p.measured.found.value for p in judged.parts}


# ------------------------------------------------------------------------------ the untrained base


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("name", ["F1", "F4", "F5", "F6"])
def test_a_base_as_the_paper_says_and_its_reverse(planted, run_of, rules, sign, name):
    found = verdicts(run_of(**planted.base(sign)), rules, name)
    assert found[name] == WORD[sign]


def test_the_numbers_are_those_of_the_notebooks(planted, run_of, rules, settings):
    tables = planted.base(1)
    table = difficulty.with_difficulty(tables["rollouts"], tables["tokens"])
    level = changed(settings, {"bootstrap.level": rules.level})
    resampler = Resampler.of(tables["rollouts"], level)
    expected = difficulty.claims(table, resampler) | difficulty.length_claims(table, resampler)
    run = run_of(**tables)
    judged = judge(run, rules, ["F4", "F5", "F6", "F10"])
    compared = [p for f in judged for p in f.parts if "statement" in p.part.quantity]
    assert len(compared) == 12
    for part in compared:
        assert part.measured.found == expected[part.part.quantity["statement"]], part.part.id


def test_triggers_among_the_uncertain_tokens(run_of, rules):
    rows = [(f"{lv}-{n}", lv, n) for lv in ("easy", "medium", "hard") for n in range(12)]
    rollouts = pd.DataFrame(rows, columns=["problem_id", "level", "n"])
    rollouts = rollouts.assign(rollout_id=range(36), n_tokens=40)
    tokens = rollouts.loc[rollouts.index.repeat(40)].assign(position=list(range(40)) * 36)
    # Two tokens of 40 are uncertain, the top 5 %; 4 are triggers, of which 0, 1 or 2 are uncertain.
    tokens["entropy"] = np.where(tokens["position"] < 2, 3.0, 0.0)
    for first, expected in ((0, (0.9, 1.0)), (1, (0.4, 0.5)), (2, (-0.1, 0.0))):
        tokens["lexicon"] = tokens["position"].between(first, first + 3)
        found = numbers(run_of(rollouts=rollouts, tokens=tokens), rules, "F2")
        assert (found["F2.token-share"], found["F2.token-majority"]) == pytest.approx(expected)


@pytest.mark.parametrize(("bent", "verdict"), [(0.0, "reproduced"), (-0.3, "contradicted")])
def test_linear_length_and_length_that_flattens(run_of, rules, bent, verdict):
    count = np.tile(np.arange(12.0), 36)
    table = pd.DataFrame({"hwe_count": count, "length": 40 + 10 * count + bent * count**2})
    table["level"] = np.repeat(["easy", "medium", "hard"], 144)
    table["problem_id"] = table["level"] + (np.arange(432) // 12).astype(str)
    table["presentation"] = "text"
    run = run_of(rollouts=table)
    run.once("difficulty", lambda: table)
    found = verdicts(run, rules, "F10")
    assert found["F10.linear"] == verdict and found["F10.slope"] == "reproduced"
    bend = numbers(run, rules, "F10")["F10.linear"]
    assert bend == pytest.approx(2 * bent * 11 / (10 + 11 * bent))


def test_too_few_problems_give_a_number_without_a_verdict(planted, run_of, rules):
    tables = planted.base(1)
    few = tables["rollouts"]["problem_id"].str.endswith(("-0", "-1", "-2"))
    tables["rollouts"] = tables["rollouts"][few]
    tables["tokens"] = tables["tokens"].merge(tables["rollouts"]["rollout_id"])
    (judged,) = judge(run_of(**tables), rules, ["F5"])
    assert judged.verdict == "not at this scale"
    assert judged.parts[0].measured.found.value > 0
    assert judged.parts[0].reason == "a level has 3 problems, 10 are needed"


# ------------------------------------------------------------------------------------- training


@pytest.mark.parametrize(("slopes", "word"), [((1, 1, 1), 1), ((-1, -1, -1), -1), ((1, 0, -1), 0)])
def test_under_grpo_all_three_rise_fall_or_stay(planted, run_of, rules, slopes, word):
    runs = []
    for seed, slope in zip(SEEDS, slopes, strict=True):
        rng = np.random.default_rng(seed)
        metrics = {
            name: start + step * slope * np.arange(12.0) + rng.normal(0, step, 12)
            for name, start, step in (("hwe", 3, 0.1), ("length", 50, 1), ("accuracy", 0.5, 0.02))
        }
        runs.append(planted.curve("grpo", seed, **metrics))
    models = [planted.model("adacs", 0, planted.flat(0.5), planted.flat(50))]
    models += [planted.model("grpo", seed, planted.flat(0.5), planted.flat(60)) for seed in SEEDS]
    run = run_of(steps=pd.concat(runs), evaluation=pd.concat(models))
    found = verdicts(run, rules, "F3")
    assert found["F3"] == WORD[word]
    assert found["F3.hwe-fixed"] == "reproduced"  # 5 to 6 tokens, whatever the records say


def test_a_rise_by_hand(planted, run_of, rules):
    runs = [
        planted.curve(
            "grpo", s, hwe=np.r_[0, 0, 9, 9, s, s], length=np.ones(6), accuracy=np.ones(6)
        )
        for s in SEEDS
    ]
    runs.append(planted.curve("ares", 1, hwe=np.arange(6.0)))
    evaluation = planted.model("adacs", 0, planted.flat(0.5), planted.flat(50))
    (judged,) = judge(run_of(steps=pd.concat(runs), evaluation=evaluation), rules, ["F3"])
    hwe, rise_of_length = judged.parts[0].measured, judged.parts[1]
    assert dict(hwe.per_seed) == {1: 1.0, 2: 2.0, 3: 3.0}
    assert hwe.found.value == 2.0 and hwe.n_seeds == 3
    assert rise_of_length.reason == "the interval contains 0"
    by_id = {part.part.id: part for part in judged.parts}
    assert by_id["F3.length-trend"].reason == "nothing to compare"  # constant: no correlation
    assert by_id["F3.hwe-fixed"].reason == "no model of grpo"


@pytest.mark.parametrize(
    ("factor", "word"),
    [(1.2, "reproduced"), (1.002, "partly"), (0.8, "contradicted"), (1.0, "not at this scale")],
)
def test_the_advantage_variance_with_the_kl_in_the_reward(planted, run_of, rules, factor, word):
    loss = np.linspace(0.1, 0.2, 8)
    names = ("advantage_variance", "advantage_variance_kl_in_reward")
    runs = [
        planted.curve("ares", s, **dict(zip(names, (loss, factor * loss), strict=True)))
        for s in SEEDS
    ]
    runs += [planted.curve("grpo", s, advantage_variance=loss) for s in SEEDS]
    (judged,) = judge(run_of(steps=pd.concat(runs)), rules, ["F11"])
    assert judged.verdict == word
    assert judged.parts[0].measured.found.value == pytest.approx(factor - 1)
    assert judged.parts[1].reason == "no runs of ares-no-entropy"
    assert judged.parts[2].reason == "grpo has no record of advantage_variance_kl_in_reward"


def test_short_runs_and_single_seeds_decide_nothing(planted, run_of, rules):
    up = np.arange(5.0)
    metrics = {"hwe": up, "length": up, "accuracy": up}
    evaluation = planted.model("adacs", 0, planted.flat(0.5), planted.flat(50))
    short = pd.concat([planted.curve("grpo", seed, **metrics) for seed in SEEDS])
    (judged,) = judge(run_of(steps=short, evaluation=evaluation), rules, ["F3"])
    assert judged.parts[0].reason == "5 batches, 6 are needed"
    metrics = {name: np.arange(12.0) for name in metrics}
    single = planted.curve("grpo", 1, **metrics)
    (judged,) = judge(run_of(steps=single, evaluation=evaluation), rules, ["F3"])
    assert judged.parts[0].measured.found.value == 8.0
    assert judged.parts[0].reason == "1 seed, 2 are needed"
    assert judged.verdict == "not at this scale"


def test_runs_of_different_length_are_refused(planted, run_of, rules):
    runs = [planted.curve("grpo", seed, hwe=np.arange(6.0 + seed)) for seed in SEEDS]
    with pytest.raises(UserError, match=r"runs of grpo have \[7, 8, 9\] batches"):
        judge(run_of(steps=pd.concat(runs)), rules, ["F3"])


# ---------------------------------------------------------------------------------- test problems

CHAIN = ("ares", "ares-no-kl", "ares-no-entropy", "dapo", "grpo")


def chain(planted, step: float, noise: float = 0.01) -> pd.DataFrame:
    """The arms of F8, each `step` more accurate and 100 * `step` tokens shorter than the next."""
    return pd.concat(
        planted.model(
            arm,
            seed,
            planted.flat(0.5 - step * place),
            planted.flat(50 + 100 * step * place),
            noise,
        )
        for place, arm in enumerate(CHAIN)
        for seed in SEEDS
    )


@pytest.mark.parametrize(("step", "word"), [(0.05, 1), (-0.05, -1), (0.0, 0)])
def test_the_chain_of_arms(planted, run_of, rules, step, word):
    run = run_of(evaluation=chain(planted, step))
    assert set(verdicts(run, rules, "F8").values()) == {WORD[word]}
    assert verdicts(run, rules, "A2")["A2"] == WORD[word]


def test_a_chain_with_one_wrong_link_holds_in_part(planted, run_of, rules):
    evaluation = chain(planted, 0.05).replace({"arm": {"dapo": "grpo", "grpo": "dapo"}})
    found = verdicts(run_of(evaluation=evaluation), rules, "F8")
    assert found["F8"] == "partly"
    assert found["F8.accuracy-grpo"] == found["F8.length-grpo"] == "contradicted"
    assert found["F8.accuracy-kl"] == found["F8.accuracy-ends"] == "reproduced"


def test_a_difference_by_hand_is_paired_by_seed(planted, run_of):
    models = [
        planted.model("ares", s, planted.flat(0.5 + s / 10), planted.flat(50)) for s in (1, 2, 3)
    ]
    models += [
        planted.model("grpo", s, planted.flat(0.3 + s / 10), planted.flat(50)) for s in (2, 3, 4)
    ]
    run = run_of(evaluation=pd.concat(models))
    compare = QUANTITIES["test_difference"].compute
    found = compare(run, of="ares", against="grpo", column="accuracy", levels="all")
    assert found.per_seed == pytest.approx({2: 0.2, 3: 0.2})
    assert (found.found.low, found.found.high) == pytest.approx((0.2, 0.2))


def test_cells_weigh_the_same_however_many_problems_they_have(planted, run_of):
    accuracy = {"easy": 0.9, "medium": 0.6, "hard": 0.0}
    table = planted.model("ares", 1, accuracy, planted.flat(50))
    table = table[~table["problem_id"].isin(["hard-10", "hard-11"])]
    run = run_of(evaluation=pd.concat([table, table.assign(arm="grpo", correct=0)]))
    compare = QUANTITIES["test_difference"].compute
    found = compare(run, of="ares", against="grpo", column="accuracy", levels="all")
    assert found.found.value == pytest.approx(0.5)


def test_an_arm_without_runs_or_without_common_seeds_decides_nothing(planted, run_of, rules):
    models = [planted.model("ares", s, planted.flat(0.5), planted.flat(50)) for s in SEEDS]
    (judged,) = judge(run_of(evaluation=pd.concat(models)), rules, ["A2"])
    assert (judged.verdict, judged.parts[0].reason) == ("not at this scale", "no model of dapo")
    models.append(planted.model("dapo", 9, planted.flat(0.1), planted.flat(50)))
    (judged,) = judge(run_of(evaluation=pd.concat(models)), rules, ["A2"])
    assert judged.parts[0].reason == "no seed that both arms have"
    models.append(planted.model("dapo", 1, planted.flat(0.1), planted.flat(50)))
    (judged,) = judge(run_of(evaluation=pd.concat(models)), rules, ["A2"])
    assert judged.parts[0].measured.found.value == pytest.approx(0.4)
    assert (judged.verdict, judged.parts[0].reason) == ("not at this scale", "1 seed, 2 are needed")


@pytest.mark.parametrize(
    ("gain", "shorter", "expected"),
    [
        (0.08, 5, "reproduced"),
        (0.03, 5, "partly"),  # more accurate, but by less than 5 points
        (0.08, 0, "partly"),  # that it needs no more tokens is not shown
        (0.08, -5, "partly"),
        (-0.08, -5, "contradicted"),
    ],
)
def test_the_first_aim(planted, run_of, rules, gain, shorter, expected):
    models = []
    for seed in SEEDS:
        accuracy, tokens = planted.flat(0.5), planted.flat(50)
        models.append(planted.model("grpo", seed, accuracy, tokens, noise=0.01))
        accuracy, tokens = accuracy | {"hard": 0.5 + gain}, tokens | {"easy": 50 - shorter}
        models.append(planted.model("ares", seed, accuracy, tokens, noise=0.01))
    found = verdicts(run_of(evaluation=pd.concat(models)), rules, "A1")
    assert found["A1"] == expected


@pytest.mark.parametrize("sign", [1, -1])
def test_from_the_cold_start_to_ares(planted, run_of, rules, sign):
    start = planted.model("adacs", 0, planted.flat(0.5), planted.flat(50), noise=0.02)
    after = {"easy": 50 - 9 * sign, "medium": 50, "hard": 50 + 9 * sign}
    models = [
        planted.model("ares", seed, planted.flat(0.5 + 0.1 * sign), after, noise=0.02)
        for seed in SEEDS
    ]
    run = run_of(evaluation=pd.concat([start, *models]))
    assert set(verdicts(run, rules, "F9").values()) == {WORD[sign]}
    (judged,) = judge(run, rules, ["F9"])
    assert all(part.measured.n_seeds == 3 for part in judged.parts)


@pytest.mark.parametrize(("steeper", "word"), [(20, 1), (-20, -1), (0, 0)])
def test_length_follows_difficulty(planted, run_of, rules, steeper, word):
    accuracy = {"easy": 0.9, "medium": 0.5, "hard": 0.1}
    follows = {level: 50 + steeper * (0.5 - rate) for level, rate in accuracy.items()}
    models = [
        planted.model("base", 0, accuracy, planted.flat(50)),
        planted.model("adacs", 0, accuracy, follows, noise=0.01),
        planted.model("cs-vanilla", 0, accuracy, planted.flat(50), noise=0.01),
    ]
    run = run_of(evaluation=pd.concat(models))
    assert verdicts(run, rules, "F7") == {
        "F7": WORD[word],
        "F7.slope": WORD[word],
        "F7.range": WORD[word],
    }
    assert numbers(run, rules, "F7")["F7.slope"] == pytest.approx(-steeper, abs=1)


def test_models_tested_on_different_problems_are_not_compared(planted, run_of, rules):
    models = [
        planted.model(arm, 1, planted.flat(0.5), planted.flat(50)) for arm in ("ares", "dapo")
    ]
    models[1] = models[1][1:]
    with pytest.raises(UserError, match="dapo, seed 1 was tested on other problems"):
        judge(run_of(evaluation=pd.concat(models)), rules, ["A2"])
