"""Pass rates and the pool: what is counted, what is kept, and on what a trace depends."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ares.coldstart.pass_rates import sampling_for, summarise, training_tasks
from ares.coldstart.pool import COLUMNS, build_pool
from ares.coldstart.teachers import SmallWorldTeachers, SourceStopped, TeacherTrace
from ares.config import Scale, load_config
from ares.errors import UserError
from ares.model.tiny import build_tokenizer
from ares.sampling.rollouts import Task
from ares.world.problem import Problem, split_of
from ares.world.settings import HABITS, load_world
from ares.world.verify import verify
from tests.configs import changed

WORLD = load_world()
TOKENIZER = build_tokenizer(WORLD)
RIGHT = "<think> guess </think> \\boxed{ 3 + 2 = 5 }"
TASK = Task(Problem((2, 3), 5), "easy", "text")


class Fixed:
    """A source that says the same to every task, and stops after `limit` tasks."""

    def __init__(self, *texts: str, limit: int = 99):
        self.texts, self.limit = texts, limit

    def traces(self, task: Task) -> list[TeacherTrace]:
        self.limit -= 1
        if self.limit < 0:
            raise SourceStopped("the budget is spent")
        return [TeacherTrace("direct", index, text) for index, text in enumerate(self.texts)]


def config_of(**changes) -> Scale:
    """The smoke scale with other values in its section `cold_start`."""
    return changed(load_config("smoke"), {f"cold_start.{key}": changes[key] for key in changes})


def pool_of(*texts: str, tasks: tuple[Task, ...] = (TASK,), **options) -> pd.DataFrame:
    settings = {"max_tokens": 99, **options}
    return build_pool(list(tasks), Fixed(*texts), TOKENIZER, WORLD, **settings).traces


def test_pass_rates_are_fractions_of_the_samples_of_a_prompt():
    rows = [
        ("a", "text", 1, 10), ("a", "text", 0, 20), ("a", "image", 0, 5), ("a", "image", 0, 7),
        ("b", "text", 1, 3), ("b", "text", 1, 3),
    ]  # fmt: skip
    rollouts = pd.DataFrame(rows, columns=["problem_id", "presentation", "correct", "n_tokens"])
    rollouts["correct"] = rollouts["correct"].astype(bool)
    rollouts = rollouts.assign(level="easy", k=2, target=5)
    rollouts["numbers"] = [[2, 3]] * len(rollouts)
    found = summarise(rollouts)
    assert found["pass_rate"].tolist() == [0.5, 0.0, 1.0]
    assert found["correct"].tolist() == [1, 0, 2] and found["samples"].tolist() == [2, 2, 2]
    assert found["n_tokens"].tolist() == [15.0, 6.0, 3.0]
    assert found["presentation"].tolist() == ["text", "image", "text"]


def test_training_tasks_are_of_the_training_split_in_both_presentations():
    tasks = training_tasks(config_of(per_level=3), WORLD)
    assert len(tasks) == 3 * 3 * 2
    assert {split_of(task.problem, WORLD) for task in tasks} == {"train"}
    assert [task.presentation for task in tasks[:2]] == ["text", "image"]
    assert tasks[0].problem == tasks[1].problem


def test_a_level_with_too_few_problems_gives_all_it_has():
    one = {"problems.levels": ["easy"], "problems.presentations": ["text"]}
    config = changed(config_of(per_level=500), one)
    tasks = training_tasks(config, WORLD)
    assert 300 < len(tasks) < 500
    assert len({task.problem.id for task in tasks}) == len(tasks)


def test_pass_rates_are_sampled_in_large_batches():
    config = load_config("laptop")
    sampling = sampling_for(config)
    assert sampling.batch_prompts >= 32
    assert sampling.samples == config.cold_start.samples
    assert sampling.temperature == config.rollouts.temperature


def test_right_traces_are_kept_once_and_counted_with_their_end_token():
    wrong = "<think> guess </think> \\boxed{ 3 - 2 = 1 }"
    pool = pool_of(RIGHT, wrong, "no box", RIGHT)
    assert list(pool.columns) == COLUMNS
    assert pool["text"].tolist() == [RIGHT] and pool["trace"].tolist() == [0]
    assert pool["n_tokens"].tolist() == [len(RIGHT.split()) + 1] == [11]
    assert pool.loc[0, "numbers"] == [2, 3] and pool.loc[0, "target"] == 5


def test_the_limit_of_length_counts_the_end_token():
    assert len(pool_of(RIGHT, max_tokens=11)) == 1
    with pytest.raises(UserError, match="at most 10 tokens"):
        pool_of(RIGHT, max_tokens=10)


@pytest.mark.parametrize("word", ["supercalifragilistic", "<|im_end|>", "<|image_pad|>"])
def test_words_the_model_lacks_and_special_tokens_are_refused(word):
    assert pool_of(RIGHT, f"{word} {RIGHT}")["text"].tolist() == [RIGHT]


def test_the_same_text_counts_for_each_prompt():
    shown = Task(TASK.problem, "easy", "image")
    assert pool_of(RIGHT, tasks=(TASK, shown))["presentation"].tolist() == ["text", "image"]


def test_what_a_stopped_source_gave_is_kept():
    pool = build_pool([TASK, TASK], Fixed(RIGHT, limit=1), TOKENIZER, WORLD, max_tokens=99)
    assert len(pool.traces) == 1 and pool.stopped == "the budget is spent"
    with pytest.raises(UserError, match="budget is spent"):
        build_pool([TASK], Fixed(RIGHT, limit=0), TOKENIZER, WORLD, max_tokens=99)


def test_every_habit_speaks_and_both_presentations_hear_the_same():
    problem = Problem((8, 3, 5), 19)
    teachers = SmallWorldTeachers(WORLD, number=2, seed=0)
    text, image = (teachers.traces(Task(problem, "medium", kind)) for kind in ("text", "image"))
    assert text == image
    assert [(t.habit, t.index) for t in text] == [(h, i) for h in HABITS for i in range(2)]
    assert len({t.text for t in text}) > 4


def test_more_traces_leave_the_first_as_they_were():
    task = Task(Problem((8, 3, 5), 19), "medium", "text")
    few, many = (SmallWorldTeachers(WORLD, n, seed=0).traces(task) for n in (1, 3))
    assert set(few) <= set(many)
    assert SmallWorldTeachers(WORLD, 1, seed=1).traces(task) != few


def test_the_small_worlds_pool_is_verified_and_longer_where_teachers_search():
    tasks = training_tasks(config_of(per_level=4), WORLD)
    pool = build_pool(tasks, SmallWorldTeachers(WORLD, 2, 0), TOKENIZER, WORLD, 448).traces
    for row in pool.itertuples():
        problem = Problem(tuple(row.numbers), row.target)
        assert verify(problem, row.text, WORLD.values).correct
    assert not pool.duplicated(["problem_id", "presentation", "text"]).any()
    lengths = pool.groupby("habit")["n_tokens"].median()
    assert lengths["direct"] < lengths["search"] < lengths["overcheck"]
    assert np.all(pool["n_tokens"] <= 448)
