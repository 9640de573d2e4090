# Two commands do all the set-up: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
WORKERS ?= 2

.PHONY: demo test faults saving-faults saving-matrix hostile fuzz onnx bench scaling lint types test-all test-python clean

$(VENV)/demo.stamp: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -e '.[plot]'
	touch $@

$(VENV)/test.stamp: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -e '.[test]'
	touch $@ $(VENV)/demo.stamp

demo: $(VENV)/demo.stamp  ## train on real data and show the result
	$(BIN)/python examples/demo.py

test: $(VENV)/test.stamp lint types  ## everything that CI checks
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal -m 'not slow'

faults: $(VENV)/test.stamp  ## kill, interrupt and damage trainings, dozens of times; prints a table
	$(BIN)/python -m tests.faults.run $(ARGS)

saving-faults: $(VENV)/test.stamp  ## kill -9 and a full disk, 50 times for each kind of file; prints a table
	$(BIN)/python -m tests.saving.faults $(ARGS)

saving-matrix: $(VENV)/test.stamp  ## files between stepfit and Keras, each way; prints a table
	$(BIN)/python -m tests.saving.matrix $(ARGS)

hostile: $(VENV)/test.stamp  ## bad files x entry points; prints a table
	$(BIN)/python -m tests.saving.hostile_matrix

fuzz: $(VENV)/test.stamp  ## load ten thousand mutated files of each kind; prints a table
	$(BIN)/python -m tests.saving.fuzz $(ARGS)

onnx: $(VENV)/test.stamp  ## export to ONNX; its converter wants an older orbax, so on its own
	$(PYTHON) -m venv $(VENV)-onnx
	$(VENV)-onnx/bin/python -m pip install -q -e '.[onnx]' pytest keras==3.15.1
	KERAS_BACKEND=jax $(VENV)-onnx/bin/python -m pytest -q -p no:warnings tests/saving/test_converted.py

$(VENV)/bench.stamp: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -e '.[bench]'
	touch $@

bench: $(VENV)/bench.stamp  ## every workload for every framework; options: make bench ARGS=--quick
	$(BIN)/python -m benchmarks.run $(ARGS)

scaling: $(VENV)/bench.stamp  ## time and memory on 1, 2, 4, 8 simulated devices, beside Keras
	$(BIN)/python -m benchmarks.scaling $(ARGS)

lint: $(VENV)/test.stamp
	$(BIN)/ruff check .

types: $(VENV)/test.stamp
	$(BIN)/mypy

test-all: $(VENV)/test.stamp  ## the slow forms too
	$(BIN)/python -m pytest -q -n $(WORKERS)

# Another Python, and with it the newest JAX for it: make test-python PYTHON=python3.13 VENV=.venv313
test-python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -e '.[plot]' pytest hypothesis keras==3.15.1
	$(BIN)/python -m pytest -q tests/core

clean:
	rm -rf $(VENV) build *.egg-info
