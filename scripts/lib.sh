# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What the scripts in this directory have in common. Sourced, not run.
#
# Convention: standard output carries a script's result (a path, a KTAP report), standard error
# what a person reads. An error is one line that says what to do.

# shellcheck disable=SC2034
TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
BUILD=${BUILD:-$TOP/build}
CACHE=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/iommu-sva
JOBS=${JOBS:-$(nproc)}
KVER=6.12

# What our own make was called with (V=1) is not meant for the kernel's.
unset MAKEFLAGS MFLAGS MAKELEVEL

say() { printf '%s\n' "$*" >&2; }

die()
{
	printf '%s: error: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

need_tool()
{
	local tool

	for tool; do
		command -v "$tool" >/dev/null ||
			die "'$tool' is not installed: run 'scripts/setup' as root to get all that is needed"
	done
}

# need_space DIR MB: refuse early rather than fail half way through a build.
need_space()
{
	local dir=$1 need=$2 have

	[[ -z ${IOMMU_SVA_SKIP_SPACE:-} ]] || return 0
	while [[ ! -d $dir ]]; do dir=$(dirname "$dir"); done
	have=$(df --output=avail -BM "$dir" | tail -n1 | tr -dc 0-9)
	(( have >= need )) ||
		die "$1 has $have MB free and $need MB are needed: free some space" \
		    "(or set IOMMU_SVA_SKIP_SPACE=1 to try all the same)"
}

make_dir()
{
	mkdir -p "$1" 2>/dev/null || die "cannot create $1: check its permissions and free space"
}

# One run at a time per build directory; the lock goes when the script ends.
take_lock()
{
	make_dir "$BUILD"
	exec {lock_fd}>"$BUILD/.$1.lock"
	flock -n "$lock_fd" && return
	say "waiting for another run that holds $BUILD/.$1.lock"
	flock "$lock_fd"
}

# quietly LOG WHAT CMD...: run CMD with its output in LOG; show what went wrong if it fails. On a
# terminal the time it takes runs along.
quietly()
{
	local log=$1 what=$2 start=$SECONDS ticker='' status=0

	shift 2
	make_dir "$(dirname "$log")"
	if [[ -t 2 ]]; then
		while sleep 1; do
			printf '\r%s: %d s ' "$what" $((SECONDS - start)) >&2
		done &
		ticker=$!
	fi
	"$@" >"$log" 2>&1 </dev/null || status=$?
	if [[ -n $ticker ]]; then
		kill "$ticker"
		wait "$ticker" 2>/dev/null || true
		printf '\r' >&2
	fi
	if (( status )); then
		grep -E '(error:|Error [0-9]|undefined reference|No space left)' "$log" |
			head -n 20 >&2 || tail -n 20 "$log" >&2
		die "$what failed: see $log"
	fi
	say "$what: done in $((SECONDS - start)) s"
}

# Before a kernel is built. Constant stamps and relative paths let ccache find what another run has
# compiled. Sets $ccache, what goes before the compiler's name.
use_ccache()
{
	export KBUILD_BUILD_TIMESTAMP='2024-11-17' KBUILD_BUILD_USER=sva KBUILD_BUILD_HOST=sva
	export KBUILD_BUILD_VERSION=1
	ccache=''
	command -v ccache >/dev/null || return 0
	ccache="$TOP/scripts/cached-cc "
	export CCACHE_DIR=${CCACHE_DIR:-$CACHE/ccache} CCACHE_BASEDIR=$TOP CCACHE_NOHASHDIR=1
	export CCACHE_DEPEND=1 CCACHE_MAXSIZE=${CCACHE_MAXSIZE:-4G}
}
