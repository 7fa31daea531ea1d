"""Benchmarks as data: a registry, loading through `datasets`, prompts, scores."""
