"""The policy: a Qwen2.5-VL of any size, its tokenizer and its processor."""
