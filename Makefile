# make book   the environment, the book, and where to open it
# make test   everything that can fail: lint, unit tests, the book's links, notebooks run again
# Both need Python >= 3.11 and a package registry, nothing else. A second call does only what is needed.

PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin
ENV     = .make/env
# One thread per worker: two workers on two cores are faster than two threads each.
QUIET   = MPLBACKEND=Agg HF_HUB_OFFLINE=1 YOLO_OFFLINE=true TOKENIZERS_PARALLELISM=false PYDEVD_DISABLE_FILE_VALIDATION=1

.PHONY: help book pdf epub test unit nbval lint rerun bench lock sync clean
help:
	@sed -n '1,3s/^# //p' $(MAKEFILE_LIST)
	@echo "make pdf    the book as one file, _build/pdf/tdfusion.pdf (needs Chromium)"
	@echo "make epub   the book for a reader of EPUB, _build/epub/tdfusion.epub (needs Chromium)"
	@echo "make rerun  every notebook executed again, then the book"
	@echo "make bench  the side-by-side measurements (quiet machine wanted)"
	@echo "make lock   requirements.lock compiled again from pyproject.toml"
	@echo "make sync   notebooks/*.ipynb brought in line with their .py sources"

$(ENV): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is %s; name another: make PYTHON=python3.12" % sys.version.split()[0])'
	@echo "== environment: $(VENV) (torch's default build is large: a few minutes, about 6 GB)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@mkdir -p .make && touch $@

book: $(ENV)
	@echo "== book: building (stored results are shown; make rerun executes the notebooks again)"
	@$(QUIET) $(BIN)/jupyter-book build . -W -n --keep-going --quiet
	@echo "== book: open $(CURDIR)/_build/html/index.html"

pdf: book
	@echo "== pdf: printing every page (a few minutes)"
	@$(QUIET) $(BIN)/python book/tools/print_book.py

epub: book
	@echo "== epub: every page, its formulas as MathML (a minute)"
	@$(QUIET) $(BIN)/python book/tools/make_epub.py

test: lint unit nbval
	@echo "== all tests passed"

lint: $(ENV)
	@echo "== lint"
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

unit: book
	@echo "== tests of the library and the book"
	@$(QUIET) OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

nbval: $(ENV)
	@echo "== notebooks: every cell run again and compared with what is stored"
	@$(QUIET) OMP_NUM_THREADS=1 $(BIN)/python -m pytest --nbval-lax notebooks -p no:cacheprovider -n 2 --dist loadfile

rerun: $(ENV)
	@for notebook in notebooks/*.ipynb; do \
	  echo "== $$notebook"; \
	  $(QUIET) MPLBACKEND=module://matplotlib_inline.backend_inline TDFUSION_STATIC=1 $(BIN)/jupyter nbconvert --to notebook --execute --inplace \
	    --ExecutePreprocessor.record_timing=False --ExecutePreprocessor.store_widget_state=False --log-level WARN $$notebook || exit 1; \
	done
	@$(MAKE) --no-print-directory book

sync: $(ENV)
	@$(BIN)/jupytext --update --to ipynb notebooks/*.py

bench: $(ENV)
	@for script in benchmarks/bench_*.py; do echo "== $$script"; $(QUIET) $(BIN)/python -m benchmarks.$$(basename $$script .py) || exit 1; done

lock: $(ENV)
	@$(BIN)/python -m pip install --quiet uv
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --all-extras --upgrade \
	  --no-header --no-annotate pyproject.toml --output-file requirements.lock

clean:
	rm -rf _build .make .pytest_cache .ruff_cache
