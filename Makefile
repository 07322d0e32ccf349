# make demo   installs everything, starts the system and sends requests
# make test   linter, type checks, test suite
# make search the tests with generated examples, with new examples and TIMES=20 times as many
# make bench  compares Alaska with other systems: benchmarks/README.md (RUNS=5 N=20000 ONLY=alaska_memory,floor QUICK=1)
# make docs   builds the documentation site in docs/_build/html, and make man the man pages in docs/_build/man
# Everything is installed into $(VENV); nothing else on the machine is changed.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

RUNS ?= 5
N ?= 20000
TIMES ?= 20
# The test modules that "make search" runs: those with generated examples, and those that only run in a search.
SEARCHES = $(shell grep -r -l -E --include='test_*.py' 'hypothesis|ALASKA_SEARCH' tests)

.PHONY: demo test lint types trial search bench docs man clean

demo: $(VENV)/ready
	@sh examples/demo.sh $(BIN)

test: lint types trial

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/ready
	$(BIN)/mypy

trial: $(VENV)/ready
	$(BIN)/trial tests

search: $(VENV)/ready
	ALASKA_SEARCH=$(TIMES) $(BIN)/trial $(SEARCHES)

bench: $(VENV)/ready-bench
	@$(BIN)/python -m benchmarks --runs $(RUNS) --count $(N) $(if $(ONLY),--only $(ONLY)) $(if $(QUICK),--quick)

docs: $(VENV)/ready-docs
	@$(BIN)/python -m sphinx -q -E -W --keep-going -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

man: $(VENV)/ready-docs
	@$(BIN)/python -m sphinx -q -W --keep-going -b man docs docs/_build/man
	@echo "docs/_build/man/alas.1"

$(VENV)/ready-docs: $(VENV)/ready
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --editable '.[docs]' || { \
	    echo "The packages of the documentation could not be installed; pip has said why." >&2; \
	    exit 1; }
	@touch $@

$(VENV)/ready-bench: $(VENV)/ready
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --editable '.[bench]' || { \
	    echo "The packages of the contenders could not be installed; pip has said why." >&2; \
	    exit 1; }
	@touch $@

# An editable install may use an import hook, through which Twisted does not find plugins, nor trial the tests. So this
# folder is also added to the path.
$(VENV)/ready: setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	    echo "Alaska needs Python 3.10 or later, $(PYTHON) is older; name another: make PYTHON=python3.12 demo" >&2; \
	    exit 1; }
	@$(PYTHON) -m venv $(VENV) || { \
	    echo "$(PYTHON) cannot make a virtual environment; on Debian and Ubuntu: apt-get install python3-venv" >&2; \
	    exit 1; }
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --editable '.[dev]' || { \
	    echo "The packages could not be installed; pip has said why, and needs a package index to get them from." >&2; \
	    exit 1; }
	@$(BIN)/python -c 'import os, sysconfig as s; print(os.getcwd(), file=open(s.get_path("purelib") + "/alaska.pth", "w"))'
	@touch $@

clean:
	rm -rf $(VENV) build docs/_build docs/generated *.egg-info _trial_temp* .mypy_cache .ruff_cache .hypothesis
