# SPDX-License-Identifier: GPL-2.0-only
#
# Commands for developers. scripts/ does the work, the kernel's own make builds the kernels.

# For the scripts. Make would export one that is not set as an empty one, which means something else.
$(foreach v,V JOBS LANES FILTER MACHINE PAGES ROUNDS PROFILE MINUTES SEED LIES SUSPEND UNPLUG WORKERS KERNEL,\
	$(if $($(v)),$(eval export $(v))))

.DEFAULT_GOAL := help
.PHONY: help demo test test-long test-pages torture kunit harness fuzz scale mutants verify coverage bench check patch series deb kernel shell setup clean distclean

help:		## list the targets
	@sed -n 's/^\([a-z-]*\):.*## */  \1\t/p' Makefile | expand -t 14
	@echo
	@echo '  V=1 shows the guest'\''s kernel log, JOBS=n limits parallel jobs, LANES=n suites that run side by side.'

demo:		## show a device that works in a process's own memory; installs and builds what is missing (MACHINE=vtd|amd|smmuv3)
	@scripts/test/demo

test:		## run all tests, or those of FILTER=scripts|harness|sva-check|mutants|fuzz|scale|verify|kunit|qemu|vtd|amd|smmuv3|stall|kexec|iommufd|control|consumers|torture-short, FILTER=vtd/CASE
	@scripts/test/run-tests

test-long:	## suites that take hours: rounds of storm (ROUNDS=n), pages of 16 and 64 KiB, other models, all mutants, coverage (FILTER=storm|hangs|pages|models|la57|seed|stop|slots|control-amd|series|torture|programs|verify-all|mutants-all|mutants-qemu|mutants-machines|mutants-torture|sva-check-guest|deb|coverage)
	@scripts/test/run-tests long

test-pages:	## the end-to-end tests on SMMUv3 with pages of 16 and of 64 KiB (PAGES=16k or 64k: one of them)
	@FILTER=pages$(PAGES:%=-%) scripts/test/run-tests long

torture:	## all that processes and machines do to memory, at random, beside DMA that is verified (MACHINE=soft|vtd|la57|amd|smmuv3|stall MINUTES=n SEED=n LIES=1 SUSPEND=1 UNPLUG=1 KERNEL=kcsan)
	@scripts/test/torture

kunit:		## unit tests on a software IOMMU, x86_64 and arm64, with KASAN (FILTER=SUITE[.CASE] ARCH=..., DEBUG=1: lockdep and kmemleak, too)
	@scripts/test/kunit $(ARCH:%=--arch %) $(if $(DEBUG),--debug) $(if $(FILTER),'$(FILTER)')

harness:	## the SVA core as a user program against shims, with ASan and UBSan (FILTER=WORD)
	@scripts/test/harness $(FILTER)

fuzz:		## feed the same core arbitrary input (SECONDS=60)
	@scripts/test/fuzz $(SECONDS)

scale:		## which locks do 10,000 processes on 64 simulated CPUs share, counted
	@scripts/test/scale

mutants:	## do the harness and KUnit fail when the core is wrong? (FILTER=WORD)
	@scripts/test/mutants $(FILTER)

verify:		## check the models of the core with Spin: all searches, all mistakes (FILTER=WORD)
	@scripts/build/setup verify
	@scripts/test/verify -l $(FILTER)

coverage:	## lines and branches that KUnit and end-to-end tests execute, as HTML
	@scripts/test/coverage

bench:		## measure what page requests cost, beside the base's core and the CPU's own faults (ROUNDS=n), or count their instructions by function (PROFILE=1)
	@scripts/bench/bench

check:		## style and static checks of all files
	@scripts/check/check

patch:		## build/iommu-sva-6.12.patch: everything as one patch to Linux 6.12
	@scripts/build/make-patch

series:		## build/series: the same as a 'git am'-able mailbox and a quilt directory, a concern a patch; product and tests apart
	@scripts/build/make-series

deb:		## build/deb: the kernel as Debian packages, of Debian's own configuration (CONFIG=FILE: of that one, ARCH=arm64)
	@CONFIG='$(CONFIG)' ARCH='$(ARCH)' scripts/build/make-deb

kernel:		## build the demo's kernel (an edit of one file: seconds)
	@scripts/build/build-kernel demo

shell:		## boot the demo's kernel with a shell on its console (leave with poweroff -f)
	@scripts/test/boot demo shell

setup:		## install the Debian packages that are missing (as root)
	@scripts/build/setup

clean:		## remove build/
	rm -rf build

distclean: clean ## remove build/ and the cache: base kernel, QEMU, copies of compiled kernels
	rm -rf "$${XDG_CACHE_HOME:-$$HOME/.cache}/iommu-sva"
