"""Scales: defaults, and mistakes told in one line that names the file and the key."""

from dataclasses import replace
from typing import Annotated

import pytest
import yaml
from jsonschema import Draft202012Validator
from pydantic import TypeAdapter

from ares import paths
from ares.config import Scale, load_config, scales
from ares.data.world_settings import World
from ares.errors import UserError
from ares.io import read_json
from ares.method.presets import FILE, preset
from ares.model.base_settings import Base
from ares.settings import Settings, _model_in
from docs.generate import schemas
from tests.configs import TINY, with_changes


def write(folder, changes=None, without=()):
    """Write the minimal config with changes like {"rollouts.samples": 3}; return its path."""
    config = with_changes(TINY, changes or {})
    for key in without:
        del config[key]
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def fields(model, place=""):
    """Yield the place and the declaration of every setting, at every depth."""
    for name, field in model.model_fields.items():
        yield f"{place}{name}", field
        inside = _model_in(field.annotation)
        if inside is not None:
            yield from fields(inside, f"{place}{name}.")


def test_the_scales_that_are_promised_exist():
    assert {"gpu", "laptop", "paper-3b", "paper-7b", "smoke"} <= set(scales())
    for name in scales():
        assert load_config(name).scale == name
    assert load_config("paper-7b").of_data_sets and not load_config("gpu").of_data_sets


def test_defaults_are_filled_in_at_every_depth(tmp_path):
    config = load_config(write(tmp_path, {"windows.sizes": [1, 4]}))
    assert config.seed == 1
    assert config.model == "data/base"
    assert config.rollouts.samples == 8 and config.rollouts.temperature == 1.0
    assert config.dump()["aepo"]["validation"]["samples"] == 4
    assert config.windows.sizes == (1, 4)
    assert config.windows.percentiles[0] == 50
    assert config.bootstrap.dump() == {"resamples": 2000, "level": 0.95}


def test_an_arm_may_change_its_preset_and_the_values_of_the_scale(tmp_path):
    wide = {"seeds": [1], "preset": "ares", "changes": {"window": 8, "top_p": 0.9, "kl": "none"}}
    changes = {"aepo.arms.wide": wide, "aepo.top_p": 0.95, "aepo.rollouts": 4}
    aepo = load_config(write(tmp_path, changes)).aepo
    expected = replace(preset("ares"), window=8, top_p=0.9, kl="none", group_size=4)
    assert aepo.settings_of("wide") == expected
    assert aepo.settings_of("grpo") == replace(preset("grpo"), top_p=0.95, group_size=4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sede": 3}, "unknown key 'sede'; did you mean 'seed'?"),
        ({"causal.zzz": 3}, "unknown key 'causal.zzz'; known here: rollouts, alternatives"),
        ({"rollouts.samples": 1}, "samples: 1 must be greater than or equal to 2 (Responses per"),
        ({"rollouts.samples": True}, "rollouts.samples: True must be a valid integer"),
        ({"rollouts.temperature": float("nan")}, "holds a number that is not finite"),
        ({"rollouts": None}, "rollouts: None must be an object"),
        ({"problems.levels": ["esay"]}, "problems.levels.0: 'esay' must be 'easy', 'medium' or"),
        ({"windows.sizes": [1, 1]}, "windows.sizes: must hold different values (Window lengths"),
        ({"scale": "../up"}, "scale: '../up' String should match pattern"),
        ({"aepo.arms.grpo": {}}, "missing key 'aepo.arms.grpo.seeds' (One run per seed)"),
        (
            {"aepo.arms.grpo": {"seeds": [1], "changes": {"windw": 8}}},
            "aepo.arms.grpo.changes: unknown setting 'windw'; did you mean 'window'? (Settings of",
        ),
        ({"aepo.arms.grpo.changes": {"window": "8"}}, "changes: window: '8' must be a valid int"),
        ({"aepo.arms": {"GRPO": {"seeds": [1]}}}, "Runs by name; the name is the preset"),
        ({"aepo.vllm": {}}, "'aepo.vllm' does not belong to a scale of the small world"),
        ({"aepo.data": ["virl39k"]}, "does not belong to a scale of data sets"),
    ],
)
def test_a_wrong_value_is_named(tmp_path, changes, message):
    with pytest.raises(UserError) as caught:
        load_config(write(tmp_path, changes))
    assert str(caught.value).startswith(f"{tmp_path}/tiny.yaml: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_size_is_named_and_a_misspelt_section_before_it(tmp_path):
    for key in TINY:
        with pytest.raises(UserError, match=f"missing key '{key}'"):
            load_config(write(tmp_path, without=[key]))
    with pytest.raises(UserError, match="unknown key 'rolouts'; did you mean 'rollouts'"):
        load_config(write(tmp_path, {"rolouts": {}}, without=["rollouts"]))


@pytest.mark.parametrize(
    ("scale", "message"),
    [
        ("lptop", f"unknown scale 'lptop'; did you mean 'laptop'.*{', '.join(scales())}"),
        ("nowhere/tiny.yaml", r"^nowhere/tiny\.yaml: no such config file$"),
        ("config/world.yaml", r"config/world\.yaml: unknown key 'numbers'"),
    ],
)
def test_a_scale_that_there_is_not(scale, message):
    with pytest.raises(UserError, match=message):
        load_config(scale)


def test_relative_paths_start_at_the_root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_config("config/smoke.yaml") == load_config("smoke")


@pytest.mark.parametrize("model", [Scale, World, Base])
def test_every_setting_is_explained_and_its_default_is_allowed(model: type[Settings]):
    for place, field in fields(model):
        inside = _model_in(field.annotation)
        assert field.description or (inside and inside.__doc__), place
        if not field.is_required() and field.default is not None:
            allowed = TypeAdapter(Annotated[field.annotation, "", *field.metadata])
            allowed.validate_python(field.default, strict=True)


def test_the_schemas_for_editors_are_those_of_the_models():
    for name, schema in schemas().items():
        written = read_json(paths.CONFIG / "schemas" / f"{name}.json")
        assert written == schema, "run `python docs/generate.py schemas`"


@pytest.mark.parametrize(
    "path", [*sorted(paths.CONFIG.glob("*.yaml")), FILE], ids=lambda path: path.name
)
def test_files_name_their_schema_and_have_it(path):
    """The first line says to editors which schema is that of the file."""
    first, _, text = path.read_text("utf-8").partition("\n")
    schema = path.parent / first.removeprefix("# yaml-language-server: $schema=")
    Draft202012Validator(read_json(schema)).validate(yaml.safe_load(text))
