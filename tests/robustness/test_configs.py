"""Spoiled configs: one line that names the file, or exactly what the file says."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from ares import paths
from ares.config import load_config
from ares.data.world_settings import load_world
from ares.errors import UserError
from ares.evaluation.registry import load_registry
from ares.findings import load_rules
from ares.model.base_settings import load_base_config
from tests.robustness.spoil import cases, outcome, spoiled_bytes, spoiled_value, within

#: What reads a config.
READERS = {
    "smoke": load_config,
    "paper-7b": load_config,
    "world": load_world,
    "base": load_base_config,
    "benchmarks": load_registry,
    "training-data": load_registry,
    "findings": load_rules,
}
TEXTS = {name: (paths.CONFIG / f"{name}.yaml").read_bytes() for name in READERS}
VALID = {name: yaml.safe_load(text) for name, text in TEXTS.items()}


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("configs") / "spoiled.yaml"


def agrees(told: Any, found: Any) -> bool:
    """Whether what was told stands in what was found, unchanged; more may stand there."""
    if isinstance(told, dict):
        return all(key in found and agrees(value, found[key]) for key, value in told.items())
    if isinstance(told, list):
        return len(told) == len(found) and all(map(agrees, told, found))
    # A whole number may stand where any number may.
    return told == found and isinstance(told, bool) == isinstance(found, bool)


def check(name: str, path: Path, told: Any) -> None:
    """Read a spoiled config; `told` is what it says by another reader, None if that fails."""
    load = READERS[name]
    found = outcome(lambda: load(path), path)
    if found is None:
        return
    assert finite(told)
    if load in (load_config, load_base_config, load_world):
        schema = Draft202012Validator(type(found).model_json_schema())
        schema.validate(told)  # by another library than the package's
        assert agrees(told, found.dump())
    elif load is load_registry:
        assert sorted(told["benchmarks"]) == sorted(found)
    else:
        assert [entry["id"] for entry in told["findings"]] == [each.id for each in found.findings]


def finite(value: Any) -> bool:
    if isinstance(value, dict | list):
        return all(map(finite, value.values() if isinstance(value, dict) else value))
    return not isinstance(value, float) or math.isfinite(value)


@cases(quick=20, long=3000)
@given(st.data())
def test_spoiled_keys_and_values(path, data):
    name = data.draw(st.sampled_from(sorted(READERS)))
    # Aliases are what safe_dump makes of an object that stands twice: they have a test below.
    plain = json.loads(json.dumps(data.draw(spoiled_value(VALID[name])), default=str))
    form = {"Dumper": yaml.CSafeDumper, "allow_unicode": data.draw(st.booleans())}
    path.write_text(yaml.dump(plain, **form), "utf-8")
    check(name, path, plain)


@cases(quick=20, long=2000)
@given(st.data())
def test_spoiled_bytes(path, data):
    name = data.draw(st.sampled_from(sorted(READERS)))
    path.write_bytes(data.draw(spoiled_bytes(TEXTS[name])))
    try:
        told = yaml.load(path.read_text("utf-8"), Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, ValueError, KeyError, AttributeError, IndexError, RecursionError):
        told = None
    check(name, path, told)


@cases(quick=20, long=1000)
@given(st.text(alphabet="{}[]:-?,&*!|>%@'\"#ab1. \n\t<~", max_size=60) | st.binary(max_size=60))
def test_files_of_anything(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert outcome(lambda: load_config(path), path) is None
    assert outcome(lambda: load_registry(path), path) is None


def unfolding(first: str, form: str, times: int) -> str:
    """Aliases of aliases: some hundred bytes that stand for billions of values."""
    lines = [f"a: &a {first}"]
    for a, b in zip("abcdefghi", "bcdefghij", strict=True):
        lines.append(f"{b}: &{b} " + form.format(", ".join([f"*{a}"] * times)))
    return "\n".join(lines) + "\n"


HOSTILE = {
    "brackets": ("[" * 100_000, "nested more than 64 deep"),
    "laughs": (unfolding("[1, 1]", "[{}]", 10), "unfolds to more than 100000 values"),
    "merged": (unfolding("{x: 1}", "{{<<: [{}]}}", 20), "unfolds to more than 100000"),
    "circle": ("scale: &a [*a]", "line 1: nested more than 64 deep"),
    "python": ("scale: !!python/object/apply:os.system ['touch owned']", "the tag .*leave it out"),
    "module": ("scale: !!python/module:os", "the tag .*leave it out"),
    "local tag": ("scale: !thing x", "line 1: the tag !thing: leave it out"),
    "bad tag": ("seed: !!bool maybe", "not valid YAML .*maybe"),
    "open": ("scale: [", "not valid YAML"),
    "twice": ("scale: a\nscale: b", 'line 2: found duplicate key "scale"'),
    "minutes": ("seed: 1:30", "unknown|missing|must be a valid integer"),
    "digits": ("seed: " + "9" * 5000, "not valid YAML"),
    "date": ("seed: 2026-13-45", "put it in quotes"),
    "number as key": ("1: 2", "line 1: a key that is no text; put it in quotes"),
    "list as key": ("[1]: 2", "line 1: a key that is no text"),
    "long": ("a" * (2**20 + 1), "has more than 1048576 bytes"),
    "binary": (b"\xff\xfe\x00s", "not valid YAML .*utf-8"),
    "nothing": ("", "must be a mapping"),
    "two": ("scale: a\n---\nscale: b", "not valid YAML .*another document"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_yaml(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    content, message = HOSTILE[name]
    path = tmp_path / "x.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    for load in (load_config, load_registry):
        with within(2, 64), pytest.raises(UserError, match=message) as caught:
            load(path)
        assert str(caught.value).startswith(f"{path}") and "\n" not in str(caught.value)
    assert not Path("owned").exists(), "a tag was run"


def test_what_is_no_file(tmp_path):
    for path in (tmp_path, Path("/dev/zero"), tmp_path / "no"):
        with within(2, 64), pytest.raises(UserError, match="cannot be read"):
            load_world(path)


def test_a_mark_of_the_byte_order_and_aliases_change_nothing(tmp_path):
    path = tmp_path / "smoke.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + TEXTS["smoke"])
    assert load_config(path) == load_config("smoke")
    first, *others = TEXTS["smoke"].decode().split("{seeds: [1]}")
    assert others
    path.write_text(first + "&one {seeds: [1]}" + "*one".join(others))
    assert load_config(path) == load_config("smoke")
