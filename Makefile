# make demo and make test are all that a fresh machine needs; both make the environment first.

PYTHON ?= python3
VENV ?= .venv
DEMO_MINUTES ?= 1
DEMO_OUT ?= demo
PYTEST_ARGS ?=
# A further package index for torch, such as https://download.pytorch.org/whl/cpu for the small CPU build.
TORCH_INDEX ?=

BIN := $(VENV)/bin
STAMP := $(VENV)/.hilum-installed
TORCH := $(shell grep '^torch==' constraints.txt)
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

.PHONY: help env demo test lint format clean

help:
	@echo "make env     the environment $(VENV), with $(BIN)/hilum in it"
	@echo "make demo    a phantom study, trained and predicted; DEMO_MINUTES=$(DEMO_MINUTES) DEMO_OUT=$(DEMO_OUT)"
	@echo "make test    the whole suite; PYTEST_ARGS=\"-m 'not slow'\" for the quick part"
	@echo "make lint    ruff and mypy"
	@echo "make format  ruff format and its safe fixes"
	@echo "make clean   removes the environment, caches and the demo"

env: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Hilum needs Python 3.11 or newer; say make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) $(TORCH)
	$(PIP) install --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: env
	rm -rf -- '$(DEMO_OUT)'
	$(BIN)/hilum demo --minutes $(DEMO_MINUTES) --out '$(DEMO_OUT)'
	@echo
	@echo "The report: $(abspath $(DEMO_OUT))/run/report.html"

test: env
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: env
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis demo
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
