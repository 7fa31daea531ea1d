"""The steps of the cold start, one after the other, on an untrained model."""

from __future__ import annotations

import pytest
import yaml

from ares.io import read_table
from ares.model.load import load_policy
from ares.paths import CONFIG, REFERENCE
from tests.steps import launched, script


@pytest.fixture
def config(tmp_path, model_folder) -> str:
    """The smoke scale, smaller still, from a model that solves next to nothing."""
    settings = yaml.safe_load((CONFIG / "smoke.yaml").read_text())
    settings["model"] = str(model_folder)
    settings["cold_start"] |= {"per_level": 2, "samples": 2, "size": 8}
    settings["cold_start"]["sft"]["batch"] = 4
    settings["rollouts"]["max_new_tokens"] = 24
    path = tmp_path / "cold.yaml"
    path.write_text(yaml.safe_dump({**settings, "scale": "cold"}))
    return str(path)


def test_from_pass_rates_to_a_model(config, tmp_path, capsys):
    rates, pool, selected = (str(tmp_path / f"{name}.parquet") for name in ("r", "pool", "s"))
    shards, model = {"shard": "0"}, str(tmp_path / "models" / "adacs")
    assert launched("pass_rates", config=config, shard=0, out=rates) == 0
    assert script("pool", config, pool, input={"problems": rates}, wildcards=shards) == 0
    assert script("curate", config, selected, input={"pass_rates": rates, "pool": pool}) == 0
    tuned = {"selection": selected, "curation": "adacs", "model_out": model}
    assert launched("sft", config=config, **tuned) == 0, capsys.readouterr().err
    solved, selection = read_table(rates), read_table(selected)
    assert len(solved) == 3 * 2 * 2 and (solved["samples"] == 2).all()
    assert selection.groupby("curation").size().to_dict() == {"adacs": 8, "cs-vanilla": 8}
    load_policy(model)
    # The model solved nothing, so only one bracket holds traces, and the report says so.
    told = capsys.readouterr().out
    assert "empty: its share goes to the others" in told
    assert "L(1) from the line through the medians" in told


def test_an_unknown_curation_is_named(config, tmp_path, capsys):
    table = str(REFERENCE / "selection.parquet")
    tuned = {"selection": table, "curation": "vanilla", "model_out": tmp_path / "m"}
    assert launched("sft", config=config, **tuned) == 2
    assert "no curation 'vanilla'; it holds adacs, cs-vanilla" in capsys.readouterr().err
