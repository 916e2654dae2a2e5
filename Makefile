# Four commands. Each is what a person could type, in the environment that `.venv` holds.
.PHONY: demo test check bench
SHELL := /bin/bash
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do "$$python" -c \
	'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$python" && break; done)
XGBOOST ?= $(if $(shell command -v nvidia-smi),gpu,cpu)
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check

demo: .venv/.demo
	@exec $(BIN)/python manage.py demo

test: .venv/.dev
	@$(BIN)/python -m pytest -m 'not (gpu or network)'

check: .venv/.dev
	$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/lint-imports
	DATABASE_URL=postgres://none/none CELERY_BROKER_URL=memory:// $(BIN)/mypy
	$(BIN)/djlint templates --lint --quiet
	HTTPS=1 $(BIN)/python -W error::SyntaxWarning manage.py check --deploy --fail-level WARNING
	$(BIN)/python manage.py makemigrations --check --dry-run

bench: .venv/.dev
	@$(BIN)/python manage.py bench

.venv/.demo: pyproject.toml constraints.txt wheels.txt
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer with venv was found. Install one (Debian: apt install python3-venv), or say make PYTHON=/path/to/python3" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(INSTALL) --require-hashes --no-deps --only-binary :all: -r wheels.txt
	$(INSTALL) -c constraints.txt -e '.[demo,$(XGBOOST)]'
	@touch $@

.venv/.dev: .venv/.demo
	$(INSTALL) -c constraints.txt -e '.[demo,dev,$(XGBOOST)]'
	@touch $@
