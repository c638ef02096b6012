# The one door to the project: `make help` lists what there is. The work is done by the scripts in .ci/.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory

PY := .venv/bin/python
CPP_FILES = $(shell find cpp tests/cpp tests/fuzz tests/mutants benchmarks -name '*.h' -o -name '*.cc')
SEEDS ?= 10000
START ?= 1
KILLS ?= 500
SECONDS ?= 45
ARGS ?=

.PHONY: help setup build test test-cpp test-py tidy demo bench bench-micro sim planted-bugs \
        torture leaks lint format types asan asan-py tsan fuzz mutants wheel ci clean

help:  ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | \
	  while IFS=$$'\t' read -r name text; do printf '  %-12s %s\n' "$$name" "$$text"; done

setup:  ## Install the system packages and make .venv, linters included
	@.ci/apt.sh
	@.ci/venv.sh lint

build:  ## Build the engine and its tests, install headrace into .venv (editable)
	@.ci/build.sh

test: build  ## Run all tests: C++, Python, house rules
	@.ci/test.sh

test-cpp: build  ## Run the C++ tests
	@.ci/test-cpp.sh

test-py: build  ## Run the Python tests; ARGS="-k name" chooses
	@.ci/test-py.sh $(ARGS)

tidy: build  ## Check the house rules: layers, names, sizes, ledger
	@$(PY) -m pytest tests/tidy -q -s

demo: build  ## Run the flights job, then kill and resume it
	@$(PY) -m headrace.examples.flights $(ARGS)

bench: build  ## Measure whole pipelines beside other engines
	@$(PY) benchmarks/run.py $(ARGS)

bench-micro: build  ## Measure single kernels with Google Benchmark
	@cmake build/release -DHEADRACE_BUILD_BENCHMARKS=ON >/dev/null && cmake --build build/release
	@for program in build/release/bin/*_bench; do "$$program" $(ARGS); done

sim: build  ## Run the seeded simulation; SEEDS=10000 says how many
	@HEADRACE_SIM_SEEDS=$(SEEDS) HEADRACE_SIM_START=$(START) build/release/bin/hr_test_simulation $(ARGS)

planted-bugs:  ## Plant fourteen bugs, one at a time: unit tests pass, the simulation finds each
	@.ci/planted-bugs.sh

torture: build  ## Kill a small job at any moment, KILLS=500 times; adds a line to tests/recovery/ledger.csv
	@HEADRACE_KILLS=$(KILLS) HEADRACE_KILL_LEDGER=1 $(PY) -m pytest tests/recovery/test_kills.py -s $(ARGS)

leaks: build  ## Let each Python callback fail 100,000 times; writes tests/python/failures.csv
	@.ci/leaks.sh $(ARGS)

lint: build  ## Check formatting, style and types
	@.ci/venv.sh lint
	@.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy
	@.venv/bin/clang-format --dry-run -Werror $(CPP_FILES)

format:  ## Format C++ and Python in place
	@.ci/venv.sh lint
	@.venv/bin/ruff check -q --fix-only . && .venv/bin/ruff format .
	@.venv/bin/clang-format -i $(CPP_FILES)

types:  ## Check types only
	@.ci/venv.sh lint && .venv/bin/mypy

asan:  ## Run the C++ tests under AddressSanitizer and UndefinedBehaviorSanitizer
	@.ci/sanitize.sh asan

asan-py:  ## Run the Python tests with a module under the same; ARGS="-k name" chooses
	@.ci/sanitize-py.sh $(ARGS)

tsan:  ## Run the C++ tests that have threads under ThreadSanitizer
	@.ci/sanitize.sh tsan

fuzz:  ## Fuzz each target of tests/fuzz; SECONDS=45 says how long
	@.ci/fuzz.sh $(SECONDS)

mutants: build  ## Flip each comparison of windows, state and checkpoint; report those that no test notices
	@$(PY) tests/mutants/run.py $(ARGS)

wheel:  ## Build a wheel for each CPython there is, libraries inside, and run it alone
	@.ci/wheel.sh

ci:  ## Run what continuous integration runs
	@.ci/run

clean:  ## Remove the build trees; .venv stays
	@rm -rf build .venv/.editable
