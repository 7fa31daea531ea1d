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


def read(name: str) -> Any:
    return yaml.safe_load((paths.CONFIG / f"{name}.yaml").read_text("utf-8"))


#: What reads a config, and a valid one.
READERS = {
    "smoke": load_config,
    "paper-7b": load_config,
    "world": load_world,
    "base": load_base_config,
    "benchmarks": load_registry,
    "training-data": load_registry,
    "findings": load_rules,
}
VALID = {name: read(name) for name in READERS}
TEXTS = {name: (paths.CONFIG / f"{name}.yaml").read_bytes() for name in READERS}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("configs")


def agrees(told: Any, found: Any) -> bool:
    """Whether what was told stands in what was found, unchanged; more may stand there."""
    if isinstance(told, dict):
        return isinstance(found, dict) and all(
            key in found and agrees(value, found[key]) for key, value in told.items()
        )
    if isinstance(told, list):
        return isinstance(found, list) and len(told) == len(found) and all(map(agrees, told, found))
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


@cases(quick=80, long=3000, seconds=5)
@given(st.data())
def test_spoiled_keys_and_values(folder, data):
    name = data.draw(st.sampled_from(sorted(READERS)))
    told = data.draw(spoiled_value(VALID[name]))
    path = folder / "spoiled.yaml"
    # Aliases are what safe_dump makes of an object that stands twice: told by themselves below.
    plain = json.loads(json.dumps(told, default=str))
    form = {"Dumper": yaml.CSafeDumper, "allow_unicode": data.draw(st.booleans())}
    path.write_text(yaml.dump(plain, **form), "utf-8")
    check(name, path, plain)


@cases(quick=60, long=2000, seconds=5)
@given(st.data())
def test_spoiled_bytes(folder, data):
    name = data.draw(st.sampled_from(sorted(READERS)))
    path = folder / "spoiled.yaml"
    path.write_bytes(data.draw(spoiled_bytes(TEXTS[name])))
    try:
        told = yaml.load(path.read_text("utf-8"), Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, ValueError, KeyError, AttributeError, IndexError, RecursionError):
        told = None
    check(name, path, told)


@cases(quick=30, long=1000, seconds=5)
@given(st.text(alphabet="{}[]:-?,&*!|>%@'\"#ab1. \n\t<~", max_size=60) | st.binary(max_size=60))
def test_files_of_anything(folder, content):
    path = folder / "spoiled.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert outcome(lambda: load_config(path), path) is None
    assert outcome(lambda: load_registry(path), path) is None


LAUGHS = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]\n"
    for a, b in zip("abcdefghi", "bcdefghij", strict=True)
)
HOSTILE = {
    "brackets": ("[" * 100_000, "nested more than 64 deep"),
    "braces": ("a: {" * 100_000, "nested more than 64 deep"),
    "dashes": ("- " * 100_000, "nested more than 64 deep"),
    "laughs": (LAUGHS, "unfolds to more than 100000 values"),
    "merged laughs": (
        "a: &a {x: 1}\n"
        + "".join(
            f"{b}: &{b} {{<<: [{', '.join([f'*{a}'] * 20)}]}}\n"
            for a, b in zip("abcdefgh", "bcdefghi", strict=True)
        ),
        "unfolds to more than 100000 values",
    ),
    "circle": ("scale: &a [*a]", "line 1: nested more than 64 deep"),
    "python": ("scale: !!python/object/apply:os.system ['touch owned']", "the tag .*leave it out"),
    "local tag": ("scale: !thing x", "line 1: the tag !thing: leave it out"),
    "bad tag": ("seed: !!bool maybe", "not valid YAML .*maybe"),
    "twice": ("scale: a\nscale: b", 'line 2: found duplicate key "scale"'),
    "minutes": ("seed: 1:30", "unknown|missing|seed: '1:30' must be a valid integer"),
    "digits": ("seed: " + "9" * 5000, "not valid YAML .*4300 digits"),
    "date": ("seed: 2026-13-45", "2026-13-45: it reads as a date; put it in quotes"),
    "number as key": ("1: 2", "line 1: a key that is no text; put it in quotes"),
    "list as key": ("[1]: 2", "line 1: a key that is no text"),
    "long": ("a" * (2**20 + 1), "has more than 1048576 bytes"),
    "binary": (b"\xff\xfe\x00s", "not valid YAML .*save it as UTF-8"),
    "nothing": ("", "is not a config: it must be a mapping"),
    "two": ("scale: a\n---\nscale: b", "not valid YAML .*but found another document"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_yaml(tmp_path, name):
    content, message = HOSTILE[name]
    path = tmp_path / "x.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    for load in (load_config, load_registry):
        with within(2, 64), pytest.raises(UserError, match=message) as caught:
            load(path)
        assert str(caught.value).startswith(f"{path}") and "\n" not in str(caught.value)


def test_what_is_no_file(tmp_path):
    for path in (tmp_path, Path("/dev/zero"), tmp_path / "no", Path("a\0b")):
        with within(2, 64), pytest.raises(UserError, match="cannot be read"):
            load_world(path)


def test_a_mark_of_the_byte_order_changes_nothing(tmp_path):
    path = tmp_path / "smoke.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + TEXTS["smoke"])
    assert load_config(path) == load_config("smoke")


def test_aliases_may_stand_in_a_config(tmp_path):
    text = TEXTS["smoke"].decode().replace("{seeds: [1]}", "&one {seeds: [1]}", 1)
    path = tmp_path / "smoke.yaml"
    path.write_text(text.replace("{seeds: [1]}", "*one").replace("&one *one", "&one {seeds: [1]}"))
    assert load_config(path) == load_config("smoke")


@pytest.mark.parametrize(
    ("load", "name", "old", "new", "message"),
    [
        (load_config, "smoke", "shards: 2", "shards: 2.0", r"shards: 2\.0 must be a valid integer"),
        (load_config, "smoke", "ares: {seeds: [1, 2]}", "ares: {seeds: [1.0]}", "a valid integer"),
    ],
)  # fmt: skip
def test_a_number_that_is_no_integer(tmp_path, load, name, old, new, message):
    path = tmp_path / "x.yaml"
    path.write_text(TEXTS[name].decode().replace(old, new, 1))
    with pytest.raises(UserError, match=message):
        load(path)
