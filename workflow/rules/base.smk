"""Training of base models from nothing, one rule per config/base*.yaml.

`base` is not part of `all`: the repository ships its result as data/base. A scale whose `model` is
results/base-gpu has rule base_gpu make it first, and so for any other config/base-NAME.yaml.
"""


def base_state(folder: str) -> str:
    """Return where an interrupted training keeps its state: a folder of its own for other settings.

    Not among them is what changes neither the weights nor the order of the batches.
    """
    config = load_base_config(BASES[folder])
    kept = config.model_dump(mode="json", exclude={"workers", "checkpoint_every", "evaluation"})
    return f"{folder}-training/{digest(json.dumps([kept, load_world(config.world).dump()]))}"


for BASE in BASES:

    rule:
        name:
            Path(BASE).name.replace("-", "_")
        input:
            # What they say is in the parameters: another comment is no other base model.
            config=ancient(BASES[BASE]),
            world=ancient(load_base_config(BASES[BASE]).world),
            sources=script_sources("base"),
        output:
            directory(BASE),
        log:
            f"results/logs/{Path(BASE).name}.txt",
        benchmark:
            f"results/benchmarks/{Path(BASE).name}.tsv"
        priority: 20
        conda:
            "../envs/ares.yaml"
        threads: 1 + load_base_config(BASES[BASE]).workers
        params:
            # Beside the output, which Snakemake would remove; the next run goes on from there.
            state=base_state(BASE),
            settings=json.dumps(load_base_config(BASES[BASE]).dump()),
        message:
            "training a base model ({input.config})"
        script:
            "../scripts/base.py"
