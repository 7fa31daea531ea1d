"""What runs again after a change: that which depends on it, and nothing else.

In a copy of the repository every output of the workflow is made empty, and Snakemake touches it as
if its job had made it. It then plans on its own records, as it would after a real run.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.stand_in import ARMS, copy_repository, planned, snakemake, write_config

#: What follows every new test of a model.
AFTER_A_TEST = {"findings": 1, "manifest": 1, "findings_page": 1, "all": 1} | {
    f"notebook_{name}": 1
    for name in ("08_cold_start", "09_training", "10_ablation", "11_benchmarks")
}


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A copy of the repository in which the workflow has run once."""
    folder = tmp_path_factory.mktemp("reruns")
    copy_repository(folder)
    write_config(folder)
    listed = snakemake(folder, "--summary").stdout.splitlines()[1:]
    for path in (folder / line.split("\t")[0] for line in listed):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix:
            path.touch()
        else:  # a model, or the page
            path.mkdir(exist_ok=True)
            (path / "config.json").touch()
    done = snakemake(folder, "--touch", "--forceall", "--cores", "1")
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def test_a_finished_run_is_finished_and_a_seed_more_is_one_run_more(place):
    write_config(place)
    assert planned(place) == {}
    write_config(place, **{"aepo.arms": ARMS | {"grpo": {"seeds": [1, 5]}}})
    assert planned(place) == {"train": 1, "evaluate": 1, "join": 5, **AFTER_A_TEST}


def test_an_arm_more_is_its_runs_more_and_a_changed_preset_its_own_runs_again(place):
    """With changes of its own or a preset: no other arm is trained, no other notebook run."""
    presets = place / "ares/method/presets.yaml"
    text = presets.read_text(encoding="utf-8")
    try:
        expected = {"train": 2, "evaluate": 2, "join": 5, **AFTER_A_TEST}
        mine = {"preset": "ares", "changes": {"kl": "none"}, "seeds": [1, 2]}
        write_config(place, **{"aepo.arms": ARMS | {"mine": mine}})
        assert planned(place) == expected
        presets.write_text(f"{text}  mine:\n    kl: [none, ours]\n", encoding="utf-8")
        write_config(place, **{"aepo.arms": ARMS | {"mine": {"seeds": [1, 2]}}})
        assert planned(place) == expected
        write_config(place, **{"aepo.arms.grpo.changes": {"clip_high": 0.25}})
        assert planned(place)["train"] == 1
        write_config(place)
        changed = text.replace("kl: [fixed,", "kl_beta: [0.02, ours]\n    kl: [fixed,")
        presets.write_text(changed, encoding="utf-8")
        assert planned(place)["train"] == 1
        changed = text.replace("window_start: [after,", "window_start: [at,")
        presets.write_text(changed, encoding="utf-8")
        jobs = planned(place)  # no arm, but notebooks compare it
        assert "train" not in jobs and jobs["notebook_06_paper_vs_code"] == 1
        assert "notebook_11_benchmarks" not in jobs
    finally:
        presets.write_text(text, encoding="utf-8")


def test_another_comment_in_a_settings_file_reaches_nothing_and_another_value_does(place):
    write_config(place)
    files = [place / "config/world.yaml", place / "config/findings.yaml"]
    kept = [file.read_text(encoding="utf-8") for file in files]
    try:
        for file, text in zip(files, kept, strict=True):
            file.write_text(f"# another comment\n{text}", encoding="utf-8")
        assert planned(place) == {}
        files[0].write_text(kept[0].replace("numbers: [2, 25]", "numbers: [2, 24]"), "utf-8")
        assert planned(place)["problems"] == 1
    finally:
        for file, text in zip(files, kept, strict=True):
            file.write_text(text, encoding="utf-8")


#: Another value for one key, and what it reaches.
CHANGES = {
    "aepo.lr": (1e-4, {"train": 4, "evaluate": 4, "join": 5, **AFTER_A_TEST}),
    "aepo.arms.grpo.start": (
        *("cs-vanilla", {"train": 1, "evaluate": 1, "join": 5, **AFTER_A_TEST}),
    ),
    "aepo.checkpoint_every": (3, {"manifest": 1, "findings_page": 1, "all": 1}),
    "evaluation.samples": (3, {"evaluate": 7, "join": 1, **AFTER_A_TEST}),
    # The run that starts from the base model does not see the cold start.
    "cold_start.size": (
        *(5, {"curate": 1, "sft": 2, "train": 3, "evaluate": 5, "join": 5, **AFTER_A_TEST}),
    ),
    "causal.continuations": (
        4,
        {"causal_shard": 1, "join": 1, "findings": 1, "notebook_02_windows": 1}
        | {"manifest": 1, "findings_page": 1, "all": 1},
    ),
    "bootstrap.resamples": (
        99,
        {f"notebook_{name}": 1
         for name in ("01_world", "02_windows", "03_difficulty", "04_hwe_length")}
        | {"notebook_06_paper_vs_code": 1, **AFTER_A_TEST},
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("key", CHANGES)
def test_a_changed_value_reaches_what_reads_it(place, key):
    value, expected = CHANGES[key]
    write_config(place, **{key: value})
    assert planned(place) == expected


@pytest.mark.slow
def test_a_changed_module_reaches_the_steps_that_import_it(place):
    write_config(place)
    module = place / "ares/sampling/branching.py"
    text = module.read_text(encoding="utf-8")
    try:
        module.write_text(f"{text}\n# another comment\n", encoding="utf-8")
        jobs = planned(place)
    finally:
        module.write_text(text, encoding="utf-8")
    assert jobs["train"] == 4 and "sft" not in jobs and "curate" not in jobs


@pytest.mark.slow
def test_an_interrupted_run_keeps_its_state_for_the_same_settings_only(place):
    states = {}
    changes = {
        "same": {},
        "seeds": {"aepo.arms.ares.seeds": [2, 7]},
        "rate": {"aepo.lr": 1e-4},
        "start": {"cold_start.sft.lr": 1e-4},
    }
    for name, change in changes.items():
        write_config(place, **change)
        plan = snakemake(place, "-n", "-p", "--forceall", "results/stand-in/models/ares-s2").stdout
        (states[name],) = set(re.findall(r"--state (\S+/ares-s2-\S+)", plan))
    assert states["same"].startswith("results/stand-in/states/ares-s2-")
    assert states["seeds"] == states["same"]
    assert len(set(states.values())) == 3
