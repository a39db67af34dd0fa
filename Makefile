# What a person types; each target installs what it needs. Windows: the pip lines in README.md.
PYTHON ?= python3
VENV ?= .venv
REFERENCE_VENV ?= .venv-reference
ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
REFERENCE_BIN := $(REFERENCE_VENV)/Scripts
else
BIN := $(VENV)/bin
REFERENCE_BIN := $(REFERENCE_VENV)/bin
endif
PIP := -m pip --disable-pip-version-check install --quiet
REFERENCE := .cache/reference

.PHONY: demo test check parity parity-quick passports golden accuracy bench clean

demo: $(VENV)/.run
	@$(BIN)/edgesam pull lite-medsam
	@mkdir -p demo
	$(BIN)/edgesam segment $(VENV)/CT_small.dcm --box 70,0,110,27 --window soft-tissue \
	    -o demo/mask.png --overlay demo/overlay.png

# The tests that need no PyTorch. Those that need weights say so and skip when pull cannot fetch.
test: $(VENV)/.test
	-@$(BIN)/edgesam pull lite-medsam
	-@$(BIN)/edgesam pull mobile-sam
	$(BIN)/python -m pytest

check: $(VENV)/.check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Against official PyTorch, which runs in an environment of its own.
parity-quick: $(VENV)/.run $(REFERENCE_VENV)/.reference
	$(MAKE) --no-print-directory .parity QUICK=--quick

parity: $(VENV)/.run $(REFERENCE_VENV)/.reference
	$(MAKE) --no-print-directory .parity QUICK=

# Run-time dependencies only, and pydicom's example CT slice beside them.
$(VENV)/.run: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing edgesam and its run-time dependencies into $(VENV)"
	@$(BIN)/python $(PIP) -e ".[cpu,codecs]"
	@$(BIN)/python -c "import shutil, pydicom.data as d; shutil.copy(d.get_testdata_file('CT_small.dcm', download=False), '$(VENV)')"
	@touch $@

$(VENV)/.test: $(VENV)/.run
	@$(BIN)/python $(PIP) -e ".[cpu,codecs,test]"
	@touch $@

$(VENV)/.check: $(VENV)/.run
	@$(BIN)/python $(PIP) -e ".[cpu,codecs,test,check]"
	@touch $@

clean:
	rm -rf $(VENV) $(REFERENCE_VENV) .cache demo build dist
