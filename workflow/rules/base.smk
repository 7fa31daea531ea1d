"""Training the base model from nothing. Not part of `all`: the repository ships the result."""


rule base:
    """Train the base model into results/base; data/base, the shipped one, stays as it is.

    The state of an interrupted training lies beside the output, which Snakemake would remove, and
    the next run goes on from there.
    """
    input:
        config="config/base.yaml",
        world="config/world.yaml",
        sources=module_sources("ares.workflow.train_base"),
    output:
        directory("results/base"),
    log:
        "results/logs/base.txt",
    benchmark:
        "results/benchmarks/base.tsv"
    conda:
        "../envs/ares.yaml"
    threads: 1
    params:
        state="results/base-training",
    message:
        "training the base model"
    shell:
        "ares train-base --config {input.config} --state {params.state} --out {output}"
        " 2>&1 | tee {log}"
