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
MODELS := lite-medsam mobile-sam
VITS := sam-vit-b sam-vit-l sam-vit-h medsam
PICTURES := ../shared/data/manifest.csv
SERIES := ../shared/data/dicom/ct_series
SCENARIOS := viewer cine batch
ASKING := $(filter-out %/serve_official.py %/export_plain.py,$(wildcard bench/reference/*.py)) \
    $(addprefix bench/edgesam_bench/,cases.py objects.py pictures.py reference.py)
ASKING_VITS := $(ASKING) \
    $(addprefix bench/edgesam_bench/,aspects.py random_golden.py random_weights.py vit_controls.py)

.PHONY: demo test check parity parity-quick parity-vit parity-everything passports golden accuracy \
    bench speed scenarios vit-cost gpu-bench clean
.SECONDARY:

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

# Against official PyTorch, which runs in an environment of its own. A dozen pictures a model, or
# all of them. The reference's answers are kept until the code that asks changes.
parity-quick: $(addprefix .parity-quick-,$(MODELS))
parity: $(addprefix .parity-full-,$(MODELS)) parity-vit parity-everything

.parity-quick-% .parity-full-%: FOLDER = $(REFERENCE)/$*-$(SIZE)
.parity-quick-%: SIZE = quick
.parity-full-%: SIZE = full

.parity-quick-%: $(REFERENCE)/%-quick/.answered
	$(BIN)/python -m edgesam_bench.parity --model $* --reference $(FOLDER)

.parity-full-%: $(REFERENCE)/%-full/.answered
	$(BIN)/python -m edgesam_bench.parity --model $* --reference $(FOLDER) \
	    --out bench/results/parity-$*.json

# SAM's ViTs and MedSAM at full size, on random weights: their own cannot be had everywhere. A model's
# checkpoints (5 GB for ViT-H) are deleted when it is done, its answers are kept.
parity-vit:  # one after the other even with -j: they share a result file and the memory
	@for model in $(VITS); do $(MAKE) --no-print-directory .parity-vit-$$model || exit; done

CONTROLS = $(if $(filter sam-vit-b,$*),no-rel-pos rel-pos-swapped pos-embed-transposed)

.parity-vit-%: $(ASKING_VITS) $(PICTURES) $(VENV)/.run $(REFERENCE_VENV)/.reference
	@set -e; trap 'rm -f $(REFERENCE)/$*-*/*.pth' EXIT; trap 'exit 130' INT TERM; \
	for recipe in peaked gentle; do \
	    folder=$(REFERENCE)/$*-$$recipe; \
	    $(REFERENCE_BIN)/python bench/reference/random_checkpoint.py --model $* --recipe $$recipe \
	        --out $$folder/checkpoint.pth; \
	    test -n "$$(find $$folder/reference.json -newer $$(ls -t $(ASKING_VITS) | head -1) 2>/dev/null)" || \
	        $(REFERENCE_BIN)/python bench/reference/run.py --aspects \
	        --model $* --checkpoint $$folder/checkpoint.pth --data ../shared/data --out $$folder; \
	done; \
	for control in $(CONTROLS); do \
	    $(REFERENCE_BIN)/python bench/reference/random_checkpoint.py --model $* --recipe peaked \
	        --control $$control --out $(REFERENCE)/$*-peaked/control-$$control.pth; \
	done; \
	$(BIN)/python -m edgesam_bench.vit_parity --model $* --references $(REFERENCE) \
	    $(addprefix --control ,$(CONTROLS)) --out bench/results/parity-vit.json

# Automatic masks beside the official generator's, in turn with it: half an hour on two cores.
parity-everything: $(PICTURES) $(VENV)/.run $(REFERENCE_VENV)/.reference
	$(BIN)/edgesam pull mobile-sam
	$(BIN)/python -m edgesam_bench.everything_parity --out bench/results/everything.json \
	    --reference-python $(REFERENCE_BIN)/python

# What ships with the package: run after a graph has changed on purpose, and commit the result.
passports: $(addprefix $(REFERENCE)/,$(addsuffix -full/.answered,$(MODELS)))
	@for model in $(MODELS); do \
	    $(BIN)/python -m edgesam_bench.parity --model $$model --reference $(REFERENCE)/$$model-full \
	        --passport bench/edgesam_bench/passports/$$model.fp32.json || exit 1; \
	done

ANSWER = $(REFERENCE_BIN)/python bench/reference/run.py --model $* --data ../shared/data \
    --checkpoint "$$($(BIN)/python -c 'from edgesam.checkpoint_store import *; from edgesam.models import find; print(checkpoint_path(find("$*")))')"

$(REFERENCE)/%-quick/.answered: $(ASKING) $(PICTURES) $(VENV)/.run $(REFERENCE_VENV)/.reference
	$(BIN)/edgesam pull $*
	$(ANSWER) --quick --out $(@D)
	@touch $@

$(REFERENCE)/%-full/.answered: $(ASKING) $(PICTURES) $(VENV)/.run $(REFERENCE_VENV)/.reference
	$(BIN)/edgesam pull $*
	$(ANSWER) --out $(@D)
	@touch $@

$(PICTURES):
	@echo "the comparison needs medical pictures listed in $@, which is not there" >&2; exit 1

# The pinned torch is a CPU build where one is offered; a newer one would bring gigabytes of CUDA.
$(REFERENCE_VENV)/.reference: bench/reference/requirements.txt bench/reference/requirements-no-deps.txt
	@test -x $(REFERENCE_BIN)/python || $(PYTHON) -m venv $(REFERENCE_VENV)
	@echo "installing the official PyTorch code into $(REFERENCE_VENV)"
	@$(REFERENCE_BIN)/python $(PIP) -r bench/reference/requirements.txt
	@$(REFERENCE_BIN)/python $(PIP) --no-deps -r bench/reference/requirements-no-deps.txt
	@touch $@

# Small files that let `make test` check numbers without PyTorch.
golden: $(VENV)/.run $(REFERENCE_VENV)/.reference
	$(BIN)/edgesam pull lite-medsam
	$(BIN)/edgesam pull mobile-sam
	store="$$($(BIN)/python -c 'from edgesam.home import home; print(home())')/checkpoints"; \
	$(REFERENCE_BIN)/python bench/reference/make_golden.py --mobile-sam "$$store/mobile_sam.pt" \
	    --lite-medsam "$$store/lite_medsam.pth" --out tests/golden && \
	$(REFERENCE_BIN)/python bench/reference/make_compat_golden.py --mobile-sam "$$store/mobile_sam.pt" \
	    --out tests/golden
	$(REFERENCE_BIN)/python bench/reference/make_random_golden.py --out tests/golden
	$(REFERENCE_BIN)/python bench/reference/make_kernel_golden.py --out tests/golden

accuracy: $(VENV)/.run
	$(BIN)/python -m edgesam_bench.accuracy --models $(MODELS) --table docs/accuracy.md --out bench/results/accuracy.json

bench: $(VENV)/.run
	$(BIN)/python -m edgesam_bench.overhead --out bench/results/overhead.json

# `edgesam bench` beside PyTorch and plain exports, for both models: half an hour on two cores.
speed: $(VENV)/.test $(REFERENCE_VENV)/.reference
	@for model in $(MODELS); do \
	    $(BIN)/edgesam pull $$model && \
	    $(BIN)/edgesam bench --model $$model --peers all \
	        --reference-python $(REFERENCE_BIN)/python \
	        --out bench/results/speed-$$model.json --picture docs/speed-$$model.png || exit; \
	done
	$(BIN)/python -m edgesam_bench.speed.page $(MODELS:%=bench/results/speed-%.json) --out docs/speed.md

# Three recorded scenes on a series in JPEG 2000: six minutes on two cores.
scenarios: $(VENV)/.test
	@test -d $(SERIES) || { echo "the scenes need a DICOM series in $(SERIES), which is not there" >&2; exit 1; }
	$(BIN)/edgesam pull lite-medsam
	@for scenario in $(SCENARIOS); do \
	    $(BIN)/edgesam bench --scenario $$scenario --model lite-medsam --image $(SERIES) --rounds 6 \
	        --out bench/results/scenario-$$scenario.json --picture docs/scenario-$$scenario.png || exit; \
	done
	$(BIN)/python -m edgesam_bench.scenario.page $(SCENARIOS:%=bench/results/scenario-%.json) --out docs/scenarios.md

# Export, encode and click of SAM's ViTs beside official PyTorch: time and memory.
vit-cost: $(VENV)/.run $(REFERENCE_VENV)/.reference
	$(BIN)/python -m edgesam_bench.cost --reference-python $(REFERENCE_BIN)/python \
	    --table docs/vit.md --out bench/results/vit-cost.json

# On a machine with an NVIDIA card, under 8 minutes; with the Python that has its packages:
# make gpu-bench GPU_PYTHON=python3 CARD=h200
GPU_PYTHON ?= $(BIN)/python
CARD ?= card
gpu-bench:
	PYTHONPATH=.:kernels:bench:export $(GPU_PYTHON) -m edgesam_bench.gpu --data $(dir $(PICTURES)) \
	    --json bench/results/gpu-$(CARD).json

# Run-time dependencies only, and pydicom's example CT slice beside them.
$(VENV)/.run: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing edgesam and its run-time dependencies into $(VENV)"
	@$(BIN)/python $(PIP) -e ".[cpu,codecs,volumes,dicom]"
	@$(BIN)/python -c "import shutil, pydicom.data as d; shutil.copy(d.get_testdata_file('CT_small.dcm', download=False), '$(VENV)')"
	@touch $@

$(VENV)/.test: $(VENV)/.run
	@$(BIN)/python $(PIP) -e ".[cpu,openvino,codecs,jpeg2000,volumes,dicom,cuda,tensorrt-rtx,test,readers]"
	@touch $@

$(VENV)/.check: $(VENV)/.run
	@$(BIN)/python $(PIP) -e ".[cpu,openvino,codecs,jpeg2000,volumes,dicom,cuda,tensorrt-rtx,test,readers,check]"
	@touch $@

clean:
	rm -rf $(VENV) $(REFERENCE_VENV) .cache demo build dist
