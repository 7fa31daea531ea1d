"""The commands of the cold start, one after the other, on an untrained model."""

from __future__ import annotations

import pytest
import yaml

from ares.cli import main
from ares.io import read_table
from ares.model.load import load_policy
from ares.paths import CONFIG, REFERENCE


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
    table = {name: str(tmp_path / f"{name}.parquet") for name in ("rates", "pool", "selection")}
    model = str(tmp_path / "models" / "adacs")
    commands = [
        ["pass-rates", "--out", table["rates"]],
        ["traces", "--pass-rates", table["rates"], "--out", table["pool"]],
        ["curate", "--pass-rates", table["rates"], "--pool", table["pool"],
         "--out", table["selection"]],
        ["sft", "--selection", table["selection"], "--curation", "adacs", "--out", model],
    ]  # fmt: skip
    for name, *rest in commands:
        assert main([name, "--config", config, *rest]) == 0, capsys.readouterr().err
    rates, selection = read_table(table["rates"]), read_table(table["selection"])
    assert len(rates) == 3 * 2 * 2 and (rates["samples"] == 2).all()
    assert selection.groupby("curation").size().to_dict() == {"adacs": 8, "cs-vanilla": 8}
    load_policy(model)
    # The model solved nothing, so only one bracket holds traces, and the report says so.
    told = capsys.readouterr().out
    assert "empty: its share goes to the others" in told
    assert "L(1) from the line through the medians" in told


def test_an_unknown_curation_is_named(config, tmp_path, capsys):
    table = str(REFERENCE / "selection.parquet")
    arguments = ["--selection", table, "--curation", "vanilla", "--out", str(tmp_path / "m")]
    assert main(["sft", "--config", config, *arguments]) == 2
    assert "no curation 'vanilla'; it holds adacs, cs-vanilla" in capsys.readouterr().err


def test_an_endpoint_needs_the_name_of_its_model(config, tmp_path, capsys):
    table = str(REFERENCE / "pass_rates.parquet")
    arguments = ["--pass-rates", table, "--out", str(tmp_path / "pool.parquet")]
    endpoint = ["--endpoint", "http://127.0.0.1:9/v1"]
    assert main(["traces", "--config", config, *arguments, *endpoint]) == 2
    assert "--endpoint and --teacher belong together" in capsys.readouterr().err
