# What a person runs. `make` alone lists the targets.

GO       ?= go
FUZZTIME ?= 10s
VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOFUMPT     := mvdan.cc/gofumpt@v0.12.0

BUILD = CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-s -w -X dotmesh.io/dotmesh/internal/build.version=$(VERSION)"
CROSS = darwin-arm64 linux-arm64 windows-amd64

FAULTS = $(if $(wildcard tests/faults),./tests/faults/...)

# The packages with tests that need ZFS, in files with the build tag zfs.
ZFS_TESTS ?= ./tests/zfs $(if $(wildcard zfs),./zfs/...)

# tool NAME@VERSION is where that version of a tool is kept, so that a new pin is a new file.
tool = .bin/$(subst @,-,$(notdir $(1)))

.DEFAULT_GOAL := help
.PHONY: help setup build binaries cross demo test test-zfs test-zfs-full qemu check bench fuzz cast clean root cc tmux

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

setup: ## install the Debian packages that are missing: btrfs-progs, sqlite3
	@deploy/setup.sh mkfs.btrfs=btrfs-progs sqlite3=sqlite3 losetup=mount unshare=util-linux

build: binaries cross ## build dm and dotmesh-server into bin/, and dm for other systems into bin/<os>-<arch>/

binaries:
	$(BUILD) -o bin/ ./cmd/dm ./cmd/dotmesh-server

cross: $(CROSS:%=cross-%)

cross-%:
	GOOS=$(word 1,$(subst -, ,$*)) GOARCH=$(word 2,$(subst -, ,$*)) $(BUILD) -o bin/$*/ ./cmd/dm

demo: root setup binaries ## start a node on a pool in a file and show the main job on a real database (STORAGE=zfs-file: on ZFS)
	@$(GO) run ./tests/demo $(if $(STORAGE),-storage $(STORAGE))

# One package's tests at a time: some make mount namespaces, which copy every mount of the
# machine, and so would keep other packages' pools in use.
test: root setup cc tmux build ## install what is missing and run every test, with the race detector
	$(GO) build -race ./...
	$(GO) test -race -p 1 -timeout 20m ./...
	$(GO) test -race -p 1 -tags failpoints -timeout 20m ./internal/fail $(FAULTS)
	@$(MAKE) --no-print-directory test-zfs

test-zfs: root qemu ## run the tests that need ZFS in a machine that has it (ZFS=host: on this one)
	GO=$(GO) ZFS=$(ZFS) tests/zfs/test $(ZFS_TESTS) $(TESTFLAGS)

test-zfs-full: export TEST_ZFS_FULL = 1
# The longest is the first, so that something runs beside it from its beginning to its end.
test-zfs-full: ZFS_TESTS := ./tests/faults $(ZFS_TESTS) ./tests/node ./tests/demo
test-zfs-full: TESTFLAGS += -test.timeout=3h
test-zfs-full: test-zfs ## the same, and what takes hours there: streams, kills, planted bugs, a whole node
	$(if $(ZFS),,$(GO) test -count 1 -tags zfsrun -timeout 30m ./tests/zfs)
	$(if $(ZFS),,$(GO) test -count 1 -tags zfsrun -timeout 90m -run OnZFS ./tests/mutants)

qemu:
	@[ "$(ZFS)" = host ] || deploy/setup.sh qemu-system-x86_64=qemu-system-x86 debootstrap=debootstrap \
		/usr/share/keyrings/debian-archive-keyring.gpg=debian-archive-keyring \
		mke2fs=e2fsprogs losetup=mount unshare=util-linux pkill=procps

check: $(call tool,$(STATICCHECK)) $(call tool,$(GOFUMPT)) ## vet, staticcheck, gofumpt and the import rules
	$(GO) vet ./...
	$(GO) vet -tags failpoints ./...
	$(GO) vet -tags failpoints,zfs,zfsfull,zfsrun ./...
	$(call tool,$(STATICCHECK)) ./...
	$(call tool,$(STATICCHECK)) -tags failpoints ./tests/faults
	$(call tool,$(STATICCHECK)) -tags failpoints,zfs,zfsfull,zfsrun ./...
	@echo "gofumpt -l ."; unformatted="$$($(call tool,$(GOFUMPT)) -l .)"; \
		[ -z "$$unformatted" ] || { echo "not formatted: run $(call tool,$(GOFUMPT)) -w on" $$unformatted; exit 1; }
	$(GO) test ./tests/arch

bench: root setup qemu binaries ## measure against plain tools and write docs/benchmarks.md (ROWS=commit,list: print only these)
	@deploy/setup.sh rsync=rsync restic=restic
	@$(GO) run ./tests/bench $(if $(ROWS),-rows $(ROWS)) $(if $(SHORT),-short)

fuzz: ## run each fuzz target for 10 s, or as long as FUZZTIME says
	@grep -rE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*\(' . \
		| sed -E 's|^(.*)/[^/]*:func (Fuzz[A-Za-z0-9_]*).*|\1 \2|' | sort -u \
		| while read -r dir target; do \
			echo "$$dir $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$dir" || exit 1; \
		done

cast: binaries ## record docs/ui.cast, a tour of the terminal UI
	@$(GO) run ./tests/cast bin/dm docs/ui.cast

clean: ## remove what was built and cached in this folder
	rm -rf bin .bin .cache

root:
	@[ "$$(id -u)" = 0 ] || { \
		echo "This mounts file systems of its own in temporary files, so it needs root: sudo make $(MAKECMDGOALS)"; exit 1; }

# The race detector needs a C compiler; nothing else here does.
cc:
	@deploy/setup.sh cc=gcc /usr/include/stdlib.h=libc6-dev

# tests/tui opens the UI in it.
tmux:
	@deploy/setup.sh tmux=tmux

.bin/%:
	@mkdir -p $@.d
	GOBIN=$(CURDIR)/$@.d $(GO) install $(filter %/$(subst -v,@v,$*),$(STATICCHECK) $(GOFUMPT))
	@mv $@.d/* $@ && rmdir $@.d
