# make compare   set up .venv if needed, then compare scratch/ with torch_ref/ on everything
# make test      set up .venv if needed, then run the tests
# make fuzz      100 000 random cases of the components, and the random streams on their whole grid: minutes
# make sweep     every case and refusal for other seeds, SEEDS=0:40,1000:1040: a quarter of a minute a seed
# make mutation  change both sides in thousands of ways and see who notices: hours, can be interrupted
# make test-versions  run a part of the tests with several Pythons and PyTorches, each in .nox; TESTS=tests: all
# make test-oldest  run the tests with the oldest versions that pyproject.toml allows, in .venv-oldest
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
PIP    := -m pip install --quiet --disable-pip-version-check --editable

SEEDS  ?= 1000:1040
OLDEST ?= $(VENV)-oldest
TESTS  ?=

# The tests start hundreds of processes, each of which would compile our modules anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: compare test test-oldest test-versions fuzz sweep mutation lint types check bench clean

compare: $(READY)
	$(BIN)/python -m compare

# Each process takes tests that stand side by side: what a file's tests share is then made once.
test: $(READY)
	$(BIN)/python -m pytest -n auto --dist worksteal --durations=10

fuzz: $(READY)
	FUZZ=100000 $(BIN)/python -m pytest -n auto tests/test_properties.py tests/test_random.py

sweep: $(READY)
	SWEEP=$(SEEDS) $(BIN)/python -m pytest -n auto tests/test_components.py -k every_seed_of_a_sweep

mutation: $(READY)
	PIP_CONSTRAINT=constraints.txt $(BIN)/python $(PIP) '.[dev,mutation]'
	OMP_NUM_THREADS=1 $(BIN)/python tests/mutation.py

test-oldest:
	test -x $(OLDEST)/bin/python || $(PYTHON) -m venv $(OLDEST)
	PIP_CONSTRAINT=constraints-oldest.txt $(OLDEST)/bin/python $(PIP) '.[dev]'
	$(OLDEST)/bin/python -m pytest -n auto

test-versions: $(READY)
	PIP_CONSTRAINT=constraints.txt $(BIN)/python $(PIP) '.[dev,versions]'
	$(BIN)/python -m nox -- $(TESTS)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache

types: $(READY)
	$(BIN)/mypy

check: lint types test compare

bench: $(READY)
	$(BIN)/python -m compare bench

clean:
	rm -rf $(VENV) $(OLDEST) .nox report

$(READY): constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "scratch-vs-torch needs Python 3.11 or newer; name one with: make PYTHON=python3.12 …")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	PIP_CONSTRAINT=constraints.txt $(BIN)/python $(PIP) '.[dev]'
	@touch $@
