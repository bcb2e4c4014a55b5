# Everything a user needs; `make` alone lists it.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
SNAKEMAKE := PATH="$(CURDIR)/$(BIN):$$PATH" snakemake
NAME ?=
MINUTES ?= 10
SCENE ?= orbit
STUDY ?= .
TARGET ?= results/grid/vit-cutmix/seed0/metrics.json
PORT ?= 8080
CONFIG ?=
CORES ?= $(shell nproc 2>/dev/null || echo 2)
KILLS ?= 100
SEED ?= 0
FROM ?= .
CLUSTER_TESTS ?=

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "triptych needs Python 3.11 or newer; set PYTHON=python3.12, say"; exit 1; }
	@echo "Installing Python packages into $(VENV), which takes some minutes"
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --use-pep517 --constraint constraints.txt --editable '.[dev,onnx,cloud]'
	@touch $@

env: $(INSTALLED) ## install everything into .venv, and nothing else
	@echo "To use it: source $(VENV)/bin/activate"

demo: $(INSTALLED) ## all three parts in minutes, offline, on embedded data
	$(SNAKEMAKE) --cores all --configfile presets/demo.yaml

study: $(INSTALLED) ## the full study of config.yaml
	$(SNAKEMAKE) --cores all

collect: $(INSTALLED) ## copy the finished results of a run into study/, checked: make collect FROM=/path/to/run
	$(BIN)/python -m triptych.study collect $(FROM)

study-page: $(INSTALLED) ## page, docs/study.md and tables, also in README, from the results in study/; nothing is trained
	$(BIN)/python -m triptych.study document
	$(SNAKEMAKE) --cores all --directory studies/page --configfile presets/cpu.yaml presets/overfitting.yaml study/page.yaml

view: $(INSTALLED) ## walk through a trained scene in the browser: make view SCENE=orbit STUDY=studies/mine
	exec env OMP_WAIT_POLICY=passive $(BIN)/python -m triptych.view $(STUDY)/results/scenes/$(SCENE) --port $(PORT)

test: $(INSTALLED) ## the tests, without those that take minutes
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow and not cluster" --cov=triptych --cov-report=

test-all: test ## the slow tests as well, and the coverage of all
	$(BIN)/python -m pytest -n 2 --dist loadfile -m slow -rs --cov=triptych --cov-append --cov-report=term-missing:skip-covered --cov-fail-under=95

test-cluster: $(INSTALLED) ## the cluster profiles on real schedulers, as root: see docs/cluster.md
	TRIPTYCH_REQUIRE_CLUSTERS=1 $(BIN)/python -m pytest tests/cluster -m cluster -n 2 --dist loadfile -k "$(CLUSTER_TESTS)"

test-image: ## build the image of the Containerfile, as root, and run the demo's first part in it: see docs/install.md
	tests/container/build.sh

soak: $(INSTALLED) ## kill 100 runs at random moments and compare their results: make soak KILLS=20 SEED=1
	$(BIN)/python tests/workflow/soak.py --kills $(KILLS) --seed $(SEED)

lint: $(INSTALLED) ## format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/mypy
	$(SNAKEMAKE) --lint

fuzz: $(INSTALLED) ## mutated files for every reader, MINUTES=10 each; for one of them NAME=image
	$(BIN)/python -m tests.fuzz --minutes $(MINUTES) $(NAME)

dag: $(INSTALLED) ## draw the graph of rules as results/dag.svg (needs graphviz) or print it
	@mkdir -p results
	@if command -v dot >/dev/null; then $(SNAKEMAKE) --rulegraph | dot -Tsvg > results/dag.svg && echo results/dag.svg; else $(SNAKEMAKE) --rulegraph; fi

plan: $(INSTALLED) ## jobs, core-hours, wall time and disk of a run before it starts: make plan CONFIG=presets/cpu.yaml CORES=2
	@$(BIN)/python -m triptych.workflow.plan --cores $(CORES) $(if $(CONFIG),--configfile $(CONFIG))

tracked: $(INSTALLED) ## source files whose edits make a result stale: make tracked TARGET=results/...
	@$(BIN)/python -m triptych.workflow.list_tracked $(TARGET)

lock: $(INSTALLED) ## pin every package with its hashes: requirements.lock and, for PyTorch and CUDA, requirements-torch.lock
	$(BIN)/python -m pip install --quiet uv==0.13.9
	$(BIN)/uv pip compile pyproject.toml --all-extras --constraint constraints.txt --universal --python-version 3.11 \
		--generate-hashes --no-annotate --no-header --quiet | awk '/^[a-z]/ {torch = /^(torch|torchvision|triton|cuda-[a-z]+|nvidia-[a-z0-9-]+)==/} \
		{print > (torch ? "requirements-torch.lock" : "requirements.lock")}'

licences: $(INSTALLED) ## the licences of all installed packages
	@$(BIN)/python -m triptych.workflow.licences

audit: $(INSTALLED) ## known vulnerabilities of the locked packages; asks a public database
	$(BIN)/python -m pip install --quiet pip-audit==2.10.1
	$(BIN)/pip-audit --strict --disable-pip --require-hashes --requirement requirements.lock --requirement requirements-torch.lock

bench: $(INSTALLED) ## benchmarks: make bench NAME=engine; without NAME, a list
	$(BIN)/python -m benchmarks $(NAME)

docs: $(INSTALLED) ## write docs/config.md, all settings, and docs/messages.md, all error messages
	$(BIN)/python -m triptych.config > docs/config.md
	$(BIN)/python -m triptych.workflow.list_messages > docs/messages.md

site: $(INSTALLED) ## the documents as a site, in results/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

clean: ## delete results and caches; the environment stays
	rm -rf results .snakemake .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage

.PHONY: help env demo study collect study-page view test test-all test-cluster test-image soak fuzz lint dag plan tracked lock licences audit bench docs site clean
