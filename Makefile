# `make demo` and `make test` do all the set-up and their job on a machine with Python, git and make.
PYTHON ?= python3
# The environment: VENV=PATH names one, else an active one is taken, else .venv is made. What is
# installed there already, a CPU build of torch say, stays. A space in a path would split it for make.
VENV := $(or $(if $(word 2,$(VIRTUAL_ENV)),,$(VIRTUAL_ENV)),.venv)
BIN := $(VENV)/bin
# One environment may serve several clones, one after the other: each has a mark of its own.
READY := $(VENV)/.installed-$(firstword $(shell pwd | cksum))
DEMO := demo
BENCH := $(BIN)/mtut-bench
AT := --data $(DEMO)/data --runs $(DEMO)/runs
DEMO_RUN := OMP_NUM_THREADS=1 $(BENCH) run --dataset viva-synthetic --size demo --protocol demo --fold 1 $(AT)
# A clip of the person whom the demo leaves out of its training.
UNSEEN := $(DEMO)/data/raw/viva-synthetic-demo/LISA_HG_Data/dynamic_gestures/data/01_02_01.avi

.PHONY: help install demo demo-seeds test lint crash browser clean study study-stores study-cpu
help:
	@echo "make demo     synthetic recordings -> store -> i3d and mtut -> tables, in minutes"
	@echo "make demo-seeds  the demo's networks are above chance for three seeds; ten minutes"
	@echo "make test     lint, types, all tests"
	@echo "make crash    ten kill -9 in prepare and in run, same bytes as undisturbed"
	@echo "make browser  the report's page in Debian's Chromium"
	@echo "make lint     ruff and mypy alone"
	@echo "make study-cpu  the comparisons of the first study under today's protocol, 2 hours on two cores; resumes"
	@echo "make study    the study itself, on a GPU; resumes"
	@echo "make clean    delete .venv and $(DEMO)"
	@echo "The environment is $(VENV); VENV=PATH names another. SYSTEM_TORCH=1: a new one sees PYTHON's packages."

install: $(READY)
$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "python3 is missing: apt install python3 python3-venv"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or newer is needed, this is $$($(PYTHON) --version); set PYTHON=python3.12, say"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "Python's venv is missing: apt install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(if $(SYSTEM_TORCH),--system-site-packages) $(VENV)

$(READY): pyproject.toml | $(BIN)/python
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or newer is needed; $(VENV) has $$($(BIN)/python --version): name another, VENV=PATH"; exit 1; }
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	@rm -f $(VENV)/.installed*
	@touch $(READY)

# Both methods at once, one thread each: twice as quick as one after the other with two threads, and
# they share the first stages out. What the first one prints is kept beside its runs.
demo: $(READY)
	@rm -rf $(DEMO)
	$(BENCH) prepare viva-synthetic --size demo --short-side 60 --data $(DEMO)/data
	@mkdir -p $(DEMO)/runs
	$(DEMO_RUN) --method i3d > $(DEMO)/i3d.log 2>&1 & first=$$!; \
	  $(DEMO_RUN) --method mtut; second=$$?; \
	  wait $$first || { cat $(DEMO)/i3d.log; exit 1; }; exit $$second
	$(BENCH) report $(AT)
	$(BENCH) predict $(UNSEEN) --run mtut --modality rgb --top 3 --runs $(DEMO)/runs --picture $(DEMO)/seen.png

demo-seeds: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m demo -n auto tests/end_to_end/test_demo.py

lint: $(READY)
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy

# One thread per test process: the tests run side by side on all cores. Each file's tests stay in
# one process, with what they share; in the order of the folders, where the long files come first.
test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadscope --no-loadscope-reorder

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

# The study of results/STUDY.md. Every line does what is missing and skips what is done.
STUDY := study
# SIZE=mini tries the path in minutes; numbers are of size full.
SIZE := full
VIVA := viva-synthetic --size $(SIZE) --data $(STUDY)/data
STUDY_RUN := $(BENCH) run --data $(STUDY)/data --runs $(STUDY)/
# Depth and flow, as the first study had them. One process and thread for each of two cores.
CPU_RUN := OMP_NUM_THREADS=1 $(BENCH) run --data $(STUDY)/data --device cpu --device-cache always \
  --runs $(STUDY)/
study-cpu: $(READY)
	$(BENCH) prepare $(VIVA) --flow farneback --store study-flow
	test -d $(STUDY)/data/stores/study-cpu.zarr || $(BENCH) derive $(VIVA) --store study-flow \
	  --as study-cpu --modalities depth,flow --copy depth_copy=depth \
	  --copy flow_partner=flow --same-class flow_partner
	for part in cpu-tuning cpu; do \
	  $(CPU_RUN)$$part --study results/studies/$$part.toml --fold 1,2,3,4 & first=$$!; \
	  $(CPU_RUN)$$part --study results/studies/$$part.toml --fold 5,6,7,8; second=$$?; \
	  wait $$first && test $$second -eq 0 || exit 1; \
	done
	for part in cpu-tuning cpu; do \
	  $(BENCH) report --runs $(STUDY)/$$part --out $(STUDY)/report/$$part || exit 1; \
	done

study-stores: $(READY)
	$(BENCH) prepare $(VIVA) --store study-whole
	test -d $(STUDY)/data/stores/study.zarr || $(BENCH) derive $(VIVA) --store study-whole \
	  --as study --copy rgb_copy=rgb --copy depth_partner=depth --same-class depth_partner
	set -e; while read name options; do \
	  $(BENCH) synth $(VIVA) --raw $(STUDY)/data/raw/$$name $$options; \
	  $(BENCH) prepare $(VIVA) --raw $(STUDY)/data/raw/$$name --store $$name; \
	done < results/studies/recordings.txt
	$(BENCH) prepare nvgesture-synthetic --size $(SIZE) --data $(STUDY)/data --store study-nvgesture

# First the constants: rule 4 of results/STUDY.md says how tuning.toml sets those of the protocol.
study: study-stores
	set -e; for part in tuning study confirmation dose options nvgesture paper-geometry; do \
	  $(STUDY_RUN)$$part --study results/studies/$$part.toml; \
	  $(BENCH) report --runs $(STUDY)/$$part --out $(STUDY)/report/$$part; \
	done

clean:
	rm -rf .venv $(DEMO)
