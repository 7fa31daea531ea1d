"""What a model's name stands for."""

from __future__ import annotations

import huggingface_hub
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from ares import paths
from ares.backends.weights import local_folder, weights_of
from ares.errors import UserError


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def test_the_same_files_are_the_same_weights_wherever_they_lie(folder, tmp_path):
    before = weights_of(str(folder))
    assert len(before) == 64
    (folder / "optimizer.pt").write_bytes(b"moments")  # decides nothing
    (folder / "README.md").write_text("a model")
    moved = folder.rename(tmp_path / "elsewhere")
    assert weights_of(str(moved)) == before


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("model.safetensors", b"trained on"),
        ("generation_config.json", b'{"eos_token_id": 3}'),
        ("chat_template.jinja", b"{{ messages }}"),
        ("merges.txt", b"a b"),
    ],
)
def test_every_file_that_decides_counts(folder, file, content):
    before = weights_of(str(folder))
    (folder / file).write_bytes(content)
    assert weights_of(str(folder)) != before


def test_a_folder_is_found_from_the_repository_too(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert local_folder("data/base") == paths.BASE_MODEL
    assert local_folder("owner/name") is None


@pytest.mark.parametrize("name", ["/nowhere/model", "./model", "results/laptop/model"])
def test_a_path_that_is_none_is_not_looked_up_on_the_hub(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="no such model folder"):
        weights_of(name)


def test_a_folder_without_a_model(tmp_path):
    with pytest.raises(UserError, match=r"no config\.json"):
        weights_of(str(tmp_path))


def test_on_the_hub_it_is_the_commit(monkeypatch, tmp_path):
    def download(repo, file, revision):
        assert (repo, file, revision) == ("owner/name", "config.json", "v1")
        return str(tmp_path / "models--owner--name" / "snapshots" / "c0ffee" / "config.json")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    assert weights_of("owner/name", "v1") == "c0ffee"


def test_a_name_that_the_hub_does_not_know(monkeypatch):
    def download(repo, file, revision):
        raise LocalEntryNotFoundError("Cannot find the requested files\nin the disk cache")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    with pytest.raises(
        UserError, match=r"'owner/nme'.*not found on the hub or in its cache \(Cannot"
    ):
        weights_of("owner/nme")
