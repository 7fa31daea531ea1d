"""Spoiled states, manifests and configs of models: one line that names the file."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ares import paths
from ares.cli import main
from ares.errors import UserError
from ares.estimate.model_shapes import load_shape
from ares.model.base_training import _restore
from ares.training.checkpoints import MARKER, is_complete, last_complete, mark_complete
from tests.fuzz.cases import cases
from tests.fuzz.mutations import outcome, spoiled_bytes, spoiled_value

MANIFEST = json.loads((paths.REFERENCE / "manifest.json").read_text("utf-8"))
CONFIG = json.loads((paths.BASE_MODEL / "config.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("states")


@cases(quick=20, long=700)
@given(st.data())
def test_spoiled_markers(folder, data):
    state = folder / "checkpoint-2"
    state.mkdir(exist_ok=True)
    (state / "weights").write_bytes(b"abc")
    mark_complete(state)
    whole = (state / MARKER).read_bytes()
    if data.draw(st.booleans()):
        spoiled = json.dumps(data.draw(spoiled_value(json.loads(whole)))).encode()
    else:
        spoiled = data.draw(spoiled_bytes(whole))
    (state / MARKER).write_bytes(spoiled)
    found = outcome(lambda: is_complete(state), state)
    if found:  # then it names nothing that is not there
        sizes = json.loads(spoiled)["files"]
        assert set(sizes) <= {"weights", "."} or all((state / name).exists() for name in sizes)


@cases(quick=20, long=700)
@given(st.data())
def test_spoiled_configs_of_models_in_the_calculator(folder, data):
    model = folder / "model"
    model.mkdir(exist_ok=True)
    (model / "config.json").write_text(json.dumps(data.draw(spoiled_value(CONFIG))))
    found = outcome(lambda: load_shape(str(model)), model)
    if found is not None:
        assert found.parameters > 0 and math.isfinite(found.parameters)


@cases(quick=15, long=500)
@given(st.data())
def test_spoiled_manifests(folder, data):
    from ares.cli.runs import summary

    path = folder / "manifest.json"
    path.write_text(json.dumps(data.draw(spoiled_value(MANIFEST))))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(paths, "RESULTS", folder.parent)
        patched.setattr(paths, "ROOT", folder.parent)
        patched.setattr("ares.config.load_config", lambda scale: SimpleNamespace(scale=folder.name))
        outcome(lambda: summary("smoke"), folder)


def test_a_damaged_marker_removes_no_state(tmp_path):
    state = tmp_path / "checkpoint-2"
    state.mkdir()
    (state / MARKER).write_text("[]")
    with pytest.raises(UserError, match=r"checkpoint-2/complete\.json: damaged; remove"):
        last_complete(tmp_path)
    assert state.is_dir()


def test_a_damaged_state_of_base_training(tmp_path):
    (tmp_path / "state.safetensors").write_bytes(b"\xff" * 64)
    with pytest.raises(UserError, match=r"state\.safetensors: damaged .* training starts again"):
        _restore(tmp_path / "state.safetensors", None, None)  # type: ignore[arg-type]


def test_the_config_of_a_model_in_the_form_of_the_hub(tmp_path, capsys):
    flat = {**CONFIG["text_config"], **CONFIG, "model_type": "qwen2_5_vl"}
    del flat["text_config"]
    (tmp_path / "config.json").write_text(json.dumps(flat))
    assert main(["estimate", "--model-shape", str(tmp_path), "--config", "paper-7b"]) == 2
    assert "text_config in its config.json: Field required" in capsys.readouterr().err
