"""From tables to figures: every notebook run by papermill, the manifest, the findings page.

A notebook runs into the log folder, so that the executed copy is still there when a cell fails.
"""

for NOTEBOOK in NOTEBOOKS:

    rule:
        name:
            f"notebook_{NOTEBOOK}"
        input:
            notebook=f"notebooks/{NOTEBOOK}.ipynb",
            tables=[f"{RESULTS}/{table}.parquet" for table in NOTEBOOKS[NOTEBOOK]["tables"]],
            data=NOTEBOOKS[NOTEBOOK].get("data", []),
            sources=notebook_sources(f"notebooks/{NOTEBOOK}.ipynb"),
        output:
            figures=reported_figures(NOTEBOOK),
            notebook=f"{RESULTS}/notebooks/{NOTEBOOK}.ipynb",
        log:
            notebook=f"{RESULTS}/logs/notebooks/{NOTEBOOK}.ipynb",
            parameters=f"{RESULTS}/logs/notebooks/{NOTEBOOK}.json",
            text=f"{RESULTS}/logs/notebooks/{NOTEBOOK}.txt",
        benchmark:
            f"{RESULTS}/benchmarks/notebook-{NOTEBOOK}.tsv"
        conda:
            "../envs/ares.yaml"
        threads: 1
        params:
            parameters=notebook_parameters(NOTEBOOK),
            settings=settings(*NOTEBOOKS[NOTEBOOK].get("settings", [])),
        message:
            "running {input.notebook}"
        shell:
            "printf '%s\\n' {params.parameters:q} > {log.parameters};"
            " papermill -f {log.parameters} --kernel python3 --start-timeout 300 --no-progress-bar"
            " {input.notebook} {log.notebook} > {log.text} 2>&1"
            " && cp {log.notebook} {output.notebook}.part && sync {output.notebook}.part"
            " && mv {output.notebook}.part {output.notebook}"


rule manifest:
    """Write down what was made: hashes, commit, config, machine, seconds of every job."""
    input:
        tables=[f"{RESULTS}/{table}.parquet" for table in TABLES],
        findings=f"{RESULTS}/findings.csv",
        figures=[file for notebook in NOTEBOOKS for file in figure_files(notebook)],
        notebooks=[f"{RESULTS}/notebooks/{notebook}.ipynb" for notebook in NOTEBOOKS],
        sources=module_sources("ares.workflow.manifest"),
    output:
        f"{RESULTS}/manifest.json",
    log:
        f"{RESULTS}/logs/manifest.txt",
    conda:
        "../envs/ares.yaml"
    threads: 1
    params:
        config=CONFIG_FILE,
        benchmarks=f"{RESULTS}/benchmarks",
        timed=[
            *(f"{RESULTS}/{table}.parquet" for table in TIMED_TABLES),
            *(file for notebook in NOTEBOOKS for file in figure_files(notebook, "timed")),
        ],
        settings=settings(*SCALE),
    message:
        "writing the manifest"
    shell:
        "ares manifest --config {params.config} --benchmarks {params.benchmarks} --out {output}"
        " --tables {input.tables} {input.findings} --figures {input.figures}"
        " --notebooks {input.notebooks} --timed {params.timed} > {log} 2>&1"


rule findings_page:
    """Write the findings page: every claim, our numbers, the verdicts and the figures, in one file."""
    input:
        findings=f"{RESULTS}/findings.csv",
        manifest=f"{RESULTS}/manifest.json",
        figures=[file for notebook in NOTEBOOKS for file in figure_files(notebook)],
        notebooks=[f"{RESULTS}/notebooks/{notebook}.ipynb" for notebook in NOTEBOOKS],
        captions=sorted(str(path) for path in Path("workflow/report").glob("*.rst")),
        listed="workflow/notebooks.yaml",
        rules="config/findings.yaml",
        paper=sorted(str(path) for path in Path("data/paper").glob("*.csv")),
        sources=module_sources("ares.cli.runs"),
    output:
        directory(f"{RESULTS}/report"),
    log:
        f"{RESULTS}/logs/report.txt",
    conda:
        "../envs/ares.yaml"
    threads: 1
    params:
        config=CONFIG_FILE,
    message:
        "writing the findings page"
    shell:
        "ares report {params.config} --out {output} 2>&1 | tee {log}"
