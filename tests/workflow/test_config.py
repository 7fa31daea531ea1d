"""Scales: defaults, and mistakes told in one line that names the file and the key."""

import re

import pytest
import yaml
from jsonschema import Draft7Validator

from ares import paths
from ares.config import (
    KINDS,
    PAPER,
    SMALL_WORLD,
    load_config,
    scales,
    schema,
    suggestion,
    validated,
)
from ares.errors import UserError

MINIMAL = {
    "scale": "tiny",
    "problems": {"per_level": 1},
    "rollouts": {"batch_prompts": 2, "shards": 1},
    "causal": {"rollouts": 1, "alternatives": 2, "continuations": 2, "shards": 1},
    "adacs": {"per_level": 2, "size": 4},
    "aepo": {
        "steps": 1,
        "prompts": 2,
        "validation": {"per_level": 1, "every": 1},
        "arms": {"grpo": {"seeds": [1]}},
    },
    "evaluation": {"per_level": 1},
}


def write(folder, changes=None, without=()):
    """Write the minimal config with changes like {"rollouts.samples": 3}; return its path."""
    config = yaml.safe_load(yaml.safe_dump(MINIMAL))
    for place, value in (changes or {}).items():
        *parents, key = place.split(".")
        part = config
        for parent in parents:
            part = part.setdefault(parent, {})
        part[key] = value
    for key in without:
        del config[key]
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def properties(schema, place=""):
    """Yield the place and the schema of every key, at every depth."""
    for key, part in schema.get("properties", {}).items():
        yield f"{place}{key}", part
        yield from properties(part, f"{place}{key}.")


def test_the_scales_that_are_promised_exist():
    assert {"smoke", "laptop", "gpu"} <= set(scales(SMALL_WORLD))
    assert scales(PAPER) == ["paper-3b", "paper-7b"]
    assert sorted(scales(SMALL_WORLD) + scales(PAPER)) == scales()


@pytest.mark.parametrize("scale", scales())
def test_every_scale_loads_and_is_named_as_its_file(scale):
    assert load_config(scale)["scale"] == scale


def test_defaults_are_filled_in_at_every_depth(tmp_path):
    config = load_config(write(tmp_path, {"windows.sizes": [1, 4]}))
    assert config["seed"] == 1
    assert config["model"] == "data/base"
    assert config["rollouts"] == {
        "samples": 8,
        "temperature": 1.0,
        "top_p": 1.0,
        "max_new_tokens": 288,
        "batch_prompts": 2,
        "shards": 1,
    }
    assert config["windows"]["sizes"] == [1, 4]
    assert config["windows"]["percentiles"][0] == 50
    assert config["bootstrap"] == {"resamples": 2000, "level": 0.95}


def test_the_defaults_are_not_shared_between_configs(tmp_path):
    path = write(tmp_path)
    load_config(path)["windows"]["sizes"].append(3)
    assert load_config(path)["windows"]["sizes"] == [1, 2, 4, 8, 16, 32]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sede": 3}, "unknown key 'sede'; did you mean 'seed'?"),
        ({"rollouts.sampels": 3}, "unknown key 'rollouts.sampels'; did you mean 'samples'?"),
        ({"causal.zzz": 3}, "unknown key 'causal.zzz'; known here: rollouts, alternatives"),
        ({"rollouts.samples": 1}, "rollouts.samples: 1 must be bigger than or equal to 2"),
        ({"rollouts.samples": "8"}, "rollouts.samples: '8' must be integer"),
        ({"rollouts.samples": True}, "rollouts.samples: True must be integer"),
        ({"rollouts.temperature": 0}, "rollouts.temperature: 0 must be bigger than 0"),
        ({"rollouts": 3}, "rollouts: 3 must be object"),
        ({"rollouts": None}, "rollouts: None must be object"),
        ({"problems.levels": []}, "problems.levels: [] must contain at least 1 items"),
        ({"problems.levels": ["esay"]}, "problems.levels.0: 'esay' must be one of"),
        ({"windows.sizes": [1, 1]}, "windows.sizes: [1, 1] must contain unique items"),
        ({"scale": "../up"}, "scale: '../up' must match pattern"),
        ({"rollouts.temperature": float("nan")}, "holds a number that is not finite"),
        ({"aepo.step": 3}, "unknown key 'aepo.step'; did you mean 'steps'?"),
        ({"aepo.validation.evry": 3}, "unknown key 'aepo.validation.evry'; did you mean 'every'?"),
        ({"aepo.arms": {}}, "aepo.arms: {} must contain at least 1 properties"),
        ({"aepo.arms.grpo": {"seeds": []}}, "aepo.arms.grpo.seeds: [] must contain at least 1"),
        ({"aepo.arms.grpo": {"seeds": [1, 1]}}, "aepo.arms.grpo.seeds: [1, 1] must contain unique"),
        ({"aepo.arms.grpo": {}}, "missing key 'aepo.arms.grpo.seeds'"),
        ({"aepo.arms.grpo": {"seeds": [1], "seed": 1}}, "must not contain {'seed'}"),
        ({"aepo.arms.grpo": {"seeds": [1], "start": "sft"}}, "aepo.arms.grpo.start: 'sft' must be"),
        ({"aepo.arms": {"GRPO": {"seeds": [1]}}}, "Runs by name; the name is the preset"),
    ],
)
def test_a_wrong_value_is_named(tmp_path, changes, message):
    with pytest.raises(UserError) as caught:
        load_config(write(tmp_path, changes))
    assert str(caught.value).startswith(f"{tmp_path}/tiny.yaml: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", MINIMAL)
def test_a_missing_size_is_named(tmp_path, key):
    with pytest.raises(UserError, match=f"missing key '{key}'"):
        load_config(write(tmp_path, without=[key]))


def test_a_misspelt_section_is_the_mistake_that_is_told(tmp_path):
    with pytest.raises(UserError, match="unknown key 'rolouts'; did you mean 'rollouts'"):
        load_config(write(tmp_path, {"rolouts": {}}, without=["rollouts"]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is not a config: it must be a mapping"),
        ("- scale", "is not a config: it must be a mapping"),
        ("scale: [", "not valid YAML"),
    ],
)
def test_a_file_that_is_no_config(tmp_path, content, message):
    path = tmp_path / "tiny.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        load_config(path)


def test_an_unknown_scale_names_the_known_ones():
    with pytest.raises(UserError, match="unknown scale 'lptop'; did you mean 'laptop'") as caught:
        load_config("lptop")
    assert ", ".join(scales()) in str(caught.value)


def test_a_missing_file_is_named():
    with pytest.raises(UserError, match=r"^nowhere/tiny\.yaml: no such config file$"):
        load_config("nowhere/tiny.yaml")


def test_a_scale_of_the_other_kind_is_refused():
    for kind, other in (KINDS, KINDS[::-1]):
        for scale in scales(kind):
            assert load_config(scale, kind) == load_config(scale)
            with pytest.raises(
                UserError, match=rf"config/{scale}.yaml: a scale of the kind '{kind}'"
            ):
                load_config(scale, other)


def test_other_files_in_config_are_no_scales():
    assert "world" not in scales()
    with pytest.raises(UserError, match=r"config/world\.yaml: unknown key 'numbers'"):
        load_config("config/world.yaml")


def test_relative_paths_start_at_the_root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_config("config/smoke.yaml") == load_config("smoke")


@pytest.mark.parametrize("kind", ["scale", "paper", "world", "base"])
def test_the_schema_is_closed_and_explains_every_key(kind):
    Draft7Validator.check_schema(schema(kind))
    for place, part in properties(schema(kind)):
        assert part.get("description"), place
        assert "properties" not in part or part["additionalProperties"] is False, place


@pytest.mark.parametrize("kind", ["scale", "paper"])
def test_every_default_satisfies_its_own_bounds(kind):
    for place, part in properties(schema(kind)):
        if "default" in part:
            errors = list(Draft7Validator(part).iter_errors(part["default"]))
            assert not errors, f"{place}: {errors}"


def test_the_configs_speak_of_no_key_that_the_schema_lacks():
    known = {place.split(".")[-1] for place, _ in properties(schema("scale"))}
    for scale in scales(SMALL_WORLD):
        text = (paths.CONFIG / f"{scale}.yaml").read_text(encoding="utf-8")
        arms = set(load_config(scale)["aepo"]["arms"])
        assert set(re.findall(r"^\s*([\w-]+):", text, re.MULTILINE)) <= known | arms


def test_validated_does_not_change_what_it_is_given():
    value = yaml.safe_load(yaml.safe_dump(MINIMAL))
    before = yaml.safe_dump(value)
    validated(value, schema("scale"), "here")
    assert yaml.safe_dump(value) == before


def test_a_far_word_gets_no_suggestion():
    assert suggestion("zzz", ["samples", "shards"]) == ""
