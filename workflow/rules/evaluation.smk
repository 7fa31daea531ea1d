"""Tests of every model: on the small world's problems, with findings judged, or on benchmarks."""


wildcard_constraints:
    benchmark="|".join(map(re.escape, SCALE.evaluation.benchmarks)) or "-",


rule evaluate:
    """Test one model; the base model's entropy threshold counts the HWE tokens of all."""
    input:
        model=lambda wildcards: files_of_model(wildcards.model),
        world=MATERIAL,
        threshold=lambda wildcards: (
            [] if wildcards.model == "base" else [f"{RESULTS}/evaluation/base.parquet"]
        ),
        sources=script_sources("evaluate"),
    output:
        f"{RESULTS}/evaluation/{{model}}.parquet",
    log:
        f"{RESULTS}/logs/evaluate/{{model}}.txt",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate-{{model}}.tsv"
    conda:
        "../envs/ares.yaml"
    params:
        model=lambda wildcards: model_folder(wildcards.model),
        arm=lambda wildcards: MODELS[wildcards.model][0],
        seed=lambda wildcards: MODELS[wildcards.model][1],
        settings=settings(
            *("seed", "world", "problems.levels", "problems.presentations"),
            *("rollouts.temperature", "rollouts.top_p", "evaluation"),
        ),
    message:
        "testing {wildcards.model}"
    script:
        "../scripts/evaluate.py"


rule benchmark:
    """Test one model on one benchmark."""
    input:
        registries=TESTED,
        model=lambda wildcards: files_of_model(wildcards.model),
        sources=module_sources("ares.cli.benchmark"),
    output:
        scores=f"{RESULTS}/scores/{{model}}/{{benchmark}}.parquet",
        responses=f"{RESULTS}/responses/{{model}}/{{benchmark}}.parquet",
    log:
        f"{RESULTS}/logs/benchmark/{{model}}/{{benchmark}}.txt",
    benchmark:
        f"{RESULTS}/benchmarks/benchmark-{{model}}-{{benchmark}}.tsv"
    conda:
        "../envs/ares.yaml"
    threads: THREADS["sampling"]
    resources:
        gpu=GPUS.sampling,
    params:
        launch=LAUNCH.sampling,
        options=benchmark_options,
        settings=settings("tested"),
        store=f"{RESULTS}/store/benchmark-{{model}}-{{benchmark}}.sqlite",
    message:
        "testing {wildcards.model} on {wildcards.benchmark}"
    shell:
        "{params.launch} ares benchmark {wildcards.benchmark} {params.options}"
        " --store {params.store} --scores-out {output.scores} --responses-out {output.responses}"
        " 2>&1 | tee {log}"


rule findings:
    """Judge the paper's findings by the rule book."""
    input:
        tables=[f"{RESULTS}/{table}.parquet" for table, form in TABLES.items() if form.judged],
        rules=ancient("config/findings.yaml"),
        paper=sorted(str(path) for path in Path("data/paper").glob("*.csv")),
        sources=script_sources("findings"),
    output:
        findings=f"{RESULTS}/findings.csv",
        seeds=f"{RESULTS}/findings_by_seed.csv",
    log:
        f"{RESULTS}/logs/findings.txt",
    benchmark:
        f"{RESULTS}/benchmarks/findings.tsv"
    conda:
        "../envs/ares.yaml"
    params:
        tables=subpath(output[0], parent=True),
        settings=settings(
            *("scale", "seed", "windows", "bootstrap"), rules=said("config/findings.yaml")
        ),
    message:
        "judging the findings"
    script:
        "../scripts/findings.py"


rule findings_page:
    """Write the findings page: every claim, our numbers, the verdicts and the figures, in one file."""
    input:
        findings=f"{RESULTS}/findings.csv",
        manifest=f"{RESULTS}/manifest.json",
        figures=[file for notebook in NOTEBOOKS for file in figure_files(notebook)],
        notebooks=[f"{RESULTS}/notebooks/{notebook}.ipynb" for notebook in NOTEBOOKS],
        captions=sorted(str(path) for path in Path("workflow/report").glob("*.rst")),
        listed="workflow/notebooks.yaml",
        rules=ancient("config/findings.yaml"),
        paper=sorted(str(path) for path in Path("data/paper").glob("*.csv")),
        sources=script_sources("findings_page"),
    output:
        directory(f"{RESULTS}/report"),
    log:
        f"{RESULTS}/logs/report.txt",
    conda:
        "../envs/ares.yaml"
    params:
        given=config["scale"],
        rules=said("config/findings.yaml"),
    message:
        "writing the findings page"
    script:
        "../scripts/findings_page.py"
