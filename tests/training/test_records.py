"""What a run writes down: means by step, metric and bucket, seconds apart, and the grader's job."""

import json
import math

import pytest
import torch

from ares.errors import UserError
from ares.method.difficulty import BucketSums
from ares.method.step import Rollouts, Shaped
from ares.training.records import (
    Records,
    mean_threshold,
    note_shaped,
    note_variance,
)
from ares.training.rollouts import RewardFunction


def filled() -> Records:
    records = Records()
    records.step = 1
    records.add("loss", 1.0)
    records.add("loss", 3.0)
    records.add("hwe", 5.0, "hard")
    records.step = 2
    records.add("loss", 7.0)
    return records


def test_a_value_is_the_mean_of_what_was_added_in_its_step_and_nan_is_none():
    records = filled()
    records.add("kl", math.nan)
    assert records.table().to_dict("records") == [
        {"step": 1, "metric": "loss", "bucket": "all", "value": 2.0},
        {"step": 1, "metric": "hwe", "bucket": "hard", "value": 5.0},
        {"step": 2, "metric": "loss", "bucket": "all", "value": 7.0},
    ]
    assert records.current() == {"loss": 7.0}
    records.step = 1
    assert records.current() == {"loss": 2.0, "hwe/hard": 5.0}
    assert list(Records().table().columns) == ["step", "metric", "bucket", "value"]


def test_buckets_their_whole_and_a_threshold_per_group():
    records = Records()
    sums = BucketSums.of(torch.tensor([1.0, 3.0, 8.0]), torch.tensor([0, 0, 2]))
    records.add_buckets("kl", sums)
    records.add_buckets("kl_window", BucketSums())
    table = records.table().set_index(["metric", "bucket"])["value"].to_dict()
    assert table == {("kl", "easy"): 2.0, ("kl", "hard"): 8.0, ("kl", "all"): 4.0}
    several = torch.tensor([1.0, 1.0, math.inf, math.inf])
    assert mean_threshold(shaped(threshold=several)) == 1.0
    assert mean_threshold(shaped(threshold=torch.tensor([math.inf]))) == math.inf
    assert mean_threshold(shaped(threshold=-1.0)) == -1.0


def test_records_survive_json_and_go_on():
    records = filled()
    with records.clock("update"):
        pass
    other = Records()
    other.load_state_dict(json.loads(json.dumps(records.state_dict())))
    assert other.table().equals(records.table()) and other.seconds().equals(records.seconds())
    for each in (records, other):
        each.add("loss", 9.0)
    assert other.table().equals(records.table())
    assert other.table().value.tolist() == [2.0, 5.0, 8.0]


def test_clocks_may_nest_and_count_no_second_twice(monkeypatch):
    now = iter([0.0, 1.0, 4.0, 5.0, 7.0, 10.0])  # update( 1s scoring( 3s ) 1s sampling( 2s ) 3s )
    monkeypatch.setattr("time.perf_counter", lambda: next(now))
    records = Records()
    with records.clock("update"):
        with records.clock("scoring"):
            pass
        with records.clock("sampling"):
            records.step = 1
    # A phase belongs to the step in which it ends.
    assert records.seconds().to_dict("records") == [
        {"step": 0, "phase": "scoring", "seconds": 3.0},
        {"step": 1, "phase": "sampling", "seconds": 2.0},
        {"step": 1, "phase": "update", "seconds": 5.0},
    ]


def test_what_was_graded_is_not_graded_again():
    calls = []
    grader = RewardFunction(
        lambda completions: calls.append(completions) or [1.0] * len(completions)
    )
    assert grader(completions=["a", "b"]) == [1.0, 1.0]
    grader.known = [0.0, 1.0]
    assert grader(completions=["a", "b"]) == [0.0, 1.0] == grader.last
    assert len(calls) == 1
    assert grader(completions=["c"]) == [1.0] and len(calls) == 2  # known counts once


@pytest.mark.parametrize("verdict", [None, math.nan, -0.5, 2])
def test_other_verdicts_are_refused_with_the_completion(verdict):
    completions = ["the first", "the second"]
    with pytest.raises(UserError, match=f"gave {verdict} for 'the second'"):
        RewardFunction(lambda completions: [1.0, verdict])(completions=completions)
    with pytest.raises(UserError, match="gave 1 verdicts for 2 completions"):
        RewardFunction(lambda completions: [1.0])(completions=completions)


def shaped(**changes) -> Shaped:
    values = {
        "threshold": 2.0, "window_BT": torch.zeros(4, 3), "hwe_BT": torch.zeros(4, 3).bool(),
        "count_B": torch.tensor([0, 2, 1, 3]), "pass_rate_B": torch.tensor([1.0, 1.0, 0.5, 0.5]),
        "bucket_B": torch.tensor([0, 0, 1, 1]), "target_B": torch.tensor([1.0, 1.0, 4.0, 4.0]),
        "entropy_reward_B": torch.tensor([0.0, 0.5, 0.0, -0.5]),
        "score_B": torch.tensor([1.0, 1.5, 1.0, -0.5]),
        "keep_B": torch.tensor([False, False, True, True]), "advantage_BT": torch.zeros(4, 3),
    }  # fmt: skip
    return Shaped(**{**values, **changes})


def test_what_is_noted_of_a_batch():
    batch = Rollouts(
        entropy_BT=torch.tensor(
            [[1.0, 2.0, 9.0], [3.0, 3.0, 3.0], [4.0, 9.0, 9.0], [2.0, 4.0, 6.0]]
        ),
        mask_BT=torch.tensor([[1, 1, 0], [1, 1, 1], [1, 0, 0], [1, 1, 1]]).bool(),
        accuracy_B=torch.tensor([1.0, 1.0, 1.0, 0.0]),
        group_B=torch.tensor([0, 0, 1, 1]),
    )
    records = Records()
    trigger_BT = torch.tensor([[1, 0, 0], [0, 0, 0], [1, 0, 0], [0, 1, 0]]).bool()
    note_shaped(records, batch, shaped(), trigger_BT)
    assert records.current() == {
        "length/easy": 2.5, "length/medium": 2.0,
        "hwe": 1.5, "hwe/easy": 1.0, "hwe/medium": 2.0,
        "entropy": 3.125, "entropy/easy": 2.25, "entropy/medium": 4.0,
        "score": 0.75, "score/easy": 1.25, "score/medium": 0.25,
        "entropy_reward": 0.0, "entropy_reward/easy": 0.25, "entropy_reward/medium": -0.25,
        "target/easy": 1.0, "target/medium": 4.0,
        "pass_rate": 0.75, "pass_rate/easy": 1.0, "pass_rate/medium": 0.5,
        "triggers": 0.75, "triggers/easy": 0.5, "triggers/medium": 1.0,
        "trigger_entropy": 3.0, "trigger_entropy/easy": 1.0, "trigger_entropy/medium": 4.0,
        "rollouts": 4.0, "rollouts/easy": 2.0, "rollouts/medium": 2.0, "rollouts/hard": 0.0,
        "rollouts_kept": 2.0, "threshold": 2.0,
    }  # fmt: skip


def test_the_kl_in_the_reward_adds_variance_as_proposition_1_says():
    """Var(A) changes by (1 - 1/N)(c^2 Var K - 2 c Cov(S, K)) for one group of N."""
    score_B, kl_B = torch.tensor([1.0, 0.0, 0.0, 1.0]), torch.tensor([0.1, -0.3, 0.2, 0.4])
    records = Records()
    note_variance(records, score_B, kl_B, torch.zeros(4, dtype=torch.long), coefficient=0.5)
    plain, inside = records.table().value
    c, (s, k) = 0.5, (score_B - score_B.mean(), kl_B - kl_B.mean())
    assert plain == pytest.approx(0.25)
    assert inside - plain == pytest.approx(float((c**2 * k**2 - 2 * c * s * k).mean()), abs=1e-7)
