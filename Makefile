# make run    set everything up, then run the default configuration
# make test   set everything up, then lint and run the whole test suite
# make test-slurm  set up a Slurm of two nodes on this Debian machine (as root; installs its packages), run the pipeline on it, kill
#             a node and the main process, fill the memory of a job, compare with a local run, take the Slurm down (up to an hour)
# make bench  measure: the search beside SciPy and its floor, growth with rows and with shards (about 5 minutes)
# make docs   write docs/reference, config.yaml and the defaults of options from the configuration model, the columns and the command line
# make setup  only the environment in .venv, from the lock file (make test adds what it needs from another)
# make site   build the documentation site in site/
# make lock   pin new versions (needs uv); commit the lock files and envs/vacuagym.yaml with it

PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
CORES ?= 2
MEM_MB ?= 12000
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
READY := .venv/.ready
READY_FOR_TESTS := .venv/.ready-for-tests
READY_FOR_SLURM := .venv-slurm/.ready
EXPORT := --quiet --frozen --no-emit-project --no-header --no-default-groups
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: run test test-slurm docs site bench lint format setup lock clean

run: $(READY)
	snakemake --cores $(CORES) --resources mem_mb=$(MEM_MB)

# Hundreds of jobs start here: each compiles the package again where Python may not keep what it has compiled.
test: export PYTHONDONTWRITEBYTECODE :=
test: lint
	pytest --numprocesses 2 --dist worksteal

test-slurm: $(READY_FOR_SLURM)
	tests/slurm/up.sh
	.venv-slurm/bin/python tests/slurm/trial.py; status=$$?; tests/slurm/down.sh; exit $$status

site: $(READY)
	$(PIP) install --require-hashes --no-deps --requirement requirements-site.lock
	mkdocs build --strict

docs: $(READY)
	python docs/reference/make_reference.py

bench: $(READY)
	python benchmarks/search.py
	python benchmarks/scaling.py rows 1000 10000 100000 1000000
	python benchmarks/scaling.py shards 30 300

lint: $(READY_FOR_TESTS)
	ruff check .
	ruff format --check .
	mypy
	snakefmt --check Snakefile workflow/rules

format: $(READY_FOR_TESTS)
	ruff check --fix .
	ruff format .
	snakefmt Snakefile workflow/rules

setup: $(READY)

# The stamp is written last: a set-up that was interrupted starts again.
$(READY): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed and was not found; install it, or name it: make PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) -m venv --clear .venv
	$(PIP) install --require-hashes --no-deps --requirement requirements.lock
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(READY_FOR_TESTS): requirements-test.lock $(READY)
	$(PIP) install --require-hashes --no-deps --requirement requirements-test.lock
	@touch $@

# An environment of its own: an executor plugin that is installed is imported by every start of Snakemake.
$(READY_FOR_SLURM): requirements-slurm.lock pyproject.toml
	$(PYTHON) -m venv --clear .venv-slurm
	.venv-slurm/bin/python -m pip --quiet install --require-hashes --no-deps --requirement requirements-slurm.lock
	.venv-slurm/bin/python -m pip --quiet install --no-deps --no-build-isolation --editable .
	@touch $@

lock:
	uv lock --upgrade
	uv export $(EXPORT) --group setup --output-file requirements.lock
	uv export $(EXPORT) --group setup --group test --output-file requirements-test.lock
	uv export $(EXPORT) --group setup --group site --output-file requirements-site.lock
	uv export $(EXPORT) --group setup --group slurm --output-file requirements-slurm.lock
	rm uv.lock

clean:
	rm -rf .venv .venv-slurm .pytest_cache .ruff_cache .hypothesis
