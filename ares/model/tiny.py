"""A Qwen2.5-VL small enough for a laptop: config, word-level tokenizer, processor.

Same architecture and classes as `Qwen/Qwen2.5-VL-7B-Instruct`, so that whatever loads, samples or
trains the one does so with the other.
"""

from __future__ import annotations

import torch
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
from transformers import (
    GenerationConfig,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from ares.data.cards import CARD
from ares.data.world_settings import World
from ares.errors import UserError
from ares.model.base_settings import Size
from ares.model.processor import TorchvisionFreeProcessor

PAD, END, START = "<|endoftext|>", "<|im_end|>", "<|im_start|>"
VISION = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
UNKNOWN = "<|unknown|>"
SPECIAL = (PAD, START, END, *VISION, UNKNOWN)
#: Words of the answers and of the prompts, and signs, in the order of their token ids.
FRAME = ("<think>", "</think>", "\\boxed{")
WORDS = ("user", "assistant", "numbers", "cards", "target", "left", "vs", "yes", "no", "none")
SIGNS = ("+", "-", "x", "=", ",", ".", "}")

# The system message is for models that know no Countdown; this one has learned nothing else, so
# its template leaves it out, and callers send the same messages to every model.
CHAT_TEMPLATE = (
    "{%- for message in messages if message['role'] != 'system' -%}"
    "{{ '<|im_start|> ' + message['role'] + ' ' }}"
    "{%- if message['content'] is string -%}{{ message['content'] }}"
    "{%- else -%}{%- for part in message['content'] -%}"
    "{%- if part['type'] == 'image' -%}{{ '<|vision_start|><|image_pad|><|vision_end|> ' }}"
    "{%- else -%}{{ part['text'] }}{%- endif -%}{%- endfor -%}{%- endif -%}"
    "{{ ' <|im_end|> ' }}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|im_start|> assistant ' }}{%- endif -%}"
)


def vocabulary(world: World) -> list[str]:
    """Every ordinary word, in the order of the token ids: the same for the same world file."""
    numbers = [str(value) for value in range(world.values[0], world.values[1] + 1)]
    return [*FRAME, *WORDS, *SIGNS, *world.language.all_words(), *numbers]


def build_tokenizer(world: World) -> PreTrainedTokenizerFast:
    """A word-level tokenizer: one token per word, per sign and per number."""
    words = [*SPECIAL, *vocabulary(world)]
    core = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token=UNKNOWN))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    core.add_special_tokens([AddedToken(w, special=True, normalized=False) for w in SPECIAL])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token=PAD,
        eos_token=END,
        unk_token=UNKNOWN,
        padding_side="left",
        clean_up_tokenization_spaces=False,
        model_max_length=Size().context,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def build_processor(world: World) -> TorchvisionFreeProcessor:
    """Tokenizer and image processor; a card of `CARD` x `CARD` pixels is one visual token."""
    images = Qwen2VLImageProcessorPil(
        size={"shortest_edge": CARD * CARD, "longest_edge": 64 * CARD * CARD}
    )
    return TorchvisionFreeProcessor(images, build_tokenizer(world), chat_template=CHAT_TEMPLATE)


def build_model(
    processor: TorchvisionFreeProcessor, size: Size, seed: int
) -> Qwen2_5_VLForConditionalGeneration:
    """A freshly initialised model (float32) for the tokens of `processor`."""
    tokenizer = processor.tokenizer
    ids = {name: tokenizer.convert_tokens_to_ids(name) for name in SPECIAL}
    half = size.hidden // size.heads // 2
    sections = [half - 2 * (half * 3 // 8), half * 3 // 8, half * 3 // 8]
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": size.hidden,
            "num_hidden_layers": size.layers,
            "num_attention_heads": size.heads,
            "num_key_value_heads": size.kv_heads,
            "intermediate_size": size.intermediate,
            "max_position_embeddings": size.context,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10_000.0,
                "mrope_section": sections,
            },
            "bos_token_id": None,
            "eos_token_id": ids[END],
            "pad_token_id": ids[PAD],
            "tie_word_embeddings": True,
        },
        vision_config={
            "depth": size.vision_layers,
            "hidden_size": size.vision_hidden,
            "intermediate_size": size.vision_intermediate,
            "num_heads": 4,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "out_hidden_size": size.hidden,
            "fullatt_block_indexes": list(range(size.vision_layers)),
        },
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=True,
    )
    torch.manual_seed(seed)
    model = Qwen2_5_VLForConditionalGeneration(config)
    model.generation_config = GenerationConfig(
        eos_token_id=ids[END], pad_token_id=ids[PAD], do_sample=True, temperature=1.0, top_k=0
    )
    return model


def check_processor(processor: TorchvisionFreeProcessor, world: World, where: str) -> None:
    """Refuse (UserError) a tokenizer, chat template or image processor that is not the world's.

    A model would answer all the same, to other words and other pictures than were meant.
    """
    own = build_processor(world)
    pairs = {
        "tokenizer": [p.tokenizer.backend_tokenizer.to_str() for p in (processor, own)],
        "chat template": [p.chat_template for p in (processor, own)],
        "image processor": [p.image_processor.to_dict() for p in (processor, own)],
    }
    differing = [name for name, (found, expected) in pairs.items() if found != expected]
    if differing:
        raise UserError(
            f"{where}: its {' and '.join(differing)} is not that of the world it was trained on; "
            "copy the whole folder again"
        )
