# The front door. Under it lie scripts/setup, CMake presets (dev release asan tsan lint fuzz), Ninja and CTest.
JOBS ?= $(shell nproc)
PRESET ?= release
BUILD := build/$(PRESET)
# A second clone finds what the first one compiled.
export CCACHE_BASEDIR := $(CURDIR)
export CCACHE_NOHASHDIR := 1

.PHONY: help demo test bench outages micro instructions mutate soak reliability test-asan test-tsan build setup lint format format-check clean

help:
	@echo 'make demo     set up, build, run plant -> DMZ -> AI on this machine, pull the cable, show that it heals'
	@echo 'make test     set up, build, run every test'
	@echo 'make bench    measure docs/performance.md anew, beside Mosquitto and NATS; takes ten minutes'
	@echo 'make outages  measure docs/outages.md anew: what arrives of each change when servers are killed; four minutes'
	@echo 'make soak     a real chain under random faults until told to stop (Ctrl-C, or SOAK_SECONDS=600)'
	@echo 'make reliability   measure docs/reliability.md anew, Mosquitto chain included; takes half an hour'
	@echo 'make build    build/release/sallyport'
	@echo 'make micro    what each step of the path costs, beside what this machine allows (WRITE=--write: into the page)'
	@echo 'make instructions   how many instructions each step takes, against the checked-in baseline'
	@echo 'make lint     clang-tidy over everything; make format rewrites the sources with clang-format'
	@echo 'make mutate   break the link on purpose in many ways; the simulation finds each'
	@echo 'make test-asan, make test-tsan   the unit tests under the sanitizers'
	@echo 'PRESET=dev and JOBS=4 work with each'

setup:
	@scripts/setup build

$(BUILD)/build.ninja: CMakePresets.json
	@cmake --preset $(PRESET) >/dev/null || { cmake --preset $(PRESET); exit 1; }

build: setup
	@$(MAKE) --no-print-directory $(BUILD)/build.ninja
	@cmake --build --preset $(PRESET) -j $(JOBS) --target sallyport

demo: build
	@scripts/demo

test:
	@scripts/setup test
	@$(MAKE) --no-print-directory $(BUILD)/build.ninja
	@cmake --build --preset $(PRESET) -j $(JOBS)
	@ctest --preset $(PRESET) -j $(JOBS)

# Leave the machine alone meanwhile. Not a dependency of anything.
bench:
	@scripts/setup bench
	@cmake --preset $(PRESET) >/dev/null || { cmake --preset $(PRESET); exit 1; }
	@cmake --build --preset $(PRESET) -j $(JOBS) --target sallyport mqtt_load nats_load
	@SALLYPORT_BUILD=$(BUILD) scripts/bench

outages:
	@scripts/setup bench
	@cmake --preset $(PRESET) >/dev/null || { cmake --preset $(PRESET); exit 1; }
	@cmake --build --preset $(PRESET) -j $(JOBS) --target sallyport mqtt_load nats_load
	@SALLYPORT_BUILD=$(BUILD) scripts/outage

# What the reliability table and the soak need, next to the program.
.PHONY: faults
faults:
	@scripts/setup test
	@$(MAKE) --no-print-directory $(BUILD)/build.ninja
	@cmake --build --preset $(PRESET) -j $(JOBS) --target sallyport_soak mosquitto_rows faults_matrix_test faults_schedule_test faults_load_test

soak: faults
	@SALLYPORT_BUILD=$(BUILD) scripts/soak

reliability: faults
	@SALLYPORT_BUILD=$(BUILD) scripts/reliability

# Breaks the link on purpose, in many ways, and shows that the simulation finds each.
mutate:
	@scripts/setup test
	@scripts/mutate --jobs $(JOBS)

micro:
	@scripts/setup bench
	@cmake --preset $(PRESET) -DSALLYPORT_BENCH=ON >/dev/null
	@cmake --build --preset $(PRESET) -j $(JOBS) --target sallyport_bench
	@scripts/micro $(BUILD)/bench/sallyport_bench $(WRITE)

# A guard that does not depend on what else the machine does. WRITE=--write renews the baseline.
instructions:
	@scripts/setup bench
	@$(MAKE) --no-print-directory $(BUILD)/build.ninja
	@cmake --build --preset $(PRESET) -j $(JOBS) --target sallyport_instructions
	@scripts/instructions $(BUILD)/bench/sallyport_instructions $(WRITE)

# Tests of whole processes are left out: their time bounds are those of the real program.
test-asan:
	@$(MAKE) --no-print-directory PRESET=asan sanitized
test-tsan:
	@$(MAKE) --no-print-directory PRESET=tsan sanitized

.PHONY: sanitized
sanitized:
	@scripts/setup test
	@$(MAKE) --no-print-directory $(BUILD)/build.ninja
	@cmake --build --preset $(PRESET) -j $(JOBS)
	@ctest --preset $(PRESET) -j $(JOBS) -LE whole

lint:
	@scripts/setup build lint
	@cmake --preset lint >/dev/null
	@cmake --build --preset lint -j $(JOBS)

SOURCES = $(shell git ls-files --cached --others --exclude-standard '*.h' '*.cpp')
format:
	@scripts/setup build lint
	@clang-format-19 -i $(SOURCES)
format-check:
	@scripts/setup build lint
	@clang-format-19 --dry-run --Werror $(SOURCES)

clean:
	rm -rf build
