"""What runs again after a change: that which depends on it, and nothing else.

The workflow is run in a copy of the repository whose steps, and `papermill`, write empty outputs
and end. Snakemake then plans on its own records, as it would after a real run.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import yaml

from ares.paths import ROOT

#: Three arms, one of which starts from the other cold start, and one with two seeds.
ARMS = {
    "grpo": {"seeds": [1]},
    "ares": {"seeds": [1, 2]},
    "from-base": {"preset": "ares", "start": "base", "seeds": [3]},
}
CONFIG = {
    "scale": "stand-in",
    "problems": {"per_level": 1},
    "rollouts": {"batch_prompts": 2, "shards": 1},
    "causal": {"rollouts": 1, "alternatives": 2, "continuations": 2, "shards": 1},
    "cold_start": {
        "per_level": 2,
        "max_new_tokens": 20,
        "size": 4,
        "sft": {"batch": 4, "lr": 3e-4},
    },
    "aepo": {
        "steps": 1,
        "prompts": 2,
        "lr": 3e-4,
        "max_new_tokens": 20,
        "validation": {"per_level": 1, "every": 1},
        "arms": ARMS,
    },
    "evaluation": {"per_level": 1, "samples": 2, "max_new_tokens": 20},
}
#: What all jobs of the copy do in place of their work.
STAND_IN = """
import json
import os
import sys
import time
from pathlib import Path


def make(files):
    time.sleep(float(os.environ.get("STAND_IN_S", 0)))
    while not Path(os.environ.get("STAND_IN_UNTIL", ".")).exists():
        time.sleep(0.05)
    for path in map(Path, files):
        if path.suffix:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("")
        else:
            path.mkdir(parents=True, exist_ok=True)
            (path / "config.json").write_text("{}")
    with open("calls.txt", "a") as calls:
        calls.write(" ".join(map(str, files)) + "\\n")
    sys.exit()


def launched():
    given = dict(zip(sys.argv[2::2], sys.argv[3::2]))
    tables = Path(given.get("--tables-out", "."))
    runs = [tables / f"{name}.parquet" for name in ("steps", "timings", "validation", "trees")]
    outputs = ("--out", "--model-out", "--losses-out")
    named = [given[option] for option in outputs if option in given]
    make(named + runs * ("--tables-out" in given))


def papermill():
    words = sys.argv[1:]
    parameters = json.loads(Path(words[words.index("-f") + 1]).read_text())
    figures = json.loads(Path("figures.json").read_text())[Path(words[-1]).stem]
    endings = ("png", "pdf", "csv")
    make([words[-1]] + [f"{parameters['figures']}/{f}.{e}" for f in figures for e in endings])
"""
#: What follows every new test of a model.
AFTER_A_TEST = {"findings": 1, "manifest": 1, "findings_page": 1, "all": 1} | {
    f"notebook_{name}": 1
    for name in ("08_cold_start", "09_training", "10_ablation", "11_benchmarks")
}


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A copy of the repository in which the workflow has run once."""
    folder = tmp_path_factory.mktemp("reruns")
    make_stand_in(folder)
    write_config(folder)
    done = snakemake(folder, "--cores", "4")
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def make_stand_in(folder: Path) -> None:
    """Copy the repository into `folder`, with stand-ins for the work of its jobs."""
    copy_repository(folder)
    listed = yaml.safe_load((folder / "workflow/notebooks.yaml").read_text(encoding="utf-8"))
    figures = {name: spec["figures"] for name, spec in listed.items()}
    (folder / "figures.json").write_text(json.dumps(figures), encoding="utf-8")
    (folder / "stand_in.py").write_text(STAND_IN)
    # The modules that a step imports are still named in it: they are the inputs of its rule.
    for script in (folder / "workflow/scripts").glob("*.py"):
        first = "import stand_in\n\nstand_in.make(snakemake.output)\n"
        script.write_text(first + script.read_text())
    launch, future = folder / "ares/launch.py", "from __future__ import annotations\n"
    first = "import stand_in\n\nif __name__ == '__main__':\n    stand_in.launched()\n"
    launch.write_text(launch.read_text().replace(future, future + first))
    python = os.path.realpath(sys.executable)
    papermill = folder / "bin/papermill"
    papermill.write_text(f"#!{python}\nimport stand_in\n\nstand_in.papermill()\n")
    papermill.chmod(0o755)


def copy_repository(folder: Path) -> None:
    """Copy what the workflow needs into `folder`, and make its bin/python."""
    for name in ("ares", "config", "data", "notebooks", "profiles", "workflow"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    shutil.copy(ROOT / "Snakefile", folder)
    # The commands that jobs start are those beside the Python that runs Snakemake.
    (folder / "bin").mkdir()
    (folder / "bin/python").symlink_to(os.path.realpath(sys.executable))


def write_config(folder: Path, **changes: object) -> None:
    """Write the config with changes like {"aepo.lr": 1e-4}."""
    config = yaml.safe_load(yaml.safe_dump(CONFIG))
    for where, value in changes.items():
        *parents, key = where.split(".")
        part = config
        for parent in parents:
            part = part.setdefault(parent, {})
        part[key] = value
    (folder / "config/stand-in.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")


def command_line(folder: Path, *arguments: str, scale: str = "stand-in") -> list[str]:
    """Snakemake in the copy."""
    python = str(folder / "bin/python")
    return [python, "-m", "snakemake", *arguments, "--config", f"scale={scale}"]


def environment(folder: Path) -> dict[str, str]:
    """What Snakemake in the copy needs to find the package and its own packages."""
    installed = sysconfig.get_paths()
    return {
        **os.environ,
        "PYTHONPATH": f"{folder}:{installed['purelib']}",
        "JUPYTER_PATH": f"{installed['data']}/share/jupyter",
    }


def snakemake(
    folder: Path, *arguments: str, scale: str = "stand-in"
) -> subprocess.CompletedProcess:
    return subprocess.run(
        command_line(folder, *arguments, scale=scale),
        cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=900,
    )  # fmt: skip


def planned(folder: Path, scale: str = "stand-in", *targets: str) -> dict[str, int]:
    """How often each rule would run."""
    done = snakemake(folder, "-n", *targets, scale=scale)
    assert done.returncode == 0, done.stderr
    if "Job stats:" not in done.stdout:
        assert "Nothing to be done" in done.stdout + done.stderr
        return {}
    table = done.stdout.split("Job stats:")[1].split("total")[0]
    return {name: int(count) for name, count in re.findall(r"^(\w+)\s+(\d+)$", table, re.MULTILINE)}


def test_a_finished_run_is_finished(place):
    write_config(place)
    assert planned(place) == {}


def test_a_seed_more_is_one_run_more(place):
    write_config(place, **{"aepo.arms": ARMS | {"grpo": {"seeds": [1, 5]}}})
    assert planned(place) == {"train": 1, "evaluate": 1, "join": 5, **AFTER_A_TEST}


@pytest.mark.slow
def test_an_arm_more_is_its_runs_more(place):
    write_config(place, **{"aepo.arms": ARMS | {"dapo": {"seeds": [1, 2]}}})
    assert planned(place) == {"train": 2, "evaluate": 2, "join": 5, **AFTER_A_TEST}


def test_a_preset_more_reaches_no_run_and_a_changed_one_its_own(place):
    write_config(place)
    presets = place / "ares/method/presets.yaml"
    text = presets.read_text(encoding="utf-8")
    try:
        # Notebooks compare presets, so they run again.
        presets.write_text(f"{text}  mine:\n    kl: [none, ours]\n", encoding="utf-8")
        rest = {"manifest", "findings_page", "all"}
        assert {name for name in planned(place) if not name.startswith("notebook_")} <= rest
        changed = text.replace('[0.2, "GRPO: symmetric"]', '[0.25, "GRPO: symmetric"]')
        presets.write_text(changed, encoding="utf-8")
        assert planned(place)["train"] == 1
    finally:
        presets.write_text(text, encoding="utf-8")


@pytest.mark.slow
def test_a_changed_arm_is_trained_again_alone(place):
    write_config(place, **{"aepo.arms.grpo.start": "cs-vanilla"})
    assert planned(place) == {"train": 1, "evaluate": 1, "join": 5, **AFTER_A_TEST}


#: Another value for one key, and what it reaches.
CHANGES = {
    "aepo.lr": (1e-4, {"train": 4, "evaluate": 4, "join": 5, **AFTER_A_TEST}),
    "aepo.checkpoint_every": (3, {"manifest": 1, "findings_page": 1, "all": 1}),
    "evaluation.samples": (3, {"evaluate": 7, "join": 1, **AFTER_A_TEST}),
    # The run that starts from the base model does not see the cold start.
    "cold_start.size": (
        5,
        {"curate": 1, "sft": 2, "train": 3, "evaluate": 5, "join": 5, **AFTER_A_TEST},
    ),
    "causal.continuations": (
        4,
        {"causal_shard": 1, "join": 1, "findings": 1, "notebook_02_windows": 1}
        | {"manifest": 1, "findings_page": 1, "all": 1},
    ),
    "bootstrap.resamples": (
        99,
        {"findings": 1, "notebook_01_world": 1, "notebook_02_windows": 1}
        | {"notebook_03_difficulty": 1, "notebook_04_hwe_length": 1, "notebook_06_paper_vs_code": 1}
        | {"notebook_08_cold_start": 1, "notebook_09_training": 1, "notebook_10_ablation": 1}
        | {"notebook_11_benchmarks": 1, "manifest": 1, "findings_page": 1, "all": 1},
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("key", CHANGES)
def test_a_changed_value_reaches_what_reads_it(place, key):
    value, expected = CHANGES[key]
    write_config(place, **{key: value})
    assert planned(place) == expected


@pytest.mark.slow
def test_a_changed_module_reaches_the_steps_that_import_it(place):
    write_config(place)
    module = place / "ares/coldstart/curate.py"
    module.write_text(module.read_text(encoding="utf-8") + "\n# another comment\n")
    jobs = planned(place)
    assert jobs["curate"] == 1 and jobs["sft"] == 2
    assert "pass_rate_shard" not in jobs and "rollout_shard" not in jobs


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
