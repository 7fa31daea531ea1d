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
    settings["cold_start"]["max_new_tokens"] = 24
    path = tmp_path / "cold.yaml"
    path.write_text(yaml.safe_dump({**settings, "scale": "cold"}))
    return str(path)


def test_from_pass_rates_to_a_model(config, tmp_path, capsys):
    chosen, rates, pool, selected, losses = (
        str(tmp_path / f"{name}.parquet") for name in ("chosen", "rates", "pool", "s", "losses")
    )
    shards, model = {"shard": "0"}, str(tmp_path / "models" / "adacs")
    assert script("chosen", config, chosen, wildcards={"use": "cold-start"}) == 0
    stored = {"store": tmp_path / "s.sqlite"}
    asked = {"problems": chosen, "shard": 0, "out": rates, **stored}
    assert launched("pass_rates", config=config, **asked) == 0
    given = {"input": {"problems": chosen}, "wildcards": shards, "params": stored}
    assert script("pool", config, pool, **given) == 0
    assert script("curate", config, selected, input={"pass_rates": rates, "pool": pool}) == 0
    tuned = {"selection": selected, "curation": "adacs", "model_out": model}
    tuned |= {"state": tmp_path / "state", "losses_out": losses}
    assert launched("sft", config=config, **tuned) == 0, capsys.readouterr().err
    solved, selection = read_table(rates), read_table(selected)
    assert len(solved) == 3 * 2 * 2 and (solved["samples"] == 2).all()
    assert selection.groupby("curation").size().to_dict() == {"adacs": 8, "cs-vanilla": 8}
    load_policy(model)
    assert len(read_table(losses)) == 2 and not (tmp_path / "state").exists()
    # The model solved nothing, so only one bracket holds traces, and the report says so.
    told = capsys.readouterr().out
    assert "empty: its share goes to the others" in told
    assert "L(1) from the line through the medians" in told


def test_an_unknown_curation_is_named(config, tmp_path, capsys):
    table = str(REFERENCE / "selection.parquet")
    tuned = {"selection": table, "curation": "vanilla", "model_out": tmp_path / "m"}
    tuned |= {"state": tmp_path / "state", "losses_out": tmp_path / "losses.parquet"}
    assert launched("sft", config=config, **tuned) == 2
    assert "no curation 'vanilla'; there are adacs, cs-vanilla" in capsys.readouterr().err
