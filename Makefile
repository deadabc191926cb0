# `make demo` and `make test` do all the set-up and their job on a machine with Python, git and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.installed
DEMO := demo
BENCH := $(BIN)/mtut-bench
AT := --data $(DEMO)/data --runs $(DEMO)/runs
TWIN := --dataset viva-synthetic --size tiny --protocol demo

.PHONY: help install demo test lint crash browser clean
help:
	@echo "make demo     synthetic recordings -> store -> i3d and mtut -> tables, in minutes"
	@echo "make test     lint, types, all tests"
	@echo "make crash    ten kill -9 in prepare and in run, same bytes as undisturbed"
	@echo "make browser  the report's page in Debian's Chromium"
	@echo "make lint     ruff and mypy alone"
	@echo "make clean    delete .venv and $(DEMO)"

install: $(READY)
$(READY): pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "python3 is missing: apt install python3 python3-venv"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or newer is needed, this is $$($(PYTHON) --version); set PYTHON=python3.12, say"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "Python's venv is missing: apt install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	@touch $(READY)

demo: $(READY)
	@rm -rf $(DEMO)
	$(BENCH) prepare viva-synthetic --size tiny --data $(DEMO)/data
	$(BENCH) run --method i3d $(TWIN) $(AT)
	$(BENCH) run --method mtut $(TWIN) $(AT)
	$(BENCH) report $(AT)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# One thread per test process: the tests run side by side on all cores.
test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadscope

crash: $(READY)
	MTUT_BENCH_KILLS=10 $(BIN)/python -m pytest -m crash tests/end_to_end

# CHROMIUM and CHROMEDRIVER may name other places.
CHROMIUM ?= $(shell command -v chromium)
CHROMEDRIVER ?= $(shell command -v chromedriver)
browser: $(READY)
	@test -x "$(CHROMIUM)" -a -x "$(CHROMEDRIVER)" || { \
	  echo "Chromium or its driver is missing: apt install chromium chromium-driver"; exit 1; }
	@$(BIN)/python -c 'import selenium' 2>/dev/null || \
	  $(BIN)/python -m pip install --quiet --editable '.[browser]'
	CHROMIUM="$(CHROMIUM)" CHROMEDRIVER="$(CHROMEDRIVER)" \
	  $(BIN)/python -m pytest -m browser tests/browser

clean:
	rm -rf $(VENV) $(DEMO)
