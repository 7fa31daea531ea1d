"""Numbers and verdicts on tables in which the truth is planted: there, absent, reversed."""

import numpy as np
import pandas as pd
import pytest

from ares.errors import UserError
from ares.findings import judge
from ares.findings.verdicts import Judged

SEEDS = (1, 2, 3)
WORD = {1: "reproduced", -1: "contradicted", 0: "undecided"}


@pytest.fixture
def judged(run_of, rules):
    """Judge one finding on tables that are given."""
    return lambda name, **tables: judge(run_of(**tables), rules, [name])[0]


def verdicts(found: Judged) -> dict[str, str]:
    parts = {part.part.id: part.verdict for part in found.parts}
    return {found.finding.id: found.verdict, **parts}


def numbers(found: Judged) -> dict[str, float]:
    return {part.part.id: part.measured.found.value for part in found.parts}


def reasons(found: Judged) -> dict[str, str]:
    return {part.part.id: part.reason for part in found.parts}


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("name", ["F1", "F4", "F5", "F6"])
def test_a_base_as_the_paper_says_and_its_reverse(planted, judged, sign, name):
    assert judged(name, **planted.base(sign)).verdict == WORD[sign]


def test_triggers_among_the_uncertain_tokens(judged):
    rows = [(f"{lv}-{n}", lv, n) for lv in ("easy", "medium", "hard") for n in range(12)]
    rollouts = pd.DataFrame(rows, columns=["problem_id", "level", "n"])
    rollouts = rollouts.assign(rollout_id=range(36), n_tokens=40)
    tokens = rollouts.loc[rollouts.index.repeat(40)].assign(position=list(range(40)) * 36)
    # Two tokens of 40 are uncertain, the top 5 %; 4 are triggers, of which 0, 1 or 2 are uncertain.
    tokens["entropy"] = np.where(tokens["position"] < 2, 3.0, 0.0)
    for first, expected in ((0, (0.9, 1.0)), (1, (0.4, 0.5)), (2, (-0.1, 0.0))):
        tokens["lexicon"] = tokens["position"].between(first, first + 3)
        found = numbers(judged("F2", rollouts=rollouts, tokens=tokens))
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
    (found,) = judge(run, rules, ["F10"])
    assert verdicts(found)["F10.linear"] == verdict
    assert verdicts(found)["F10.slope"] == "reproduced"
    assert numbers(found)["F10.linear"] == pytest.approx(2 * bent * 11 / (10 + 11 * bent))


def test_too_few_problems_give_a_number_without_a_verdict(planted, judged):
    tables = planted.base(1)
    few = tables["rollouts"]["problem_id"].str.endswith(("-0", "-1", "-2"))
    tables["rollouts"] = tables["rollouts"][few]
    tables["tokens"] = tables["tokens"].merge(tables["rollouts"]["rollout_id"])
    found = judged("F5", **tables)
    assert found.verdict == "undecided"
    assert found.parts[0].measured.found.value > 0
    assert found.parts[0].reason == "a level has 3 problems, 10 are needed"


@pytest.mark.parametrize(("signs", "word"), [((1, 1, 1), 1), ((-1, -1, -1), -1), ((1, 0, -1), 0)])
def test_under_grpo_all_three_rise_fall_or_stay(planted, judged, signs, word):
    curves = [planted.curve("grpo", s, hwe=np.arange(6.0)) for s in SEEDS]
    models = [planted.model("adacs", 0, 0.5, 50)]
    for seed, sign in zip(SEEDS, signs, strict=True):
        models.append(planted.model("grpo", seed, 0.5 + 0.1 * sign, 50 + 10 * sign))
    found = verdicts(judged("F3", steps=pd.concat(curves), evaluation=pd.concat(models)))
    assert found["F3"] == WORD[word]
    assert {found["F3.hwe"], found["F3.length"], found["F3.accuracy"]} == {WORD[word]}


def test_trends_by_hand(planted, judged):
    same = {"length": np.ones(6), "accuracy": np.ones(6)}
    runs = [planted.curve("grpo", s, hwe=np.r_[0, 1, 2, 3, 4, s], **same) for s in (5, 7, 9)]
    runs.append(planted.curve("ares", 1, hwe=-np.arange(6.0)))
    found = judged("F3", steps=pd.concat(runs), evaluation=planted.model("adacs", 0))
    hwe = next(part for part in found.parts if part.part.id == "F3.hwe-trend").measured
    assert dict(hwe.per_seed) == {5: 1.0, 7: 1.0, 9: 1.0}
    assert hwe.found.value == 1.0 and hwe.n_seeds == 3
    why = reasons(found)
    assert why["F3.length-trend"] == "nothing to compare"  # constant: no correlation
    assert why["F3.hwe"] == "no model of grpo"


@pytest.mark.parametrize(
    ("factor", "word"),
    [(1.2, "reproduced"), (1.002, "equivalent"), (0.8, "contradicted"), (1.0, "equivalent")],
)
def test_the_advantage_variance_with_the_kl_in_the_reward(planted, judged, factor, word):
    loss = np.linspace(0.1, 0.2, 8)
    both = {"advantage_variance": loss, "advantage_variance_kl_in_reward": factor * loss}
    runs = [planted.curve("ares", s, **both) for s in SEEDS]
    runs += [planted.curve("grpo", s, advantage_variance=loss) for s in SEEDS]
    found = judged("F11", steps=pd.concat(runs))
    assert found.verdict == word
    assert found.parts[0].measured.found.value == pytest.approx(factor - 1)
    assert found.parts[1].reason == "no runs of ares-no-entropy"
    assert found.parts[2].reason == "grpo has no record of advantage_variance_kl_in_reward"


def test_short_and_single_runs_decide_nothing_and_unequal_ones_are_refused(planted, judged):
    def f11(seeds, batches) -> Judged:
        loss = {s: np.ones(batches(s)) for s in seeds}
        runs = [
            planted.curve("ares", s, advantage_variance=v, advantage_variance_kl_in_reward=1.5 * v)
            for s, v in loss.items()
        ]
        return judged("F11", steps=pd.concat(runs))

    assert f11(SEEDS, lambda seed: 5).parts[0].reason == "5 batches, 6 are needed"
    single = f11((1,), lambda seed: 12)
    assert single.parts[0].measured.found.value == 0.5
    assert single.parts[0].reason == "1 seed, 2 are needed"
    assert single.verdict == "undecided"
    with pytest.raises(UserError, match=r"runs of ares have \[7, 8, 9\] batches"):
        f11(SEEDS, lambda seed: 6 + seed)


CHAIN = ("ares", "ares-no-kl", "ares-no-entropy", "dapo", "grpo")


def chain(planted, step: float) -> pd.DataFrame:
    """The arms of F8, each `step` more accurate and 100 * `step` tokens shorter than the next."""
    return pd.concat(
        planted.model(arm, seed, 0.5 - step * place, 50 + 100 * step * place, noise=0.01)
        for place, arm in enumerate(CHAIN)
        for seed in SEEDS
    )


@pytest.mark.parametrize(("step", "word"), [(0.05, 1), (-0.05, -1)])
def test_the_chain_of_arms(planted, judged, step, word):
    evaluation = chain(planted, step)
    assert set(verdicts(judged("F8", evaluation=evaluation)).values()) == {WORD[word]}
    assert judged("A2", evaluation=evaluation).verdict == WORD[word]


def test_arms_that_do_not_differ_are_equivalent(planted, judged):
    found = judged("F8", evaluation=chain(planted, 0.0))
    assert set(verdicts(found).values()) <= {"equivalent", "undecided"}
    assert verdicts(found)["F8.accuracy-ends"] == "equivalent"


def test_a_chain_with_one_wrong_link_holds_in_part(planted, judged):
    evaluation = chain(planted, 0.05).replace({"arm": {"dapo": "grpo", "grpo": "dapo"}})
    found = verdicts(judged("F8", evaluation=evaluation))
    assert found["F8"] == "partly"
    assert found["F8.accuracy-grpo"] == found["F8.length-grpo"] == "contradicted"
    assert found["F8.accuracy-kl"] == found["F8.accuracy-ends"] == "reproduced"


def test_an_arm_without_runs_or_without_common_seeds_decides_nothing(planted, judged):
    models = [planted.model("ares", s) for s in SEEDS]
    for seed, reason in (
        (None, "no model of dapo"),
        (9, "no seed that both arms have"),
        (1, "1 seed, 2 are needed"),
    ):
        models += [planted.model("dapo", seed, 0.1)] if seed else []
        found = judged("A2", evaluation=pd.concat(models))
        assert (found.verdict, found.parts[0].reason) == ("undecided", reason)
    assert found.parts[0].measured.found.value == pytest.approx(0.4)
    models[1] = models[1][1:]
    with pytest.raises(UserError, match="was tested on other problems"):
        judged("A2", evaluation=pd.concat(models))


@pytest.mark.parametrize(
    ("gain", "shorter", "expected"),
    [
        (0.08, 5, "reproduced"),
        (0.03, 5, "contradicted"),  # more accurate, but by less than 5 points
        (0.08, 0, "reproduced"),
        (0.08, -5, "contradicted"),  # a tenth more tokens on easy problems
        (-0.08, -5, "contradicted"),
    ],
)
def test_the_first_aim(planted, judged, gain, shorter, expected):
    models = []
    for seed in SEEDS:
        accuracy, tokens = planted.flat(0.5), planted.flat(50)
        models.append(planted.model("grpo", seed, accuracy, tokens, noise=0.01))
        accuracy, tokens = accuracy | {"hard": 0.5 + gain}, tokens | {"easy": 50 - shorter}
        models.append(planted.model("ares", seed, accuracy, tokens, noise=0.01))
    assert judged("A1", evaluation=pd.concat(models)).verdict == expected


@pytest.mark.parametrize("sign", [1, -1])
def test_from_the_cold_start_to_ares(planted, judged, sign):
    others = [planted.model("adacs", 0, noise=0.02)]
    others += [planted.model("grpo", seed, noise=0.02) for seed in SEEDS]
    after = {"easy": 50 - 9 * sign, "medium": 50, "hard": 50 + 9 * sign}
    models = [planted.model("ares", seed, 0.5 + 0.1 * sign, after, noise=0.02) for seed in SEEDS]
    found = judged("F9", evaluation=pd.concat([*others, *models]))
    assert set(verdicts(found).values()) == {WORD[sign]}
    assert all(part.measured.n_seeds == 3 for part in found.parts)


@pytest.mark.parametrize(
    ("steeper", "word"), [(20, "reproduced"), (-20, "contradicted"), (0, "equivalent")]
)
def test_length_follows_difficulty(planted, judged, steeper, word):
    accuracy = {"easy": 0.9, "medium": 0.5, "hard": 0.1}
    follows = {level: 50 + steeper * (0.5 - rate) for level, rate in accuracy.items()}
    models = [
        planted.model("base", 0, accuracy),
        planted.model("adacs", 0, accuracy, follows, noise=0.01),
        planted.model("cs-vanilla", 0, accuracy, noise=0.01),
    ]
    found = judged("F7", evaluation=pd.concat(models))
    assert verdicts(found) == dict.fromkeys(("F7", "F7.slope", "F7.range"), word)
    assert numbers(found)["F7.slope"] == pytest.approx(-steeper, abs=1)
