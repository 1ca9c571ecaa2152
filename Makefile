# make image   builds, makes and boots a Debian 13 golden image; make iso   the live ISO; make test   what CI runs; make test-all   every
# scenario.
BINARY := .build-static/release/kldload
OUT ?= out

.PHONY: image iso test test-all unit lint binary prepare glibc clean

image: binary
	$(BINARY) image build Examples/golden-image.env --format qcow2 --overwrite -o $(OUT)
	$(BINARY) image verify --once $(OUT)/kldload-debian-server.qcow2

iso: binary
	@tools/prepare xorriso isomd5sum
	$(BINARY) iso build --overwrite -o $(OUT)/kldload.iso

prepare:
	@tools/prepare

binary: prepare
	swift build -c release --product kldload --static-swift-stdlib -debug-info-format none --scratch-path .build-static
	strip --strip-all -o $(BINARY).stripped $(BINARY) && mv $(BINARY).stripped $(BINARY)

lint: prepare
	swift format lint --strict --recursive Sources Tests Package.swift
	tools/check-layers
	tools/mutate --check

unit: prepare
	swift test

# The tool must start on every system it installs: nothing newer than glibc 2.34.
glibc: binary
	tools/check-glibc $(BINARY) 2.34

test: lint unit glibc
	swift build --product kldload-systemtests
	.build/debug/kldload-systemtests --tier ci --executable $(BINARY)

# virt-v2v reads the OVA independently; openssh-server answers the uploads; xorriso and isomd5sum make the ISO; rsync is tried for its increments;
# virt-firmware enrols keys.
test-all: lint unit glibc
	@tools/prepare virt-v2v openssh-server xorriso isomd5sum rsync python3-virt-firmware
	swift build --product kldload-systemtests
	.build/debug/kldload-systemtests --tier all --keep-on-failure --executable $(BINARY)

# The promised numbers, beside their limits and peers: docs/numbers.md. PARTS="help sizes …" chooses.
.PHONY: bench
bench: binary
	tools/bench

# Turns each guard on destroying something around, and requires that a test fails. WORDS="approval ESP" chooses.
.PHONY: mutate
mutate: prepare
	tools/mutate $(WORDS)

clean:
	rm -rf .build .build-static .build-bench $(OUT)

# Manual pages of all tools, and completions for three shells, from the commands' own descriptions; installed machines have them.
.PHONY: documents
documents: binary
	mkdir -p $(OUT)/bin
	$(BINARY) applets --install $(OUT)/bin
	$(BINARY) applets --documents $(OUT)
