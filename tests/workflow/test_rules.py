"""The Snakemake workflow: it plans jobs, names mistakes, and passes what the notebooks expect."""

import ast
import json
import re
from pathlib import Path

import pytest
import yaml
from snakemake.cli import get_argument_parser

from ares import paths
from ares.config import load_config
from ares.findings import reference
from tests.plans import commands, jobs, option, parameters, plan, snakemake

LISTED = yaml.safe_load((paths.ROOT / "workflow/notebooks.yaml").read_text(encoding="utf-8"))
RULES = sorted((paths.ROOT / "workflow/rules").glob("*.smk"))
PROFILES = {
    path.parent.name: yaml.safe_load(path.read_text(encoding="utf-8"))
    for path in (paths.ROOT / "profiles").glob("*/config.yaml")
}


@pytest.fixture(scope="module")
def inputs() -> dict[str, set[str]]:
    """The input files of every rule at scale smoke, of all its jobs together."""
    done = snakemake("--filegraph", "--forceall", "--config", "scale=smoke")
    assert done.returncode == 0, done.stderr
    # The graph is a drawing: a heading per rule, then its files, inputs first.
    _, *parts = re.split(r'<font point-size="18">(\w+)</font>', done.stdout)
    return {
        rule: set(re.findall(r'"monospace">([^<]+)<', files.split("output")[0]))
        for rule, files in zip(parts[::2], parts[1::2], strict=True)
    }


# ------------------------------------------------------------------------------------ the plan


def test_a_bare_run_makes_the_figures_of_the_laptop_scale_from_the_shipped_base():
    planned = jobs(plan())
    assert {"all", "rollout_shard", *(f"notebook_{name}" for name in LISTED)} <= set(planned)
    assert "--config config/laptop.yaml" in plan()
    assert not {"base", "base_gpu"} & set(planned)


def test_the_gpu_scale_trains_its_base_model_first():
    planned = jobs(plan("gpu"))
    assert planned["base_gpu"] == 1 and "base" not in planned


def test_every_arm_is_trained_with_every_seed_from_its_start():
    arms, trained = load_config("smoke").aepo.arms, commands(plan("smoke"), "train")
    found = [[option(words, name) for name in ("arm", "seed", "start")] for words in trained]
    assert sorted(found) == sorted(
        [arm, str(seed), f"results/smoke/models/{entry.start}"]
        for arm, entry in arms.items()
        for seed in entry.seeds
    )
    # No two runs write or keep the same thing.
    for name in ("state", "model-out", "tables-out"):
        assert len({option(words, name) for words in trained}) == len(trained)


def test_every_model_is_tested_with_the_threshold_of_the_base():
    target = "results/smoke/evaluation.parquet"
    done = snakemake("--dag", "--forceall", "--config", "scale=smoke", "--", target)
    job = dict(re.findall(r'(\d+)\[label = "evaluate\\nmodel: ([\w-]+)"', done.stdout))
    edges = re.findall(r"(\d+) -> (\d+)", done.stdout)
    after_base = {job[end] for start, end in edges if job.get(start) == "base" and end in job}
    assert {"adacs", "cs-vanilla", "ares-s1"} <= after_base == {*job.values()} - {"base"}


def test_every_table_is_kept_for_the_reference(inputs):
    made = {file for file in inputs["manifest"] if file.endswith(".parquet")}
    assert made == {f"results/smoke/{name}.parquet" for name in reference.TABLES}
    assert "results/smoke/findings.csv" in inputs["manifest"]


def test_the_commands_on_the_findings_page_name_files_that_rules_make(inputs):
    made = set().union(*inputs.values())
    page = (paths.ROOT / "docs/findings.html").read_text(encoding="utf-8")
    shown = set(re.findall(r"<code>snakemake --cores all results/laptop/(\S+)", page))
    assert len(shown) == 1 + len(LISTED)
    assert {f"results/smoke/{target}" for target in shown} <= made


def test_rules_depend_on_the_code_behind_their_scripts(inputs):
    for rule, source in [
        ("problems", "ares/data/countdown.py"),
        ("rollout_shard", "ares/sampling/engine.py"),
        ("tokens", "ares/method/lexicon.json"),
        ("findings_page", "ares/findings/page.html"),
        ("causal_shard", "ares/data/responses.py"),
        ("sft", "ares/training/sft.py"),
        ("train", "ares/training/trainer.py"),
        ("train", "ares/method/kl.py"),
        ("findings", "config/findings.yaml"),
        ("notebook_05_theory", "notebooks/05_theory.ipynb"),
    ]:
        assert source in inputs[rule], rule
    assert "ares/sampling/engine.py" not in inputs["problems"]
    assert "ares/training/trainer.py" not in inputs["evaluate"] | inputs["sft"]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("scale=lptop", "ares: error: unknown scale 'lptop'; did you mean 'laptop'?"),
        ("seed=3", "ares: error: --config seed=...: only scale can be given there"),
    ],
)
def test_a_mistake_is_one_line(setting, message):
    done = snakemake("-n", "--quiet", "all", "--config", setting)
    assert done.returncode != 0
    assert message in done.stderr and "Traceback" not in done.stderr


# ------------------------------------------------------------------------------- the notebooks


def cells_of(name: str) -> list[dict]:
    """The code cells of a notebook."""
    file = paths.NOTEBOOKS / f"{name}.ipynb"
    cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def code_of(name: str) -> str:
    return "\n".join("".join(cell["source"]) for cell in cells_of(name))


def tagged(cell: dict, tag: str) -> bool:
    return tag in cell["metadata"].get("tags", [])


def test_the_notebooks_are_those_listed():
    assert sorted(LISTED) == sorted(path.stem for path in paths.NOTEBOOKS.glob("*.ipynb"))


@pytest.mark.parametrize("name", LISTED)
def test_the_settings_and_files_that_a_notebook_reads_are_listed(name):
    listed, code = LISTED[name], code_of(name)
    settings = listed.get("settings", [])
    for section, key in re.findall(r'settings\["(\w+)"\](?:\["(\w+)"\])?', code):
        assert section in settings or f"{section}.{key}" in settings or not key
        assert section in {setting.split(".")[0] for setting in settings}
    assert ("load_config" in code) == bool(settings)
    files = {Path(path).stem for path in listed.get("data", [])}
    for path in (paths.DATA / "paper").glob("*.csv"):
        assert path.stem not in code or path.stem in files, path
    if "load_rules" in code:
        book = (paths.CONFIG / "findings.yaml").read_text(encoding="utf-8")
        assert {"findings"} | {Path(f).stem for f in re.findall(r"\w+\.csv", book)} <= files
    assert set(listed.get("timed", [])) <= set(listed["figures"])


@pytest.mark.parametrize("name", LISTED)
def test_a_notebook_is_passed_exactly_its_parameters_and_has_literal_defaults(name):
    [cell] = [cell for cell in cells_of(name) if tagged(cell, "parameters")]
    assigned = ast.parse("".join(cell["source"])).body
    defaults = {node.targets[0].id: ast.literal_eval(node.value) for node in assigned}
    assert len(defaults) == len(assigned) and None not in defaults.values()
    passed = parameters(plan("smoke"), name)
    expected = {"figures": "figures/smoke", **LISTED[name].get("parameters", {})}
    if LISTED[name]["tables"]:
        expected |= {"config": "config/smoke.yaml", "tables": "results/smoke"}
    assert passed == expected and passed.keys() == defaults.keys()


@pytest.mark.parametrize("name", LISTED)
def test_a_notebook_is_stored_with_its_outputs_and_checks_some(name):
    cells = cells_of(name)
    assert all(cell["execution_count"] for cell in cells), "run all cells before storing it"
    checked = [
        cell
        for cell in cells
        if "NBVAL_CHECK_OUTPUT" in "".join(cell["source"]) or tagged(cell, "nbval-check-output")
    ]
    assert checked and all(cell["outputs"] for cell in checked)


# -------------------------------------------------------------------------------- the profiles


def test_profiles_name_options_of_snakemake_and_rules_that_there_are():
    options = get_argument_parser()._option_string_actions
    for profile in PROFILES.values():
        assert [key for key in profile if f"--{key}" not in options] == []
    rules = "".join(file.read_text("utf-8") for file in RULES)
    known = set(jobs(plan("gpu"))) | set(re.findall(r"^ *rule (\w+):", rules, re.MULTILINE))
    assert set(PROFILES["slurm"]["set-resources"]) <= known


def test_the_rules_that_run_a_model_get_a_gpu():
    # Those that sample, score or train; the others would let one idle.
    resources = PROFILES["slurm"]["set-resources"].items()
    on_gpu = {rule for rule, wanted in resources if "gpu" in wanted}
    rules = "".join(file.read_text("utf-8") for file in RULES)
    for body in re.split(r"\n *rule ", rules)[1:]:
        on_gpu |= {body.split(":")[0]} if "gpu=GPUS" in body else set()
    assert on_gpu >= {
        *("base_gpu", "pass_rate_shard", "rollout_shard", "tokens", "causal_shard"),
        *("sft", "train", "evaluate", "benchmark"),
    }
