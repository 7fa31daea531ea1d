"""Where rows come from: the hub, files, folders; pictures that can't be trusted."""

import hashlib

import datasets
import huggingface_hub
import pytest

from ares.errors import UserError
from ares.evaluation.load import items
from ares.evaluation.registry import load_registry
from tests.evaluation import standins


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub that has the stand-ins, and writes down what it is asked."""
    asked = []

    def load_dataset(name, config=None, **options):
        asked.append((name, config, options))
        table = real("parquet", data_files=str(files[name]), split="train")
        table.info.download_checksums = {f"hf://datasets/{name}@{'a' * 40}/x.parquet": {}}
        return table

    files = {
        "openai/gsm8k": standins.write("GSM8K", tmp_path),
        "TIGER-Lab/ViRL39K": standins.write("virl39k", tmp_path),
    }
    real = datasets.load_dataset
    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.setattr(
        huggingface_hub,
        "hf_hub_download",
        lambda name, file, repo_type, revision: str(files[name].parent / file),
    )
    return asked


def test_the_hub_is_asked_for_data_pictures_and_the_commit_that_was_read(hub):
    found = items(load_registry()["GSM8K"])
    assert [item.question.gold for item in found] == ["7", "1,200"]
    options = {"data_files": None, "split": "test", "revision": "main"}
    assert hub == [("openai/gsm8k", "main", options)]
    assert found.origins == (f"openai/gsm8k@{'a' * 40}",)
    found = items(load_registry(standins.TRAINING_DATA)["virl39k"])
    assert found[1].images[1].getpixel((0, 0)) == standins.BLUE
    assert hub[-1][2]["data_files"] == "39Krelease.parquet"


def test_without_the_hub_the_way_out_is_named(monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=r"can't be loaded.*'like: GPQA' and 'path: FILE'"):
        items(load_registry()["GPQA"])


def test_several_splits_need_a_folder_with_a_file_for_each(tmp_path):
    folder = standins.write("DynaMath-W", tmp_path)
    file = folder / "sample_variant1.parquet"
    with pytest.raises(UserError, match="has 10 splits; give a folder with a file for each"):
        items(load_registry(local={"DynaMath-W": file})["DynaMath-W"])
    (folder / "sample_variant10.parquet").unlink()
    with pytest.raises(UserError, match=r"sample_variant10\.parquet: no such file"):
        items(load_registry(local={"DynaMath-W": folder})["DynaMath-W"])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.txt", "", r"a benchmark is read from \.parquet, \.jsonl, \.json, \.csv"),
        ("x.jsonl", None, "no such file"),
        ("x.jsonl", '{"question": ', "not readable as json"),
        ("x.parquet", "no parquet", "not readable as parquet"),
    ],
)
def test_files_that_cannot_be_read(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        items(load_registry(local={"GSM8K": tmp_path / name})["GSM8K"])


def test_the_origin_of_a_file_is_its_content(tmp_path):
    file = standins.write("AIME25", tmp_path)
    aime = load_registry(local={"AIME25": file})["AIME25"]
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert items(aime).origins == (f"test.jsonl sha256:{digest[:16]}",)


def test_pictures_are_decoded_only_when_an_item_is_read(tmp_path, monkeypatch):
    registry = load_registry(local={"MMStar": standins.write("MMStar", tmp_path)})
    monkeypatch.setattr("ares.evaluation.sources.decode", lambda data, most: 1 / 0)
    found = items(registry["MMStar"])
    assert len(found) == 1
    with pytest.raises(ZeroDivisionError):
        found[0]
