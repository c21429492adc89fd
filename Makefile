# The commands for users and developers. `make help` lists them.
MAKEFLAGS += --no-print-directory
SHELL := /bin/sh
PYTHON_ENV := .venv/bin/python
.DEFAULT_GOAL := help
.PHONY: help demo test check fmt bench chaos soak lock clean bootstrap

help: ## list the commands
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 16

demo: bootstrap ## run the whole shop on stand-ins and buy one server (ONCE=1: then stop)
	@exec $(PYTHON_ENV) -m demo $(if $(filter-out 0 no false,$(ONCE)),--once)

test: bootstrap ## run the tests on an embedded PostgreSQL (TESTS="-k word" narrows them)
	@exec $(PYTHON_ENV) tools/run_tests.py $(TESTS)

check: bootstrap ## run every linter and static check
	@exec tools/check

fmt: bootstrap ## format code and templates
	@exec tools/fmt

bench: bootstrap ## measure; asserts nothing about absolute time
	@exec $(PYTHON_ENV) -m bench $(BENCH)

chaos: bootstrap ## buy 100 servers, and run 500, while processes are killed and panels fail (PURCHASES=n, SERVERS=n, SEED=n)
	@CHAOS_PURCHASES=$(or $(PURCHASES),100) CHAOS_SERVERS=$(or $(SERVERS),500) CHAOS_SEED=$(or $(SEED),1) \
		exec $(PYTHON_ENV) tools/run_tests.py -n 0 -q -s tests/faults/test_chaos.py tests/drivers/test_fleet.py

soak: bootstrap ## search for random histories and lives that break the books (LIVES=n, SEED=n)
	@SOAK=$(or $(LIVES),50) SEED=$(or $(SEED),1) exec $(PYTHON_ENV) tools/run_tests.py -n 2 -q tests/faults/test_histories.py -k any

lock: bootstrap ## pin requirements*.in with hashes into requirements*.txt
	@exec tools/lock

clean: ## remove caches and what the tests and the demo left (a shop's own var/ stays)
	@exec tools/clean

bootstrap:
	@exec tools/bootstrap
