# keystead. `make run` and `make test` do all their own set-up and repeat only what changed:
# each step leaves a stamp under .make/. The no-change path calls node on files in
# node_modules and never npm or npx, which would cost a second each.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory --no-builtin-rules

# What is built belongs to one Node ABI; another node on PATH builds anew.
NODE_FACTS := $(shell node -p 'process.versions.modules + " " + require("node:path").resolve(process.execPath, "../..")')
ABI := $(firstword $(NODE_FACTS))
NODE_PREFIX := $(lastword $(NODE_FACTS))
ifeq ($(ABI),)
$(error Node is missing: install Node 20.19 or newer)
endif

# node-gyp would download Node's headers; most installations have them beside the binary.
ifneq ($(wildcard $(NODE_PREFIX)/include/node/node_api.h),)
export npm_config_nodedir := $(NODE_PREFIX)
endif
export npm_config_build_from_source := true
export JOBS := max

SYSTEM := .make/system
MODULES := .make/npm-$(ABI)
ADDON := .make/addon-$(ABI)
TYPESCRIPT := .make/typescript

NATIVE_SOURCES := $(wildcard native/*.cc native/*.h native/binding.gyp)
SOURCES := $(shell find src -name '*.ts')

BIN := node node_modules
TSC := $(BIN)/typescript/bin/tsc
VITEST := $(BIN)/vitest/vitest.mjs
PRETTIER := $(BIN)/prettier/bin/prettier.cjs
OXLINT := $(BIN)/oxlint/bin/oxlint
DEPCRUISE := $(BIN)/dependency-cruiser/bin/dependency-cruise.mjs
KNIP := $(BIN)/knip/bin/knip.js

.PHONY: help build run test check test-native bench docs format clean doctor

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: $(SYSTEM) $(ADDON) $(TYPESCRIPT) ## install what is missing, build the addon and the server
	@:

run: build ## start a server with demo data on 127.0.0.1:4599 (flags: make run ARGS="--timing instant")
	@exec node dist/cli/main.js dev $(ARGS)

test: build check test-native ## everything: check, the addon under sanitizers, the whole suite
	@$(VITEST) run

check: build ## format, types, lint, boundaries, dead code, conformance with the API models
	@echo "check: format"
	@$(PRETTIER) --check --log-level warn .
	@echo "check: types"
	@$(TSC) -p . --noEmit
	@$(TSC) -p test
	@echo "check: lint"
	@$(OXLINT) --type-aware --deny-warnings --quiet src test
	@echo "check: boundaries"
	@# The cruiser can pass having seen nothing, so it must have seen every module there is.
	@seen=$$($(DEPCRUISE) src --config .dependency-cruiser.mjs | tee /dev/stderr | sed -n 's/.*(\([0-9]*\) modules.*/\1/p'); \
	  there=$$(find src -name '*.ts' | wc -l); \
	  [ "$${seen:-0}" -ge "$$there" ] || { echo "dependency-cruiser saw $${seen:-0} modules of $$there"; exit 1; }
	@echo "check: dead code"
	@$(KNIP)
	@echo "check: conformance"
	@$(VITEST) run test/conformance

test-native: $(SYSTEM) ## the addon's C++ core without Node, under ASan and UBSan
	@$(MAKE) -C native test

bench: build ## measure; prints numbers of this machine
	@$(VITEST) run --config test/bench/vitest.config.ts

docs: build ## write docs/coverage.md from the operation tables
	@UPDATE_DOCS=1 $(VITEST) run test/conformance/coverage.test.ts

format: $(MODULES) ## write every file as prettier wants it
	@$(PRETTIER) --write --log-level warn .

doctor: build ## check this machine, the server and the AWS variables
	@node dist/cli/main.js doctor

clean: ## remove what was built (not node_modules)
	rm -rf dist native/build coverage .make/system .make/addon-* .make/typescript

# package:command; a command that is there by other means (pyenv, Homebrew) needs no package.
TOOLS := softhsm2:softhsm2-util opensc:pkcs11-tool g++:g++ make:make python3:python3 openssl:openssl

$(SYSTEM):
	@missing=(); \
	for tool in $(TOOLS); do command -v "$${tool#*:}" >/dev/null || missing+=("$${tool%%:*}"); done; \
	if [ $${#missing[@]} -gt 0 ]; then \
	  if [ "$$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then \
	    echo "keystead: please install first: sudo apt-get install $${missing[*]}"; exit 3; \
	  fi; \
	  apt-get update -qq; \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$${missing[@]}"; \
	fi
	@mkdir -p $(@D) && touch $@

# `npm install --no-save` installs what the lock says and leaves the lock alone. `npm ci` would refuse it:
# it demands entries for every platform's optional binaries, and a lock has those its registry serves.
# The compiler comes first; the age of its stamp does not matter.
$(MODULES): package.json package-lock.json .npmrc | $(SYSTEM)
	KEYSTEAD_SKIP_ADDON=1 npm install --no-save --no-fund --no-audit --loglevel=error
	@mkdir -p $(@D) && touch $@

$(ADDON): $(NATIVE_SOURCES) $(MODULES)
	node native/build.mjs
	@touch $@

# The link makes `npx keystead` work in this checkout; npm makes it only for packages it installs.
$(TYPESCRIPT): $(SOURCES) tsconfig.json $(MODULES)
	$(TSC) -p .
	@chmod +x dist/cli/main.js
	@ln -sfn ../../dist/cli/main.js node_modules/.bin/keystead
	@touch $@
