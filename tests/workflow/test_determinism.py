"""Whether two runs made the same: what `ares compare` finds, and what it lets pass.

The runs themselves are compared by `tests/workflow/two_clones.py`, a step of `make test`.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from ares import cli
from ares.analysis import agreement
from ares.config import load_config
from ares.data.world import world_problems
from ares.io import KEY, SCHEMA, write_json, write_table
from ares.manifest import fingerprint
from ares.model.load import load
from ares.paths import ROOT
from ares.sampling.rollouts import roll_out, sampling_of

STEPS = pd.DataFrame({"step": [1, 2, 3], "reward": [0.1, 0.2, 0.3], "arm": ["a", "b", "c"]})


def make_run(folder: Path, reproducible: str = "bytes", **tables: pd.DataFrame) -> Path:
    """What a run of a scale leaves: tables, a figure, a model, times, and the manifest of it."""
    results, figures = folder / "results/made-up", folder / "figures/made-up"
    for name, table in {"steps": STEPS, **tables}.items():
        write_table(results / f"{name}.parquet", table)
    for file in (results / "models/grpo-s1/model.safetensors", figures / "f.png"):
        file.parent.mkdir(parents=True)
        file.write_bytes(b"the same")
    (results / "timings.parquet").write_bytes(bytes(folder))
    return write_manifest(folder, reproducible)


def write_manifest(folder: Path, reproducible: str = "bytes") -> Path:
    promised = {
        name: {
            str(path.relative_to(folder)): None if path.stem == "timings" else fingerprint(path)
            for path in sorted((folder / kind / "made-up").iterdir())
            if path.suffix in (".parquet", ".png")
        }
        for name, kind in (("tables", "results"), ("figures", "figures"))
    }
    out = folder / "results/made-up/manifest.json"
    write_json(out, {KEY: SCHEMA, "reproducible": reproducible, **promised})
    return out


def compare(capsys, *manifests: Path) -> tuple[int, str]:
    status = cli.main(["compare", *map(str, manifests)])
    said = capsys.readouterr()
    return status, said.out + said.err


def test_two_equal_runs_are_the_same_whatever_their_times(tmp_path, capsys):
    runs = [make_run(tmp_path / name) for name in ("one", "another")]
    status, said = compare(capsys, *runs)
    assert status == 0
    assert said == "the same: 3 files, by bytes; not compared, as they hold times: 1\n"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("steps.parquet", "steps.parquet: column reward in 1 of 3 rows, first in row 1: 0.2 and"),
        ("models/grpo-s1/model.safetensors", "model.safetensors: other bytes"),
        ("../../figures/made-up/f.png", "f.png: other bytes"),
    ],
)
def test_what_differs_is_named_a_table_with_its_column(tmp_path, capsys, name, told):
    one, other = make_run(tmp_path / "one"), make_run(tmp_path / "other")
    changed = other.parent / name
    if changed.suffix == ".parquet":
        write_table(changed, STEPS.assign(reward=[0.1, 0.25, 0.3]))
    else:
        changed.write_bytes(b"others")
    write_manifest(tmp_path / "other")
    status, said = compare(capsys, one, other)
    assert status == 2 and told in said and "1 of 3 files differ" in said


def test_what_only_one_of_them_made_is_named(tmp_path, capsys):
    one, other = make_run(tmp_path / "one", extra=STEPS), make_run(tmp_path / "other")
    for pair in ((one, other), (other, one)):
        status, said = compare(capsys, *pair)
        assert status == 2 and f"extra.parquet: only in {one.parent}" in said


def test_a_manifest_without_a_promise_is_refused(tmp_path, capsys):
    one = make_run(tmp_path / "one")
    manifest = json.loads(one.read_text(encoding="utf-8"))
    del manifest["reproducible"]
    one.write_text(json.dumps(manifest), encoding="utf-8")
    status, said = compare(capsys, one, one)
    assert status == 2 and "run the scale again" in said


def test_the_promise_is_bytes_on_a_cpu_and_a_tolerance_on_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert agreement.promise()["reproducible"] == "bytes"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    promise = agreement.promise()
    assert promise["device"] == "cuda" and promise["reproducible"] == "tolerance"
    assert promise["tolerance"]["rows"]["rollouts"] == 0.1


@pytest.fixture(scope="module")
def sample():
    """Samples responses of the shipped base model, with noise on every logit if wanted."""
    config = load_config("smoke")
    model, processor, world = load(config)
    problems = pd.read_parquet(ROOT / "data/reference/problems.parquet").groupby("level").head(1)
    problems = world_problems(problems, world, look=1)

    def draw(noise: float = 0.0, **changes: int) -> pd.DataFrame:
        generator = torch.Generator().manual_seed(7)

        def blur(module, inputs, logits):
            return logits + noise * torch.randn(logits.shape, generator=generator)

        settings = dataclasses.replace(sampling_of(config), **changes)
        hook = model.lm_head.register_forward_hook(blur)
        try:
            return roll_out(model, processor, problems, settings)
        finally:
            hook.remove()

    return draw


def test_what_rounding_changes_passes_and_another_seed_does_not(sample):
    exact = sample()
    # As on a GPU: sums in another order, and other sums as the batch is another.
    for name, other in (("noise", sample(noise=1e-6)), ("batch", sample(batch_prompts=5))):
        assert agreement.table_difference("rollouts", exact, other) == "", name
    told = agreement.table_difference("rollouts", exact, sample(seed=2))
    assert float(told.split("%")[0]) > 60 and told.endswith("of the rows differ, allowed 10%")
    # A model that is hardly another one: noise of a tenth of a nat.
    assert agreement.table_difference("rollouts", exact, sample(noise=0.1))


def test_a_row_that_has_moved_and_a_last_digit_are_no_difference():
    one = pd.DataFrame({"token": ["a", "b", "c"], "entropy": np.float32([0.5, 3e-7, 12.0])})
    other = one.assign(entropy=np.float32([0.5000001, 1e-7, 12.00001]))[::-1]
    assert agreement.shared_rows(one, other) == 1.0
    assert agreement.shared_rows(one, one.assign(entropy=[0.5, 0.002, 12.0])) == pytest.approx(
        2 / 3
    )
    lists = pd.DataFrame({"top_logprobs": [np.float32([-0.1, -2.0]), np.float32([-1.0])]})
    noisy = lists.assign(top_logprobs=lists["top_logprobs"].map(lambda it: it + np.float32(1e-6)))
    assert agreement.shared_rows(lists, noisy) == 1.0


def test_means_of_trained_models_are_compared_by_their_errors():
    rng = np.random.default_rng(1)
    one, other = (pd.DataFrame({"length": rng.normal(60, 20, 400)}) for _ in range(2))
    assert agreement.table_difference("evaluation", one, other) == ""
    longer = other.assign(length=other["length"] + 12)
    assert agreement.table_difference("evaluation", one, longer).startswith("column length: means ")
    constant = pd.DataFrame({"steps": [10.0] * 5})
    assert agreement.table_difference("steps", constant, constant) == ""
    assert "steps" in agreement.table_difference("steps", constant, constant + 1)
