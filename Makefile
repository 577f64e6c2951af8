# The DDSP Book. The first command makes the environment in .venv (a few minutes, once); later ones reuse it.
# Without make, the same commands stand in README.md.

PYTHON ?= python3
BIN = .venv/bin
ENV = .venv/.made

# For small arrays a second thread waits longer than it works: ten times longer on a busy machine.
export OPENBLAS_NUM_THREADS ?= 1
export OMP_NUM_THREADS ?= 1

.PHONY: help book serve lab test bench sync clean
help:
	@echo "make book    the site, in _build/html"
	@echo "make serve   the site, at a local address"
	@echo "make lab     the chapters, in JupyterLab"
	@echo "make test    everything that decides quality"
	@echo "make bench   how fast it is"
	@echo "make sync    after editing notebooks: clean them and write the modules"
	@echo "make clean   remove what was built (the environment stays)"

book: $(ENV)
	@$(BIN)/jupyter-book build . -W --keep-going
	@echo "Open _build/html/index.html, or run: make serve"

serve: book
	@$(BIN)/python -m http.server --directory _build/html --bind 127.0.0.1 8000

lab: $(ENV)
	@$(BIN)/jupyter lab --notebook-dir=nbs

# Two processes share two cores, so one thread each; loadfile keeps the cells of a notebook in one process, in order.
test: $(ENV)
	@$(BIN)/python -m pytest -q -rs -n 2 --dist loadfile -p no:benchmark --ignore tests/benchmarks --nbval --nbval-current-env nbs tests

bench: $(ENV)
	@OMP_NUM_THREADS=2 $(BIN)/python -m pytest -q --benchmark-only tests/benchmarks

sync: $(ENV)
	@$(BIN)/python nbs/_site/sync.py

clean:
	rm -rf _build build dist .pytest_cache .hypothesis .benchmarks

$(ENV): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 10); import ensurepip, venv' 2>/dev/null || { \
		echo "This needs Python 3.10 or newer with venv. On Debian and Ubuntu: sudo apt-get install python3-venv"; exit 1; }
	@echo "Making the environment in .venv …"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $@
