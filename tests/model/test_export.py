"""The export: what stock transformers and vLLM find in the folder, and what is refused."""

import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import (
    AutoImageProcessor,
    AutoModelForImageTextToText,
    AutoTokenizer,
    Qwen2_5_VLForConditionalGeneration,
)

from ares.cli import main
from ares.data.countdown import Problem
from ares.data.world import countdown_item, picture
from ares.errors import UserError
from ares.io import read_json, whole_folder, write_json
from ares.model.load import load_policy
from ares.model.processor import prompt_text
from ares.model.save import export
from tests.pipeline.llama import write_llama
from tests.robustness.spoil import Trap

#: The names of Qwen/Qwen2.5-VL-7B-Instruct on the hub, for one layer and one block.
LAYER, BLOCK, MERGER = "model.layers.0", "visual.blocks.0", "visual.merger"
WITHOUT_BIAS = (
    *("model.embed_tokens", "model.norm", f"{LAYER}.self_attn.o_proj", f"{MERGER}.ln_q"),
    *(f"{LAYER}.{name}" for name in ("input_layernorm", "post_attention_layernorm")),
    *(f"{LAYER}.mlp.{name}_proj" for name in ("down", "gate", "up")),
    *("visual.patch_embed.proj", f"{BLOCK}.norm1", f"{BLOCK}.norm2"),
)
WITH_BIAS = (
    *(f"{LAYER}.self_attn.{name}_proj" for name in "qkv"),
    *(f"{BLOCK}.attn.qkv", f"{BLOCK}.attn.proj", f"{MERGER}.mlp.0", f"{MERGER}.mlp.2"),
    *(f"{BLOCK}.mlp.{name}_proj" for name in ("down", "gate", "up")),
)
HUB_NAMES = {f"{name}.weight" for name in (*WITHOUT_BIAS, *WITH_BIAS)}
HUB_NAMES |= {f"{name}.bias" for name in WITH_BIAS}
FILES = [
    "chat_template.jinja",
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "preprocessor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "world.json",
]


@pytest.fixture
def checkpoint(model_folder, tmp_path) -> Path:
    """What a trainer leaves: the model, float32, among pickles."""
    folder = tmp_path / "run" / "checkpoint-40"
    model, processor = load_policy(model_folder)
    model.config.text_config.use_cache = False
    model.save_pretrained(folder)
    # What a batch leaves in a tokenizer.
    processor.tokenizer(["3", "3 8"], padding=True, truncation=True, max_length=9)
    processor.save_pretrained(folder)
    shutil.copy(model_folder / "world.json", folder)
    for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth", "training_args.bin"):
        (folder / name).write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    write_json(folder / "trainer_state.json", {"global_step": 40})
    return folder


def names(folder: Path) -> dict[str, str]:
    """Name -> number type of every weight; a name that is there twice fails."""
    found: dict[str, str] = {}
    for file in folder.glob("*.safetensors"):
        with safe_open(file, framework="pt") as handle:
            for name in handle.keys():  # noqa: SIM118
                assert name not in found
                found[name] = handle.get_slice(name).get_dtype()
    return found


def logits(model, processor) -> torch.Tensor:
    item = countdown_item(Problem((3, 8, 5), 19), "image")
    batch = processor(text=[prompt_text(item, processor)], images=item.images, return_tensors="pt")
    with torch.no_grad():
        return model(**batch).logits


def test_stock_classes_load_the_export_and_compute_the_same(checkpoint, tmp_path) -> None:
    out = tmp_path / "out"
    files = export(checkpoint, out, dtype="float32")
    assert [file.name for file in files] == FILES
    before = logits(*load_policy(checkpoint))
    model, processor = load_policy(out)
    assert torch.equal(logits(model, processor), before)
    stock, found = AutoModelForImageTextToText.from_pretrained(
        out, dtype=torch.float32, output_loading_info=True
    )
    assert type(stock) is Qwen2_5_VLForConditionalGeneration
    assert not any(found.values())
    assert torch.equal(logits(stock.eval(), processor), before)
    question = "numbers 3 8 5 target 19"
    stock_ids = AutoTokenizer.from_pretrained(out)(question)["input_ids"]
    assert stock_ids == processor.tokenizer(question)["input_ids"]
    image = picture(Problem((3, 8, 5), 19), 0)
    pixels = AutoImageProcessor.from_pretrained(out)(image, return_tensors="pt")["pixel_values"]
    assert torch.equal(
        pixels, processor.image_processor(image, return_tensors="pt")["pixel_values"]
    )
    assert not (tmp_path / "sprung").exists()


def test_names_types_and_settings_are_those_of_the_hub(checkpoint, tmp_path) -> None:
    export(checkpoint, tmp_path / "out")
    found = names(tmp_path / "out")
    assert set(found) == HUB_NAMES  # tied: no lm_head
    assert set(found.values()) == {"BF16"}
    config = read_json(tmp_path / "out/config.json")
    assert config["architectures"] == ["Qwen2_5_VLForConditionalGeneration"]
    assert config["dtype"] == "bfloat16" and config["tie_word_embeddings"] is True
    assert config["text_config"]["use_cache"] is True
    pictures = read_json(tmp_path / "out/preprocessor_config.json")
    assert pictures["image_processor_type"] == "Qwen2VLImageProcessor"
    assert pictures["processor_class"] == "Qwen2_5_VLProcessor"
    tokenizer = read_json(tmp_path / "out/tokenizer_config.json")
    assert tokenizer["processor_class"] == "Qwen2_5_VLProcessor"
    assert tokenizer["tokenizer_class"] == "PreTrainedTokenizerFast"
    core = read_json(tmp_path / "out/tokenizer.json")
    assert read_json(checkpoint / "tokenizer.json")["padding"] is not None
    assert (core["padding"], core["truncation"]) == (None, None)
    assert "TorchvisionFree" not in "".join(
        file.read_text() for file in (tmp_path / "out").glob("*.json")
    )


def test_large_models_are_sharded_and_an_untied_head_goes_along(checkpoint, tmp_path) -> None:
    model, processor = load_policy(checkpoint)
    model.config.tie_word_embeddings = model.config.text_config.tie_word_embeddings = False
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach() * 2)
    model.save_pretrained(tmp_path / "untied")
    processor.save_pretrained(tmp_path / "untied")
    files = export(tmp_path / "untied", tmp_path / "out", shard="60KB")
    index = read_json(tmp_path / "out/model.safetensors.index.json")
    assert len([f for f in files if f.suffix == ".safetensors"]) > 2
    assert (
        set(index["weight_map"]) == set(names(tmp_path / "out")) == HUB_NAMES | {"lm_head.weight"}
    )
    again, _ = load_policy(tmp_path / "out")
    expected = model.lm_head.weight.to(torch.bfloat16).float()
    assert torch.equal(again.lm_head.weight, expected)


def test_the_folder_appears_whole_or_not_at_all(checkpoint, tmp_path, monkeypatch) -> None:
    weights = load_file(checkpoint / "model.safetensors")
    weights.pop("visual.merger.ln_q.weight")
    save_file(weights, checkpoint / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match=r"1 weights are missing, .*merger\.ln_q"):
        export(checkpoint, tmp_path / "out")
    with pytest.raises(KeyboardInterrupt), whole_folder(tmp_path / "out") as made:
        (made / "config.json").write_text("{}")
        raise KeyboardInterrupt
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine").write_text("keep")
    with pytest.raises(UserError, match="is there already"):
        export(checkpoint, tmp_path / "out")
    assert (tmp_path / "out/mine").read_text() == "keep"


def test_overflowing_weights_are_refused(checkpoint, tmp_path) -> None:
    weights = load_file(checkpoint / "model.safetensors")
    weights["model.norm.weight"][0] = 1e6
    save_file(weights, checkpoint / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match=r"norm\.weight holds values .* try bfloat16"):
        export(checkpoint, tmp_path / "out", dtype="float16")
    export(checkpoint, tmp_path / "out")


def only(folder: Path, *files: str) -> Path:
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"\x80")
    return folder


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ("pytorch_model_fsdp_0/.metadata", "accelerate merge-weights .*pytorch_model_fsdp_0 FOL"),
        ("zero_to_fp32.py global_step4/x.pt", "zero_to_fp32.py --safe_serialization"),
        ("adapter_config.json adapter_model.safetensors", "an adapter, not a model"),
        ("checkpoint-9/config.json checkpoint-10/config.json", "the newest is .*checkpoint-10"),
        ("config.json pytorch_model.bin", "weights as pickles, which are never loaded"),
        ("notes.txt", "no checkpoint of a model"),
    ],
)
def test_what_can_not_be_exported_is_named(tmp_path, files, message) -> None:
    with pytest.raises(UserError, match=message):
        export(only(tmp_path / "in", *files.split()), tmp_path / "out")
    with pytest.raises(UserError, match="no such checkpoint folder"):
        export(tmp_path / "nowhere", tmp_path / "out")


def test_a_checkpoint_of_ours_that_was_cut_off_is_refused(checkpoint, tmp_path) -> None:
    size = (checkpoint / "model.safetensors").stat().st_size
    write_json(checkpoint / "complete.json", {"files": {"model.safetensors": size}})
    export(checkpoint, tmp_path / "out")
    write_json(checkpoint / "complete.json", {"files": {"model.safetensors": size + 1}})
    with pytest.raises(UserError, match="not whole"):
        export(checkpoint, tmp_path / "other")


def test_the_command_lists_what_it_wrote(checkpoint, tmp_path, capsys) -> None:
    out = str(tmp_path / "out")
    assert main(["export", str(checkpoint), "--out", out, "--dtype", "float16"]) == 0
    said = capsys.readouterr().out
    assert f"vllm serve {out}" in said and all(name in said for name in FILES)
    assert set(names(tmp_path / "out").values()) == {"F16"}
    assert json.loads((tmp_path / "out/config.json").read_text())["dtype"] == "float16"
    assert main(["export", str(checkpoint), "--out", out]) == 2
    assert main(["export", str(checkpoint), "--out", out + "2", "--shard", "5"]) == 2


def test_a_language_model_is_exported_with_its_tokenizer(tmp_path) -> None:
    write_llama(tmp_path / "in")
    files = export(tmp_path / "in", tmp_path / "out", dtype="float32")
    of_pictures = {"preprocessor_config.json", "world.json"}
    assert [file.name for file in files] == [name for name in FILES if name not in of_pictures]
    model, before = load_policy(tmp_path / "in")
    again, after = load_policy(tmp_path / "out")
    assert after.chat_template == before.chat_template
    ids = after("1 + 2 = ?", return_tensors="pt")["input_ids"]
    assert torch.equal(ids, before("1 + 2 = ?", return_tensors="pt")["input_ids"])
    with torch.no_grad():
        assert torch.equal(again(input_ids=ids).logits, model(input_ids=ids).logits)
