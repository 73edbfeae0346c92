# `make demo` and `make test` work on a fresh machine with Python 3.11 or newer and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEMO := runs/demo/ease_with_personas

.PHONY: setup bench-setup demo serve test lint clean
.DEFAULT_GOAL := demo

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[test,lint,drift,serving,index,export,tune,scale]"
	@touch $(READY)

# The peers that benchmarks measure against, and what takes their pictures.
bench-setup: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[test,lint,drift,serving,index,export,tune,scale,benchmarks,browser]"

demo: setup
	$(BIN)/recsys demo

# The demo's model with its page, on http://127.0.0.1:8000, for this machine only.
serve: setup
	test -f $(DEMO)/metrics.json || $(BIN)/recsys demo
	$(BIN)/recsys serve --run $(DEMO) --no-auth

test: setup
	$(BIN)/python -m pytest -n auto

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
