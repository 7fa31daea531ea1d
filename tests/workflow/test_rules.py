"""The Snakemake workflow: it plans jobs, names mistakes, and passes what the notebooks expect."""

import ast
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ares import paths
from ares.config import load_config, scales
from ares.findings import reference

#: Scales of the small world.
WORLDS = [name for name in scales() if not load_config(name).of_data_sets]
EVALUATION = "results/smoke/evaluation.parquet"
LISTED = yaml.safe_load((paths.ROOT / "workflow/notebooks.yaml").read_text(encoding="utf-8"))


def snakemake(*arguments: str) -> subprocess.CompletedProcess:
    """Run Snakemake's planner in the root of the repository."""
    return subprocess.run(
        [sys.executable, "-m", "snakemake", *arguments],
        cwd=paths.ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )


def planned_jobs(plan: str) -> dict[str, int]:
    """Return how often each rule runs, from the first table of a dry run."""
    table = plan.split("Job stats:")[1].split("total")[0]
    return {name: int(count) for name, count in re.findall(r"^(\w+)\s+(\d+)$", table, re.MULTILINE)}


@pytest.fixture(scope="module")
def smoke_plan() -> str:
    """What a full run at scale smoke would do, with its shell commands."""
    done = snakemake("-n", "-p", "--forceall", "--config", "scale=smoke")
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def inputs() -> dict[str, set[str]]:
    """The input files of every rule, of all its jobs together."""
    done = snakemake("--filegraph", "--forceall", "--config", "scale=smoke")
    assert done.returncode == 0, done.stderr
    # The graph is a drawing: a heading per rule, then its files, inputs first.
    _, *parts = re.split(r'<font point-size="18">(\w+)</font>', done.stdout)
    return {
        rule: set(re.findall(r'"monospace">([^<]+)<', files.split("output")[0]))
        for rule, files in zip(parts[::2], parts[1::2], strict=True)
    }


def read_notebook(name: str) -> dict:
    return json.loads((paths.NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))


def parameters_cell(name: str) -> str:
    """Return the source of the one cell that is tagged `parameters`."""
    [cell] = [
        cell
        for cell in read_notebook(name)["cells"]
        if "parameters" in cell["metadata"].get("tags", [])
    ]
    return "".join(cell["source"])


def passed_parameters(plan: str, name: str) -> dict:
    """Return the parameters that the rule of a notebook writes for papermill."""
    [line] = [line for line in plan.splitlines() if "printf" in line and f"{name}.ipynb" in line]
    words = shlex.split(line.split("Shell command: ")[1])
    return json.loads(words[words.index("printf") + 2])


def test_a_bare_run_makes_the_laptop_figures():
    done = snakemake("-n", "-p", "--forceall")
    assert done.returncode == 0, done.stderr
    jobs = planned_jobs(done.stdout)
    assert jobs["all"] == 1
    assert {f"notebook_{name}" for name in LISTED} <= set(jobs)
    assert "--config config/laptop.yaml" in done.stdout


@pytest.mark.parametrize("scale", WORLDS)
def test_every_other_scale_can_be_planned(scale):
    done = snakemake("-n", "--forceall", "--config", f"scale={scale}")
    assert done.returncode == 0, done.stderr
    assert planned_jobs(done.stdout)["rollout_shard"] >= 1


def test_the_smoke_scale_exercises_the_merging_of_shards(smoke_plan):
    jobs = planned_jobs(smoke_plan)
    assert jobs["rollout_shard"] == jobs["causal_shard"] == 2


def runs_of(scale: str) -> set[tuple[str, str]]:
    """Every arm with each of its seeds, as a command line names them."""
    arms = load_config(scale).aepo.arms
    return {(arm, str(seed)) for arm, entry in arms.items() for seed in entry.seeds}


def option(command: str, name: str) -> str:
    """The value of an option in a command line."""
    words = shlex.split(command)
    return words[words.index(f"--{name}") + 1]


def commands(plan: str, step: str) -> list[str]:
    """The command lines of a step that a launcher starts."""
    return re.findall(rf"(python -m ares\.steps\.{step} .*)$", plan, re.MULTILINE)


def test_every_arm_is_trained_with_every_seed_from_its_start(smoke_plan):
    trained = commands(smoke_plan, "train")
    assert {(option(line, "arm"), option(line, "seed")) for line in trained} == runs_of("smoke")
    starts = {option(line, "arm"): option(line, "start") for line in trained}
    assert starts.pop("ares-from-vanilla") == "results/smoke/models/cs-vanilla"
    assert set(starts.values()) == {"results/smoke/models/adacs"}
    # No two runs write or keep the same thing.
    for name in ("state", "model-out", "tables-out"):
        assert len({option(line, name) for line in trained}) == len(trained)


def test_every_model_is_tested_with_the_threshold_of_the_base():
    done = snakemake("--dag", "--forceall", "--config", "scale=smoke", "--", EVALUATION)
    job = dict(re.findall(r'(\d+)\[label = "evaluate\\nmodel: ([\w-]+)"', done.stdout))
    runs = {f"{arm}-s{seed}" for arm, seed in runs_of("smoke")}
    assert set(job.values()) == runs | {"base", "adacs", "cs-vanilla"}
    edges = re.findall(r"(\d+) -> (\d+)", done.stdout)
    after_base = {job[end] for start, end in edges if job.get(start) == "base" and end in job}
    assert after_base == set(job.values()) - {"base"}


@pytest.mark.parametrize(
    ("rule", "number"),
    [("pass_rate_shard", 1), ("pool_shard", 1), ("curate", 1), ("sft", 2), ("findings_page", 1)],
)
def test_every_step_runs_as_often_as_it_should(smoke_plan, rule, number):
    assert planned_jobs(smoke_plan)[rule] == number


def test_every_table_of_the_workflow_is_kept_for_the_reference(inputs):
    made = {file for file in inputs["manifest"] if file.endswith(".parquet")}
    assert made == {f"results/smoke/{name}.parquet" for name in reference.TABLES}
    assert "results/smoke/findings.csv" in inputs["manifest"]


def test_the_commands_on_the_findings_page_name_files_that_rules_make(inputs):
    made = set().union(*inputs.values())
    page = (paths.ROOT / "docs/findings.html").read_text(encoding="utf-8")
    told = set(re.findall(r"<code>snakemake --cores all results/laptop/(\S+)", page))
    assert len(told) == 1 + len(LISTED)
    assert {f"results/smoke/{target}" for target in told} <= made


@pytest.mark.parametrize("name", LISTED)
def test_the_settings_that_a_notebook_reads_are_listed(name):
    code = "\n".join(
        "".join(cell["source"])
        for cell in read_notebook(name)["cells"]
        if cell["cell_type"] == "code"
    )
    listed = LISTED[name].get("settings", [])
    read = set(re.findall(r'settings\["(\w+)"\]', code))
    assert read <= {key.split(".")[0] for key in listed}
    inside = {f"{a}.{b}" for a, b in re.findall(r'settings\["(\w+)"\]\["(\w+)"\]', code)}
    assert all(key in listed or key.split(".")[0] in listed for key in inside)
    assert ("load_config" in code) == bool(listed)


@pytest.mark.parametrize("name", LISTED)
def test_the_files_that_a_notebook_reads_are_listed(name):
    listed = LISTED[name]
    code = "\n".join("".join(cell["source"]) for cell in read_notebook(name)["cells"])
    papers = {Path(path).stem for path in listed.get("data", [])}
    for path in (paths.DATA / "paper").glob("*.csv"):
        assert path.stem not in code or path.stem in papers, path
    if "load_rules" in code:
        book = (paths.CONFIG / "findings.yaml").read_text(encoding="utf-8")
        assert {"findings"} | {Path(f).stem for f in re.findall(r"\w+\.csv", book)} <= papers
    assert set(listed.get("timed", [])) <= set(listed["figures"])


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("scale=lptop", "ares: error: unknown scale 'lptop'; did you mean 'laptop'?"),
        ("seed=3", "ares: error: --config seed=...: only scale can be given there"),
        ("scale=config/world.yaml", "ares: error: config/world.yaml: unknown key 'numbers'"),
    ],
)
def test_a_mistake_is_one_line(setting, message):
    done = snakemake("-n", "--quiet", "all", "--config", setting)
    assert done.returncode != 0
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_the_notebooks_are_those_listed():
    assert sorted(LISTED) == sorted(path.stem for path in paths.NOTEBOOKS.glob("*.ipynb"))


@pytest.mark.parametrize("name", LISTED)
def test_a_notebook_is_passed_exactly_its_parameters(name, smoke_plan):
    assigned = ast.parse(parameters_cell(name)).body
    names = {node.targets[0].id for node in assigned if isinstance(node, ast.Assign)}
    assert len(names) == len(assigned), "the parameters cell holds assignments and nothing else"
    assert names == set(passed_parameters(smoke_plan, name))


@pytest.mark.parametrize("name", LISTED)
def test_the_default_parameters_are_literals(name):
    for node in ast.parse(parameters_cell(name)).body:
        assert ast.literal_eval(node.value) is not None


@pytest.mark.parametrize("name", LISTED)
def test_a_notebook_is_stored_with_its_outputs_and_checks_some(name):
    notebook = read_notebook(name)
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["execution_count"] for cell in code), "run all cells before storing it"
    checked = [
        cell
        for cell in code
        if "NBVAL_CHECK_OUTPUT" in "".join(cell["source"])
        or "nbval-check-output" in cell["metadata"].get("tags", [])
    ]
    assert checked
    assert all(cell["outputs"] for cell in checked)


def test_tables_are_passed_to_notebooks_that_read_some(smoke_plan):
    for name, spec in LISTED.items():
        expected = {"figures": "figures/smoke", **spec.get("parameters", {})}
        if spec["tables"]:
            expected |= {"config": "config/smoke.yaml", "tables": "results/smoke"}
        assert passed_parameters(smoke_plan, name) == expected


def test_rules_depend_on_the_code_behind_their_scripts(inputs):
    for rule, source in [
        ("problems", "ares/data/countdown.py"),
        ("rollout_shard", "ares/sampling/engine.py"),
        ("tokens", "ares/method/lexicon.json"),
        ("causal_shard", "ares/data/responses.py"),
        ("sft", "ares/training/sft.py"),
        ("train", "ares/training/trainer.py"),
        ("train", "ares/method/kl.py"),
        ("evaluate", "ares/sampling/engine.py"),
        ("findings", "config/findings.yaml"),
        ("notebook_05_theory", "ares/method/theory.py"),
        ("notebook_05_theory", "notebooks/05_theory.ipynb"),
    ]:
        assert source in inputs[rule], rule
    assert "ares/sampling/engine.py" not in inputs["problems"]
    assert "ares/training/trainer.py" not in inputs["evaluate"] | inputs["sft"]
