"""Model folders, training states, tables and configs that try to run code: refused, and not run."""

from __future__ import annotations

import json
import pickle
import shutil
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from transformers import Trainer, TrainingArguments

from ares.backends.base import Decoding, Failure, Request
from ares.backends.local import LocalBackend
from ares.cli import main
from ares.errors import UserError
from ares.io import read_table
from ares.model.load import load_policy
from ares.model.save import export
from ares.training import checkpoints
from ares.training.checkpoints import Resumable
from ares.versions import numbered


class Trap:
    """A pickle that leaves a file behind when it is loaded."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self):
        return Path.touch, (self.file,)


@pytest.fixture
def sprung(tmp_path):
    """The file that a trap leaves; it must not be there at the end of any test."""
    yield tmp_path / "sprung"
    assert not (tmp_path / "sprung").exists()


@pytest.fixture
def folder(model_folder, tmp_path) -> Path:
    copy = tmp_path / "model"
    shutil.copytree(model_folder, copy)
    return copy


def test_the_trap_works(tmp_path):
    pickle.loads(pickle.dumps(Trap(tmp_path / "sprung")))
    assert (tmp_path / "sprung").exists()


@pytest.mark.parametrize("name", ["pytorch_model.bin", "adapter_model.bin"])
@pytest.mark.parametrize("as_torch", [False, True])
def test_weights_as_a_pickle_are_not_loaded(folder, sprung, name, as_torch):
    (folder / "model.safetensors").unlink()
    if as_torch:
        torch.save({"weight": Trap(sprung)}, folder / name)
    else:
        (folder / name).write_bytes(pickle.dumps(Trap(sprung)))
    with pytest.raises(UserError) as caught:
        load_policy(folder)
    assert str(folder) in str(caught.value) and "\n" not in str(caught.value)


def test_an_index_that_names_a_pickle_loads_none(folder, sprung):
    (folder / "model.safetensors").unlink()
    (folder / "part.bin").write_bytes(pickle.dumps(Trap(sprung)))
    index = {"metadata": {}, "weight_map": {"lm_head.weight": "part.bin"}}
    for name in ("model.safetensors.index.json", "pytorch_model.bin.index.json"):
        (folder / name).write_text(json.dumps(index))
    with pytest.raises(UserError):
        load_policy(folder)


def test_pickles_beside_good_weights_are_left_alone(folder, sprung):
    for name in ("pytorch_model.bin", "optimizer.pt", "rng_state.pth", "training_args.bin"):
        (folder / name).write_bytes(pickle.dumps(Trap(sprung)))
    load_policy(folder)


CODE = "from pathlib import Path\nPath({!r}).touch()\nclass Config: pass\nclass Model: pass\n"


@pytest.mark.parametrize("kind", ["qwen2_5_vl", "a-new-kind"])
def test_code_of_a_model_folder_is_not_run(folder, sprung, monkeypatch, tmp_path, kind):
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    (folder / "own.py").write_text(CODE.format(str(sprung)))
    for name in ("config.json", "tokenizer_config.json", "processor_config.json"):
        settings = json.loads((folder / name).read_text())
        settings["auto_map"] = {
            "AutoConfig": "own.Config",
            "AutoModel": "own.Model",
            "AutoModelForCausalLM": "own.Model",
            "AutoModelForImageTextToText": "own.Model",
            "AutoTokenizer": ["own.Model", "own.Model"],
            "AutoProcessor": "own.Model",
            "AutoImageProcessor": "own.Model",
        }
        if name == "config.json":
            settings["model_type"] = kind
        (folder / name).write_text(json.dumps(settings))
    if kind == "qwen2_5_vl":
        load_policy(folder)  # known without that code
    else:
        with pytest.raises(UserError):
            load_policy(folder)


TEMPLATES = [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ messages.__class__.__init__.__globals__ }}",
    "{% for c in [].__class__.__base__.__subclasses__() %}{{ c }}{% endfor %}",
    "{{ cycler.__init__.__globals__.os.popen('touch SPRUNG') }}",
    "{{ self.__init__.__globals__.__builtins__.__import__('os').system('touch SPRUNG') }}",
    "{{ raise_exception.__globals__['os'].system('touch SPRUNG') }}",
    "{% include '/etc/passwd' %}",
    "{% for i in range(10 ** 9) %}x{% endfor %}",
    "{{ messages.append(1) }}",
    "{{ 1 / 0 }}",
    "{{ messages[99] + 'x' }}",
]


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_chat_template_reaches_nothing(folder, sprung, template):
    """transformers renders templates in a sandbox; what it refuses is a failure of the request."""
    for file in folder.glob("*.jinja"):
        file.unlink()
    (folder / "chat_template.jinja").write_text(template.replace("SPRUNG", str(sprung)))
    backend = LocalBackend(folder, device="cpu")
    request = Request("q", [{"role": "user", "content": "3"}], Decoding(max_tokens=1))
    ((_, outcome),) = backend.generate([request])
    if not isinstance(outcome, Failure):  # some only render to nothing
        assert outcome.prompt_tokens is not None and outcome.prompt_tokens < 50


@pytest.mark.parametrize("name", ["optimizer.pt", "scheduler.pt", "rng_state.pth"])
@pytest.mark.parametrize("as_torch", [False, True])
def test_training_states_are_read_as_numbers_only(tmp_path, sprung, name, as_torch):
    """What transformers' trainer reads when a run goes on; ours leave that to it."""
    state = tmp_path / "states" / "checkpoint-2"
    state.mkdir(parents=True)
    arguments = TrainingArguments(output_dir=str(tmp_path / "states"), use_cpu=True)
    trainer = Trainer(torch.nn.Linear(2, 2), arguments)
    trainer.create_optimizer_and_scheduler(num_training_steps=4)
    torch.save(trainer.optimizer.state_dict(), state / "optimizer.pt")
    torch.save(trainer.lr_scheduler.state_dict(), state / "scheduler.pt")
    if as_torch:
        torch.save({"state": Trap(sprung)}, state / name)
    else:
        (state / name).write_bytes(pickle.dumps(Trap(sprung)))
    with pytest.raises(UserError, match="was not loaded"), checkpoints.alone(tmp_path / "states"):
        trainer._load_optimizer_and_scheduler(str(state))
        trainer._load_rng_state(str(state))


def test_weights_of_a_training_state_are_no_pickle(model_folder, tmp_path, sprung):
    model, processor = load_policy(model_folder)
    arguments = TrainingArguments(output_dir=str(tmp_path / "states"), use_cpu=True)
    trainer = type("Ours", (Resumable,), {})(model, arguments, processing_class=processor)
    state = tmp_path / "states" / "checkpoint-2"
    shutil.copytree(model_folder, state)
    (state / "model.safetensors").unlink()
    torch.save({"weight": Trap(sprung)}, state / "pytorch_model.bin")
    with pytest.raises(OSError, match="safetensors"):
        trainer._load_from_checkpoint(str(state))


def test_export_leaves_out_every_pickle(folder, sprung, tmp_path):
    for name in ("optimizer.pt", "training_args.bin", "scheduler.pt", "notes.pkl"):
        (folder / name).write_bytes(pickle.dumps(Trap(sprung)))
    export(folder, tmp_path / "out")
    assert not [f.name for f in (tmp_path / "out").iterdir() if f.suffix in (".pt", ".bin", ".pkl")]


class Pickled(pa.ExtensionType):
    """A type of Arrow whose description is a pickle, as PyExtensionType's was."""

    def __init__(self, file: Path) -> None:
        self.file = file
        super().__init__(pa.int64(), "arrow.py_extension_type")

    def __arrow_ext_serialize__(self) -> bytes:
        return pickle.dumps(Trap(self.file))

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type, serialized):
        raise AssertionError("not registered")


def test_types_of_a_table_run_nothing(tmp_path, sprung):
    kind = Pickled(sprung)
    column = pa.ExtensionArray.from_storage(kind, pa.array([1, 2]))
    pq.write_table(numbered(pa.table({"a": column})), tmp_path / "t.parquet")
    with suppress(UserError):
        read_table(tmp_path / "t.parquet")
    assert pq.read_table(tmp_path / "t.parquet")["a"].to_pylist() == [1, 2]
    # pandas' own notes in a file, with a pickle as the type of a column
    table = pa.table({"a": pa.array([1])})
    note = {"columns": [{"name": "a", "metadata": pickle.dumps(Trap(sprung)).hex()}]}
    table = table.replace_schema_metadata({"pandas": json.dumps({"index_columns": [], **note})})
    pq.write_table(numbered(table), tmp_path / "n.parquet")
    with suppress(UserError):
        read_table(tmp_path / "n.parquet")


TAGS = [
    "!!python/object/apply:os.system ['touch {}']",
    "!!python/object/new:os.system ['touch {}']",
    "!!python/name:os.system",
    "!!python/module:os",
    "!!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path ['{}']]",
]


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("command", ["countdown", "benchmark"])
def test_tags_of_a_config_run_nothing(tmp_path, sprung, capsys, tag, command):
    file = tmp_path / "config.yaml"
    file.write_text("seed: " + tag.format(sprung) + "\n")
    yaml.compose(file.read_text())  # well formed
    arguments = {
        "countdown": ["problems", "--config", str(file), "--out", str(tmp_path / "p.parquet")],
        "benchmark": ["benchmark", "--list", "--registry", str(file)],
    }[command]
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith("ares: error: ")
