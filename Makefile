# noria: `make demo` runs the main job, `make test` everything that guards it. Nothing else is needed before.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.PHONY: demo test coverage soak bench matrix screenshots lint serve format clean
.DEFAULT_GOAL := demo

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "noria needs Python 3.11 or newer; say PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(STAMP)
	@$(BIN)/noria demo

# Four at a time on two cores: many tests wait, for a lease to run out or a process to start.
test: lint
	@sh tests/needs.sh
	@$(BIN)/python -m pytest -n 4 --maxschedchunk 4

# The same with what of the code they reach; it takes a third longer.
coverage: $(STAMP)
	@sh tests/needs.sh
	@$(BIN)/python -m pytest -n 4 --maxschedchunk 4 --cov --cov-report=term

lint: $(STAMP)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

format: $(STAMP)
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

# As many generated schedules of each kind as SCHEDULES says; one that fails is kept among the tests.
soak: $(STAMP)
	@NORIA_SOAK=$(or $(SCHEDULES),5000) $(BIN)/python -m pytest -n 2 tests/faults/test_schedules.py

# Every page of the console, in both languages, sizes and colours.
screenshots: $(STAMP)
	@sh tests/needs.sh
	@$(BIN)/python docs/screenshots.py

# Which tests of the contract each connector passes, and how many lines it took.
matrix: $(STAMP)
	@$(BIN)/python docs/matrix.py

bench: $(STAMP)
	@$(BIN)/python -m bench

serve: $(STAMP)
	@$(BIN)/noria serve --project $(or $(PROJECT),.)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

.PHONY: docs
docs: $(STAMP)
	@$(BIN)/python docs/generate.py
