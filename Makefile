# `make demo` and `make test` build .venv from nothing; the second time they start at once.
# For another interpreter: make test PYTHON=python3.12
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-gpu collect covered lint docs clean

demo: .venv/installed
	@echo "Rebuilding the photographs in the package from their switches, by both decoders: usually under a minute."
	@echo "The very first time, C++ is compiled besides: some ten seconds more."
	$(BIN)/maxtunnel demo --out demo

test: .venv/developing
	@echo "Running all tests: some minutes, longer on a busy machine. What needs the reference data says so and"
	@echo "is skipped, unless it lies in ../shared or where MAXTUNNEL_SHARED points."
	$(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

# Compiles the tests and what they import, for the processes that run them: each would do it anew, as all begin
# at once. What is wrong with a test is for them to say.
collect: .venv/developing
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest --collect-only -qq > /dev/null || true

# The lowest rooms, and how much of them their tests run: over all tests, measuring that would lengthen them.
LOWEST := support switches report
covered: .venv/developing
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(LOWEST:%=--cov=maxtunnel.%) --cov-report=term $(LOWEST:%=tests/%)

# Also from a checkout where nothing can be installed, with the PyTorch that is there.
test-gpu:
	PYTHONPATH=src $(if $(wildcard $(BIN)/python),$(BIN)/python,$(PYTHON)) -m pytest -m gpu tests $(PYTEST_ARGS)

lint: .venv/developing
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# Notebooks of docs/tutorials run: some minutes on a slow core, in one process after the other.
docs: .venv/documenting
	OMP_NUM_THREADS=1 $(BIN)/sphinx-build -b html -W --keep-going -q -d build/doctrees docs build/docs
	@echo "The site: build/docs/index.html"

.venv/bin/python:
	@echo "Making a virtual environment in .venv."
	$(PYTHON) -m venv .venv

.venv/installed: pyproject.toml | .venv/bin/python
	@echo "Installing into .venv, once: PyTorch is large, so this takes minutes and says nothing meanwhile."
	$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	@touch $@

.venv/developing: pyproject.toml | .venv/bin/python
	@echo "Installing into .venv, once: PyTorch is large, so this takes minutes and says nothing meanwhile."
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ .venv/installed

.venv/documenting: .venv/developing
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[docs]'
	@touch $@

clean:
	rm -rf .venv build demo
