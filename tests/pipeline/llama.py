"""A tiny language model without eyes, sums for it to learn, and a scale of both."""

from __future__ import annotations

import json
from pathlib import Path

import torch
import yaml
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from tests.pipeline.small import write_scale

NUMBERS = [str(n) for n in range(19)]
WORDS = [
    *("<pad>", "<end>", "<unk>", "user", "assistant", "system", "\\boxed{", "}", "+", "=", "?"),
    *("<think>", "</think>", "wait", "so", *NUMBERS),
]
#: As language models have it: a content is text.
TEMPLATE = (
    "{% for message in messages %}{{ message['role'] + ' ' + message['content'] + ' ' }}"
    "{% if message['role'] == 'assistant' %}{{ '<end>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant ' }}{% endif %}"
)
SUMS = [(a, b) for a in range(1, 4) for b in range(1, 4)]


def write_llama(folder: Path) -> None:
    """Two layers, 32 wide, with a tokenizer of a word per token and no token to pad with."""
    core = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token="<end>", unk_token="<unk>", chat_template=TEMPLATE
    )
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(WORDS), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
            num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=128,
            eos_token_id=1, bos_token_id=None, pad_token_id=None,
        )
    )  # fmt: skip
    model.generation_config = GenerationConfig(eos_token_id=1, do_sample=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def write_sums(folder: Path) -> Path:
    """A data set of sums with traces, and its registry."""
    rows = [
        {
            "id": f"{a}+{b}",
            "question": f"{a} + {b} = ?",
            "answer": str(a + b),
            "trace": f"<think> {a} + {b} = {a + b} </think> \\boxed{{ {a + b} }}",
        }
        for a, b in SUMS
    ]
    (folder / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    columns = {"id": "id", "question": "question", "answer": "answer", "trace": "trace"}
    entry = {"path": "sums.jsonl", "columns": columns, "answer": "number", "prompt": "{question}"}
    (folder / "sums.yaml").write_text(yaml.safe_dump({"benchmarks": {"sums": entry}}))
    return folder / "sums.yaml"


def write(folder: Path, place: Path | str = "") -> Path:
    """Write the model, its sums and a scale in which the package's own sampler asks it.

    place: of the folder, as the scale names it; the folder itself unless given.
    """
    write_llama(folder / "model")
    write_sums(folder)
    place = place or folder
    changes = {
        "scale": "llama",
        "model": f"{place}/model",
        "training_data": [f"{place}/sums.yaml"],
        "benchmarks": [f"{place}/sums.yaml"],
        "backend": {"kind": "engine"},
        "cold_start.data": {"sums": 9},
        "cold_start.max_new_tokens": 16,
        "cold_start.size": 9,
        "cold_start.sft": {
            "batch": 3,
            "micro_batch": 3,
            "epochs": 60,
            "lr": 0.01,
            "max_length": 64,
        },
        "aepo.data": ["sums"],
        "aepo.pictures": "both",
        "aepo.steps": 2,
        "aepo.updates": 1,
        "aepo.max_new_tokens": 16,
        "evaluation.benchmarks": ["sums"],
        "problems": {"data": {"sums": 9}},
        "rollouts.model": "base",
    }
    return write_scale(folder / "llama.yaml", place, **changes)
