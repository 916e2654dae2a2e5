# Six commands. Each is what a person could type, in the environment that `.venv` holds.
.PHONY: demo test check messages bench bench-quality
SHELL := /bin/bash
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do "$$python" -c \
	'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$python" && break; done)
XGBOOST ?= $(if $(shell command -v nvidia-smi),gpu,cpu)
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --no-warn-conflicts

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

# After a text changed: collect the texts, translate those that are new in the .po, and run it again.
messages: .venv/.dev
	$(BIN)/python manage.py makemessages --locale zh_Hans --no-obsolete --no-wrap --add-location file \
		--ignore node_modules --ignore '.venv*' --ignore var --ignore tests --ignore benchmarks
	$(BIN)/python manage.py compilemessages --locale zh_Hans --ignore node_modules --ignore '.venv*' --ignore var

bench: .venv/.dev
	@$(BIN)/python manage.py bench

# The shop must be loaded: `manage.py load_demo shop --scale full`, or `make demo` once. More catalogs:
# make bench-quality CATALOGS="shop movielens-100k=leave-last-5 mine=leave-last-out"
CATALOGS ?= shop movielens-100k=leave-last-5 movielens-100k=time
bench-quality: .venv/.dev .venv-peers/.done .venv-peers/movielens/users.csv
	@$(BIN)/python manage.py create_catalog movielens-100k --kind product 2>/dev/null || true
	@$(BIN)/python manage.py import_data movielens-100k --items .venv-peers/movielens/items.csv --users .venv-peers/movielens/users.csv --interactions .venv-peers/movielens/interactions.csv
	@$(BIN)/python manage.py bench_quality $(CATALOGS) --python .venv-peers/bin/python --json var/bench-quality.json

.venv-peers/.done: benchmarks/requirements.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --disable-pip-version-check "$$(grep ^torch== $<)"
	.venv-peers/bin/python -m pip install --disable-pip-version-check -r $<
	.venv-peers/bin/python -m pip download --disable-pip-version-check --no-deps -d .venv-peers recbole==1.2.1
	@touch $@

.venv-peers/movielens/users.csv: .venv-peers/.done benchmarks/movielens.py
	.venv-peers/bin/python benchmarks/movielens.py .venv-peers/recbole-1.2.1-*.whl .venv-peers/movielens

.venv/.demo: pyproject.toml constraints.txt wheels.txt
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer with venv was found. Install one (Debian: apt install python3-venv), or say make PYTHON=/path/to/python3" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(INSTALL) --require-hashes --no-deps --only-binary :all: -r wheels.txt
	$(INSTALL) -c constraints.txt -e '.[demo,$(XGBOOST)]'
	@touch $@

.venv/.dev: .venv/.demo
	$(INSTALL) -c constraints.txt -e '.[demo,dev,$(XGBOOST)]'
	@touch $@
