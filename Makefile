# make test   set up, lint, type-check and test: all that a fresh clone needs
# make demo   set up, build a sample dataset and run all seven scripts on it
# make axe    fetch what the tests of the pages' accessibility need (npm)
# make docs-check   run every command of the documentation on the sample dataset
# make setup | lint | bench | soak

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
VENV_IS_USABLE := $(shell test -x $(BIN)/python && echo yes)

.PHONY: setup test lint axe soak bench demo docs-check clean

setup: $(READY)

ifeq ($(VENV_IS_USABLE),)
.PHONY: $(READY)
endif

$(READY): requirements.txt requirements-dev.txt constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo \
		"$(PYTHON): Python 3.11 or newer is needed; type: make setup PYTHON=python3.11" >&2; exit 2; }
	$(PYTHON) -m venv $(if $(VENV_IS_USABLE),,--clear) .venv
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet -r requirements.txt -r requirements-dev.txt -c constraints.txt
	touch $(READY)

test: lint
	$(BIN)/python -m pytest -n auto --dist loadfile

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

axe: $(READY)
	$(BIN)/python tests/fetch_axe.py

soak: $(READY)
	$(BIN)/python -m pytest -m soak
	$(BIN)/python -m pytest -m "" --hypothesis-profile=default $$(grep -l "import.*given" tests/*.py)

demo: $(READY)
	$(BIN)/python demo/make_dataset.py
	PYTHON=$(BIN)/python ./pipeline.sh demo/data/DataSet_1 demo/data/DataSet_2 --output demo/result/full_dataset --model tiny
	@printf '\n%s\n   %s\n' '👉 Your own data, with CLIP ViT-L/14 (1.7 GB are downloaded once):' \
		'$(CURDIR)/pipeline.sh DataSet_1 DataSet_2 --output full_dataset'

docs-check: $(READY)
	$(BIN)/python demo/doc_commands.py

bench: $(READY)
	for script in $(filter-out %/known_answers.py,$(wildcard benchmarks/*.py)); do $(BIN)/python $$script || exit; done

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis
