"""A tiny text model with random weights, made on the spot: the folder is like a real one's."""

from __future__ import annotations

from pathlib import Path

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
#: Tokens of the tokenizer.
VOCABULARY = 160
TEXT = """what is the sum of three and four? the answer is \\boxed{7}. system user assistant
if a train goes 12 km in 30 minutes, how fast is it? think step by step: 12 / 0.5 = 24 km per hour
wait, let me check again. however, 9 * 8 = 72, and 56 - 31 = 25, so the larger one is \\boxed{72}
<think> first add, then divide; perhaps we should verify this </think> (A) (B) (C) (D)"""


def make_model(folder: Path) -> None:
    """Write a Qwen2 model of 0.1 M parameters in float32 with a byte-level BPE tokenizer.

    Its tokens are ASCII, so that the text of a token names it.
    """
    import torch
    from transformers import GenerationConfig, Qwen2Config, Qwen2ForCausalLM

    tokenizer = make_tokenizer()
    end, pad = tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>"])
    torch.manual_seed(0)
    # Far from uniform, so that log-probabilities differ and greedy choices are clear.
    config = Qwen2Config(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=512,
        initializer_range=0.3, tie_word_embeddings=False, dtype="float32",
        eos_token_id=end, pad_token_id=pad, bos_token_id=None,
    )  # fmt: skip
    model = Qwen2ForCausalLM(config)
    # As shipped with Qwen2.5: settings that a measurement must not take over in silence.
    model.generation_config = GenerationConfig(
        eos_token_id=[end, pad], pad_token_id=pad, repetition_penalty=1.3, top_k=5, do_sample=True
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def make_tokenizer():
    """A tokenizer whose chat template is ChatML."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=special, show_progress=False
    )
    tokenizer.train_from_iterator([TEXT], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=special[2], pad_token=special[0],
        chat_template=TEMPLATE,
    )  # fmt: skip


class Reference:
    """The model in transformers: log-probabilities by teacher forcing, in float32."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32").eval()
        # Every token is decoded alone, as servers do: " a" and "a" are different texts.
        self.by_text = {self.tokenizer.decode([i]): i for i in range(len(self.tokenizer))}
        assert len(self.by_text) == len(self.tokenizer)

    def ids(self, records: list[dict]) -> list[int]:
        """The ids of a response by the texts of its tokens."""
        return [self.by_text[record["token"]] for record in records]

    def worst_difference(self, question: str, records: list[dict], listed: int = 0) -> float:
        """Largest difference of any log-probability in a response's records from the model's.

        listed: how many alternatives every record must hold, where that is a number.
        """
        ids = self.ids(records)
        expected_TV, worst = self.logprobs(question, ids), 0.0
        for at, record in enumerate(records):
            alternatives = record["top_logprobs"]
            assert not listed or len(alternatives) == listed
            for one in (record, *alternatives):
                (token,) = self.ids([one])
                worst = max(worst, abs(one["logprob"] - expected_TV[at, token].item()))
        return worst

    def prompt(self, question: str) -> list[int]:
        """The ids of a question in its chat template."""
        messages = [{"role": "user", "content": question}]
        text = self.tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True
        )
        return self.tokenizer(text)["input_ids"]

    def logprobs(self, question: str, response: list[int]):
        """Log-probabilities (T, V) at temperature 1 of every token of a response's positions."""
        import torch

        prompt = self.prompt(question)
        with torch.inference_mode():
            logits = self.model(torch.tensor([[*prompt, *response]])).logits[0]
        return logits[len(prompt) - 1 : -1].double().log_softmax(-1)
