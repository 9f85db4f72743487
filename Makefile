# make compare   set up .venv if needed, then compare scratch/ with torch_ref/ on everything
# make test      set up .venv if needed, then run the tests
# make fuzz      the random streams on their whole grid of seeds and sizes: minutes
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.PHONY: compare test fuzz lint types check bench clean

compare: $(READY)
	$(BIN)/python -m compare

test: $(READY)
	$(BIN)/python -m pytest -n auto

fuzz: $(READY)
	FUZZ=1 $(BIN)/python -m pytest -n auto tests/test_random.py

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

check: lint types test compare

bench: $(READY)
	$(BIN)/python -m compare bench

clean:
	rm -rf $(VENV) report

$(READY): constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "scratch-vs-torch needs Python 3.11 or newer; name one with: make PYTHON=python3.12 …")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@
