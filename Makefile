# Every target creates .venv when it is missing and updates it when pyproject.toml is newer.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# The first Python of a supported version; choose another with make PYTHON=python3.12 ...
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1 && echo $$p && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

VIDEOS := data/videos/rendered_solos
# Solos for localisation: other melodies and players, each at most 15 % of the picture.
SMALL := data/videos/rendered_small
WIDE := data/videos/rendered_wide
COMPARED := data/videos/rendered_compare
# Free soundfonts, recorded notes and pictures.
FREE := data/free
RUN := runs/quickstart
DEMO := runs/demo
BENCHMARKS := runs/benchmarks
# Index of PyTorch's CPU builds.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

.PHONY: help setup demo quickstart quickstart-report data small-data wide-data small-resnet-data compare-data far-data broad-data bench bench-separate test test-all test-devices lint types format clean

help:
	@echo 'make demo        separate a video of two rendered players with the model that ships: $(DEMO)/apart/index.html'
	@echo 'make quickstart  render, prepare, train, evaluate, report: $(RUN)/report/index.html'
	@echo 'make quickstart-report  afterwards: mixtures of 2 to 5 sounds, counting, localisation'
	@echo 'make wide-data    the data set of configs/rendered_wide.py;  make compare-data  those of configs/compare_rendered.py;  make broad-data  those of configs/rendered_broad.py'
	@echo 'make test        fast tests;  make test-all  all of them;  make test-devices  parallel ones on 8 devices'
	@echo 'make bench       step time and loader compared with PyTorch, and memory: $(BENCHMARKS)/*.json'
	@echo 'make bench-separate  speed, memory and quality of separate, with the model that ships (renders broad-data first, an hour)'
	@echo 'make lint types  check style and types;  make format  format the code'
	@echo 'make setup       create the virtual environment only ($(VENV))'

setup: $(READY)

$(READY): pyproject.toml
	@if [ -z "$(PYTHON)" ]; then echo 'error: no Python 3.11, 3.12 or 3.13 found; install one or say make PYTHON=/path/to/python' >&2; exit 2; fi
	@if [ ! -x $(BIN)/python ]; then $(PYTHON) -m venv $(VENV); fi
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

demo: $(READY)
	@rm -rf $(DEMO)/apart
	$(BIN)/python -m data_pipeline.render_scene --out=$(DEMO)
	$(BIN)/python -m mpnet_jax.separate --video=$(DEMO)/scene.mp4 --out=$(DEMO)/apart

data: $(READY)
	$(BIN)/python -m data_pipeline.render_solos --out=$(VIDEOS)
	$(BIN)/python -m data_pipeline.prepare --source=folder --videos=$(VIDEOS) --data_dir=data --name=rendered_solos

quickstart: data
	$(BIN)/python -m mpnet_jax.train --config=configs/quickstart.py --workdir=$(RUN)
	$(BIN)/python -m mpnet_jax.evaluate --config=configs/quickstart.py --workdir=$(RUN)

small-data: $(READY)
	$(BIN)/python -m data_pipeline.render_solos --out=$(SMALL) --area=0.1,0.15 --solos_per_instrument=4 --seconds=12 --seed=1
	$(BIN)/python -m data_pipeline.prepare --source=folder --videos=$(SMALL) --data_dir=data --name=rendered_small --frame_px=384 --split=test

quickstart-report: small-data
	$(BIN)/python -m mpnet_jax.evaluate --config=configs/quickstart.py --workdir=$(RUN) --mix=2,3,4,5 --counting --localisation

# Solos of many timbres and styles.
$(WIDE): $(READY)
	$(BIN)/python -m data_pipeline.render_solos --out=$(WIDE) --variety=wide --solos_per_instrument=32 --seed=2

wide-data: $(WIDE)
	$(BIN)/python -m data_pipeline.prepare --source=folder --videos=$(WIDE) --data_dir=data --name=rendered_wide

# The frames of configs/small_resnet.py are smaller.
small-resnet-data: $(READY)
	$(BIN)/python -m data_pipeline.render_solos --out=$(VIDEOS)
	$(BIN)/python -m data_pipeline.prepare --source=folder --videos=$(VIDEOS) --data_dir=data/px106 --name=rendered_solos --frame_px=106

# A set that shares no timbre, melody or style with the others.
far-data: $(READY)
	$(BIN)/python -m data_pipeline.render_solos --out=data/videos/rendered_far --variety=far --solos_per_instrument=6 --seed=3
	$(BIN)/python -m data_pipeline.prepare --source=folder --videos=data/videos/rendered_far --data_dir=data --name=rendered_far --split=test

# Twice as many wide solos, whose test split has 132 videos, a far set, and scenes for localisation.
compare-data: small-data far-data
	$(BIN)/python -m data_pipeline.render_solos --out=$(COMPARED) --variety=wide --solos_per_instrument=64 --seed=2
	$(BIN)/python -m data_pipeline.prepare --source=folder --videos=$(COMPARED) --data_dir=data --name=rendered_compare

# Short solos of many kinds, so that there are many scenes, and two test sets that share no sound with them.
$(FREE)/.ready: data_pipeline/fetch_packages.sh $(READY)
	data_pipeline/fetch_packages.sh $(FREE)
	$(BIN)/python -m data_pipeline.gather_pictures --packages=$(FREE)/packages --out=$(FREE)/pictures
	ln -sf "$$($(BIN)/python -c 'from data_pipeline.rendered.sound.soundfont import bundled_path; print(bundled_path().resolve())')" $(FREE)/soundfonts/
	@touch $@

broad-data: data compare-data $(FREE)/.ready
	$(BIN)/python -m data_pipeline.render_solos --out=data/videos/rendered_broad --variety=broad --solos_per_instrument=240 --seconds=6 --seed=6 \
		--soundfont=$(FREE)/soundfonts/TimGM6mb.sf2,$(FREE)/soundfonts/FluidR3_GM.sf2,$(FREE)/soundfonts/GeneralUser-v1.47.sf2,$(FREE)/notes,$(FREE)/soundfonts/MuseScore_General_Full.sf2,$(FREE)/soundfonts/sf_GMbank.sf2 \
		--pictures=$(FREE)/pictures
	$(BIN)/python -m data_pipeline.prepare --source=folder --videos=data/videos/rendered_broad --data_dir=data --name=rendered_broad
	$(BIN)/python -m data_pipeline.render_solos --out=data/videos/rendered_held_out --variety=broad --solos_per_instrument=6 --seed=32 \
		--soundfont=$(FREE)/held_out_notes,$(FREE)/held_out_soundfonts/A320U.sf2 --pictures=$(FREE)/pictures --pictures_share=1 --pictures_split=test
	$(BIN)/python -m data_pipeline.prepare --source=folder --videos=data/videos/rendered_held_out --data_dir=data --name=rendered_held_out --split=test

bench: $(READY)
	@if ! $(BIN)/python -c 'import torch' 2>/dev/null; then $(BIN)/python -m pip install --quiet --editable '.[torch]' --extra-index-url $(TORCH_INDEX); fi
	$(BIN)/python -m benchmarks.step_time --json=$(BENCHMARKS)/step_time.json --frames=1,3,6
	$(BIN)/python -m benchmarks.step_time --json=$(BENCHMARKS)/networks.json --parts=unet_forward,unet,frame_net
	$(BIN)/python -m benchmarks.memory --json=$(BENCHMARKS)/memory.json
	$(BIN)/python -m benchmarks.bss_eval --json=$(BENCHMARKS)/bss_eval.json
	$(BIN)/python -m benchmarks.loader --json=$(BENCHMARKS)/loader.json --workdir=$(BENCHMARKS)/loader
	$(BIN)/python -m benchmarks.prepare --json=$(BENCHMARKS)/prepare.json --workdir=$(BENCHMARKS)/prepare

bench-separate: broad-data
	$(BIN)/python -m benchmarks.separation_speed --json=$(BENCHMARKS)/separation_speed.json
	$(BIN)/python -m benchmarks.place_speed --json=$(BENCHMARKS)/place_speed.json
	$(BIN)/python -m benchmarks.rendered_players --json=$(BENCHMARKS)/rendered_players.json
	@rm -rf $(BENCHMARKS)/shipped
	$(BIN)/python -m mpnet_jax.convert --config=configs/rendered_broad.py --workdir=$(BENCHMARKS)/shipped \
		--model=mpnet_jax/pretrained/small.safetensors
	$(BIN)/python -m mpnet_jax.evaluate --config=configs/rendered_broad.py --workdir=$(BENCHMARKS)/shipped --mix=2,3 --counting --far

test: $(READY)
	$(BIN)/python -m pytest -n 2 --dist loadfile -m 'not slow'

test-all: $(READY)
	$(BIN)/python -m pytest -n 2 --dist loadfile

# The tests that run on all devices, on eight of them.
test-devices: $(READY)
	XLA_FLAGS=--xla_force_host_platform_device_count=8 $(BIN)/python -m pytest -n 2 --dist loadfile -m 'not slow' \
		tests/test_parallel.py tests/steps/test_train_step.py tests/steps/test_separated_mixtures.py tests/models/layers/test_batch_norm.py

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/vulture
	$(BIN)/shellcheck --external-sources .ci/run data_pipeline/*.sh launch/*.sh launch/*.sbatch

types: $(READY)
	$(BIN)/basedpyright --pythonpath $(BIN)/python

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .ruff_cache .hypothesis
