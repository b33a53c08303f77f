# SPDX-License-Identifier: GPL-2.0-only
#
# What a person types. The work is done by scripts/, the kernel's own make builds the kernels.

export V JOBS LANES FILTER MACHINE PAGES ROUNDS PROFILE

.DEFAULT_GOAL := help
.PHONY: help demo test test-long test-pages kunit harness fuzz mutants coverage bench check patch kernel shell setup clean distclean

help:		## list the targets
	@sed -n 's/^\([a-z-]*\):.*## */  \1\t/p' Makefile | expand -t 14
	@echo
	@echo '  V=1 shows the guest'\''s kernel log, JOBS=n limits parallel jobs, LANES=n suites that run side by side.'

demo:		## set up all it needs and show a device working in a process's own memory (MACHINE=vtd|smmuv3)
	@scripts/demo

test:		## run all tests, or those of FILTER=scripts|harness|mutants|fuzz|kunit|qemu|vtd|smmuv3|stall|iommufd|control|consumers, FILTER=vtd/CASE
	@scripts/run-tests

test-long:	## what takes hours: rounds of storm (ROUNDS=n), pages of 16 and 64 KiB, all mutants, coverage (FILTER=storm|hangs|pages|la57|mutants-all|mutants-qemu|coverage)
	@scripts/run-tests long

test-pages:	## the end-to-end tests on SMMUv3 with pages of 16 and of 64 KiB (PAGES=16k or 64k: one of them)
	@FILTER=pages$(PAGES:%=-%) scripts/run-tests long

kunit:		## unit tests on a software IOMMU, x86_64 and arm64, with KASAN (FILTER=SUITE[.CASE] ARCH=..., DEBUG=1: and lockdep and kmemleak)
	@scripts/kunit $(ARCH:%=--arch %) $(if $(DEBUG),--debug) $(if $(FILTER),'$(FILTER)')

harness:	## the SVA core as a user program against shims, with ASan and UBSan (FILTER=WORD)
	@scripts/harness $(FILTER)

fuzz:		## feed the same core arbitrary input (SECONDS=60)
	@scripts/fuzz $(SECONDS)

mutants:	## do the harness and KUnit notice when the core is wrong? (FILTER=WORD)
	@scripts/mutants $(FILTER)

coverage:	## lines and branches that KUnit and end-to-end tests execute, as HTML
	@scripts/coverage

bench:		## what page requests cost, beside the base's core and the CPU's own faults (ROUNDS=n), or where the instructions go (PROFILE=1)
	@scripts/bench

check:		## style and static checks of all files
	@scripts/check

patch:		## build/iommu-sva-6.12.patch: everything as one patch to Linux 6.12
	@scripts/make-patch

kernel:		## build the demo's kernel (an edit of one file: seconds)
	@scripts/build-kernel demo

shell:		## boot the demo's kernel with a shell on its console (leave with poweroff -f)
	@scripts/boot demo shell

setup:		## install the Debian packages that are missing (as root)
	@scripts/setup

clean:		## remove build/
	rm -rf build

distclean: clean ## remove build/ and the cache: base kernel, QEMU, copies of compiled kernels
	rm -rf "$${XDG_CACHE_HOME:-$$HOME/.cache}/iommu-sva"
