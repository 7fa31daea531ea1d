"""How much faster than `model.generate` is the sampler, at the same work?

    python benchmarks/bench_sampling.py [model folder]
    python benchmarks/bench_sampling.py --prompts 8 --samples 8     # groups, as in training

Both sample one response to each of 64 text problems, a third of every level, on one CPU thread.
Runs alternate, so that whatever else the machine does hits both; every pair of runs gives one
ratio. The tokens drawn differ, the distribution does not: the mean lengths are printed too.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
import torch

from ares.data.countdown import draw_problems
from ares.data.world import messages
from ares.data.world_settings import load_world
from ares.model.load import load_policy
from ares.paths import BASE_MODEL
from ares.sampling.engine import sample
from ares.sampling.prompts import split_prompts


def main() -> None:
    """Print the ratio of every pair of runs, then the least and the median ratio."""
    options = parse_options()
    torch.set_num_threads(1)
    model, processor = load_policy(options.model)
    inputs = problem_batch(processor, options.prompts)
    samplers = {"generate": with_generate, "ares": with_ares}
    ratios = []
    for pair in range(-1, options.pairs):  # the first pair warms up
        seconds, lengths = {}, {}
        # Alternating who goes first cancels what the first run does to the second.
        for name in sorted(samplers, reverse=pair % 2 == 0):
            start = time.perf_counter()
            lengths[name] = samplers[name](model, processor, inputs, options, pair + 1)
            seconds[name] = time.perf_counter() - start
        if pair >= 0:
            ratios.append(seconds["generate"] / seconds["ares"])
            print(
                f"generate {np.mean(lengths['generate']):5.1f} tokens; "
                f"ares {np.mean(lengths['ares']):5.1f} tokens; ratio {ratios[-1]:.2f}"
            )
    print(f"ratio: least {min(ratios):.2f}, median {statistics.median(ratios):.2f}")


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", default=BASE_MODEL, help="model folder")
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--samples", type=int, default=1, help="responses per prompt")
    parser.add_argument("--tokens", type=int, default=256, help="longest response")
    parser.add_argument("--pairs", type=int, default=7, help="repetitions")
    return parser.parse_args()


def problem_batch(processor, count: int):
    """`count` text problems of the test split, levels in turn."""
    world, rng = load_world(), np.random.default_rng(0)
    per_level = -(-count // len(world.levels))
    drawn = [draw_problems(level, "test", per_level, world, rng) for level in world.levels]
    problems = [problem for same in zip(*drawn, strict=True) for problem in same][:count]
    return processor.apply_chat_template(
        [messages(problem, "text") for problem in problems],
        tokenize=True,
        add_generation_prompt=True,
        return_dict=True,
        return_tensors="pt",
        processor_kwargs={"padding": True},
    )


def with_generate(model, processor, inputs, options, seed: int) -> list[int]:
    torch.manual_seed(seed)
    prompt_length = inputs["input_ids"].shape[1]
    output = model.generate(
        **inputs,
        do_sample=True,
        temperature=1.0,
        top_k=0,
        top_p=1.0,
        max_new_tokens=options.tokens,
        num_return_sequences=options.samples,
    )
    end = processor.tokenizer.eos_token_id
    responses = [row[prompt_length:].tolist() for row in output]
    return [row.index(end) + 1 if end in row else len(row) for row in responses]


def with_ares(model, processor, inputs, options, seed: int) -> list[int]:
    n_rows = len(inputs["input_ids"]) * options.samples
    samples = sample(
        model,
        split_prompts(inputs, model.config),
        max_new_tokens=options.tokens,
        eos_token_ids=[processor.tokenizer.eos_token_id],
        seeds=range(seed * n_rows, (seed + 1) * n_rows),
    )
    return [len(response.token_ids) for response in samples]


if __name__ == "__main__":
    main()
