"""Every arm of the smoke scale is trained, and writes what docs/metrics.md says."""

import re
from pathlib import Path

import pytest
import torch
import yaml
from transformers import TrainerCallback

from ares import paths
from ares.config import load_config
from ares.data.problems import choose_problems
from ares.io import read_table, write_table
from ares.method.presets import PRESETS
from ares.model.load import load_policy
from ares.training import run as module
from tests.steps import launched

ARMS = load_config("smoke").aepo.arms
BUCKETS = {"easy", "medium", "hard"}
TABLES = ("steps", "timings", "validation", "trees")
PAGE = paths.ROOT / "docs" / "metrics.md"


@pytest.fixture(scope="module")
def config(scenes, tmp_path_factory) -> Path:
    """The smallest run that has everything: two batches, a checkpoint, a validation."""
    small = scenes.small_config(steps=2)
    file = tmp_path_factory.mktemp("config") / "small.yaml"
    file.write_text(yaml.safe_dump(small.model_dump(mode="json", exclude_unset=True)))
    return file


def train(config: Path, arm: str, start: Path, out: Path) -> int:
    """The real step."""
    where = {"state": out / "state", "model_out": out / "model", "tables_out": out}
    prompts = config.with_name("prompts.parquet")
    write_table(prompts, choose_problems(load_config(config), "aepo"))
    return launched("train", config=config, prompts=prompts, arm=arm, seed=1, start=start, **where)


@pytest.fixture(scope="module")
def trained(scenes, config, lively_folder, tmp_path_factory) -> dict[str, Path]:
    """What the training step writes, by arm."""
    folders = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "Verifier", lambda grader: scenes.odd_length)
        for arm in ARMS:
            folders[arm] = tmp_path_factory.mktemp(arm)
            assert train(config, arm, lively_folder, folders[arm]) == 0
    return folders


def settings_of(arm: str):
    return load_config("smoke").aepo.settings_of(arm)


def test_the_presets_are_tried():
    tried = {arm.preset or name for name, arm in ARMS.items()}
    assert {"paper", "released", "ares", "ares-branch", "grpo", "dapo"} <= tried <= set(PRESETS)


@pytest.mark.parametrize("arm", ARMS)
def test_an_arm_trains_and_leaves_what_it_promises(trained, lively_folder, arm):
    out = trained[arm]
    assert sorted(path.name for path in out.iterdir()) == sorted(
        ["model", *(f"{name}.parquet" for name in TABLES)]  # and no state
    )
    tables = {name: read_table(out / f"{name}.parquet") for name in TABLES}
    for table in tables.values():
        assert list(table.columns[:3]) == ["arm", "seed", "step"]
        assert set(table.arm) <= {arm} and set(table.seed) <= {1}
    assert set(tables["steps"].step) == {1, 2} and tables["steps"].value.notna().all()
    assert set(tables["validation"].step) == {0, 2}
    assert set(tables["timings"].phase) == {
        *("sampling", "scoring", "gradients", "update", "validation")
    }
    assert (tables["timings"].seconds > 0).all()
    assert tables["trees"].empty != settings_of(arm).branching
    steps = tables["steps"].set_index(["metric", "bucket"])["value"]
    assert (steps["grad_norm", "all"] > 0).any() and (steps["rollouts_kept", "all"] > 0).any()

    model, _ = load_policy(out / "model")  # with processor and world
    start, _ = load_policy(lively_folder)
    weights, before = model.state_dict(), start.state_dict()
    assert weights.keys() == before.keys()
    assert any(not torch.equal(weights[name], before[name].half().float()) for name in weights)
    assert (out / "model" / "world.json").is_file()


def documented() -> dict[str, tuple[set[str], str]]:
    """Buckets and arms of every metric on the page."""
    section = PAGE.read_text(encoding="utf-8").split("## The table `timings`")[0]
    rows = re.findall(r"^\| `(\w+)` \| [^|]*\| ([^|]+) \| ([^|]+) \|", section, re.MULTILINE)
    buckets = {"all": {"all"}, "both": {"all"} | BUCKETS, "easy, medium, hard": BUCKETS}
    return {metric: (buckets[which], arms) for metric, which, arms in rows}


@pytest.mark.parametrize("arm", ARMS)
def test_an_arm_writes_exactly_the_metrics_on_the_page(trained, arm):
    method = settings_of(arm)
    holds = {
        "every arm": True,
        "with a KL": method.kl != "none",
        "with a KL controller": method.kl in ("bucket", "window"),
        "with an entropy reward": method.entropy_reward != "none",
    }
    expected = {metric for metric, (_, arms) in documented().items() if holds[arms]}
    steps = read_table(trained[arm] / "steps.parquet")
    written = set(steps.metric)
    # Without variance on both sides there is no correlation.
    assert written <= expected and expected - written <= {"entropy_reward_correlation"}
    for metric, rows in steps.groupby("metric"):
        allowed = documented()[metric][0]
        assert set(rows.bucket) <= allowed
        if "all" in allowed:
            assert "all" in set(rows.bucket)
    assert set(steps[steps.metric == "rollouts"].bucket) == {"all"} | BUCKETS


class Recorder(TrainerCallback):
    """Stands where a reporter stands: it is handed every log."""

    def __init__(self) -> None:
        self.logs: list[dict] = []

    def on_log(self, args, state, control, logs, **others) -> None:
        self.logs.append(dict(logs))


def test_reporters_are_handed_our_metrics(scenes, made):
    made = made(data=scenes.dataset(4, ["text"]))
    recorder = Recorder()
    made.add_callback(recorder)
    made.train()
    *steps, summary = recorder.logs
    assert len(steps) == 2 and "train_runtime" in summary
    assert not any(name.startswith("aepo/") for name in summary)
    table = made.records.table()
    logged_elsewhere = {"loss", "grad_norm", "lr", "clip_fraction"}
    for number, logs in enumerate(steps, start=1):
        rows = table[(table.step == number) & ~table.metric.isin(logged_elsewhere)]
        expected = {
            f"aepo/{row.metric}" + ("" if row.bucket == "all" else f"/{row.bucket}"): row.value
            for row in rows.itertuples()
        }
        ours = {name: value for name, value in logs.items() if name.startswith("aepo/")}
        assert ours == expected
        assert {"aepo/accuracy", "aepo/hwe", "aepo/threshold", "aepo/finished"} <= set(ours)


def test_report_to_tensorboard_writes_our_metrics(scenes, made, tmp_path, monkeypatch):
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "board"))
    made(data=scenes.dataset(4, ["text"]), arguments={"report_to": ["tensorboard"]}).train()
    (events,) = (tmp_path / "board").rglob("events.out.tfevents.*")
    content = events.read_bytes()
    assert b"aepo/accuracy" in content and b"aepo/hwe/easy" in content
