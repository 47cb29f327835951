# Every command here sets up what it needs on a machine that has Python 3.11 with venv, make and a C library.
PYTHON ?= python3
TORCH_INDEX ?=
DATA ?= pumps
VENV := .venv
PY := $(VENV)/bin/python
CURRENT := $(VENV)/.current
ROUNDS ?= 50
SEED ?= 0
SECONDS ?= 60
KILLS ?= 200
MINUTES ?= 30
SEEDS ?= 1000
TARGETS ?=
# Three processes share the tests, half of whose time is waiting; each file as a whole, since its fixtures are dear.
SIDE_BY_SIDE := --numprocesses 3 --dist loadfile
DEMO := build/demo/$(DATA)

.PHONY: setup mosquitto lint test test-fast docs crash faults soak simulate fuzz demo clean

setup: $(CURRENT)

# TORCH_INDEX names an index with a CPU build of torch, where the default one has only the large CUDA build.
$(CURRENT): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "forewarn needs Python 3.11 or newer; name it: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check --constraint requirements.lock \
		$(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) "$$(grep '^torch==' requirements.lock)"
	$(PY) -m pip install --quiet --disable-pip-version-check --constraint requirements.lock --editable '.[compare,dev,demo]'
	@touch $(CURRENT)

# Installs mosquitto where that may be done without asking; elsewhere says so and goes on.
mosquitto:
	@sh .ci/mosquitto

lint: setup
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

# Tests that need a core for themselves, since a broker drops what a slow reader leaves, come last and one by one.
test: lint mosquitto
	$(PY) -m pytest $(SIDE_BY_SIDE) -m "not alone and not long"
	$(PY) -m pytest -m "alone and not long"

test-fast: setup
	$(PY) -m pytest $(SIDE_BY_SIDE) -m "not slow and not long" --ignore tests/broker --ignore tests/faults

# Writes what is generated in README.md and docs: reference pages, outputs and tables (docs/pages.py).
docs: setup
	$(PY) -m docs.pages

# Kills agent and brokers again and again on one growing history, and says what was lost: nothing, or it fails.
# Then kills agents beside a twin that is left in peace, which must have all their alerts.
crash: setup mosquitto
	$(PY) -m tests.broker.crash_campaign --rounds $(ROUNDS) --seed $(SEED)
	$(PY) -m tests.broker.twin_campaign --kills $(ROUNDS) --seed $(SEED)

# Networks, disks and processes that fail, one after the other; then kill -9 of agent and broker, KILLS times each,
# beside a twin that is left in peace, which must have all their alerts; then 1,000 bits that flip in state directories.
faults: setup mosquitto
	$(PY) -m pytest tests/faults
	$(PY) -m pytest -m long --ignore tests/faults
	$(PY) -m tests.faults.campaign --kills $(KILLS) --broker-kills $(KILLS) --seed $(SEED)
	$(PY) -m tests.faults.bit_flips --seed $(SEED)

# The lines on which durability hangs, broken one at a time in a copy: the tests must fail for each.
mutants: setup mosquitto
	$(PY) -m tests.faults.mutants

# An agent at a third of what this machine can do, and a fault every few seconds, for MINUTES.
soak: setup mosquitto
	$(PY) -m tests.faults.soak --minutes $(MINUTES) --seed $(SEED)

# Histories of a simulated world, SEEDS of each mode: crashes between any two steps, failing disks, brokers and networks.
simulate: setup
	$(PY) -m tests.simulation --seeds $(SEEDS) --first $(SEED) --jobs $$(nproc) --show

# Hostile and broken payloads, made by atheris from those of tests/data: for SECONDS in all, all targets or those of
# TARGETS. An input that shows a fault is kept in tests/data/fuzz, others in build/fuzz, from where the next run goes on.
fuzz: setup
	$(PY) -m pip install --quiet --disable-pip-version-check --constraint requirements.lock --editable '.[fuzz]'
	$(PY) -m tests.fuzz.campaign --seconds $(SECONDS) $(TARGETS)

# A simulated pump fleet, or what another file of configs/train names.
demo: setup mosquitto
	@test -f configs/train/$(DATA).toml || { echo "usage: make demo, or make demo DATA=cmapss-fd001 FOREWARN_DATA=folder that holds cmapss/" >&2; exit 2; }
	@test "$(DATA)" = pumps || test -d "$(FOREWARN_DATA)/cmapss" || { echo "FOREWARN_DATA must name a folder that holds cmapss/train_FD00?.txt.xz; it is '$(FOREWARN_DATA)'" >&2; exit 2; }
	@mkdir -p $(DEMO)
	$(PY) -m trainer.cli fit configs/train/$(DATA).toml --out $(DEMO)
	@cp $(DEMO)/*-[0-9]*.fwb $(DEMO)/bundle.fwb
	$(PY) -m trainer.cli evaluate --bundle $(DEMO)/bundle.fwb --json $(DEMO)/evaluate.json
	$(PY) -m agent.cli replay --bundle $(DEMO)/bundle.fwb --data $(DEMO)/play.csv --truth $(DEMO)/truth.csv \
		--through mqtt --live --out $(DEMO)/replay
	@printf '%s\n' "" \
		"What you have seen: a predictor learned from the recorded lives of machines and was measured on others. Then more," \
		"which it has never seen, lived once more through an MQTT broker and a whole agent, which warned of their failures." \
		"Every machine and every warning, beside a calendar: open file://$(abspath $(DEMO))/replay/report.html" \
		"The file that a gateway would run:                   $(DEMO)/bundle.fwb"

clean:
	rm -rf build
