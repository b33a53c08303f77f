# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Functions that the scripts in this directory share. Sourced, not run.
#
# Convention: standard output carries a script's result (a path, a KTAP report), standard error
# the messages for a person. An error is one line that says what to do.

# shellcheck disable=SC2034
TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
BUILD=${BUILD:-$TOP/build}
CACHE=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/iommu-sva
JOBS=${JOBS:-$(nproc)}
KVER=6.12

# Arguments of our own make (V=1) are not meant for the kernel's.
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
			die "'$tool' is not installed: run 'scripts/build/setup' as root to get all that is needed"
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

# One run at a time per build directory; the lock is released when the script ends.
take_lock()
{
	make_dir "$BUILD"
	exec {lock_fd}>"$BUILD/.$1.lock"
	flock -n "$lock_fd" && return
	say "waiting for another run that holds $BUILD/.$1.lock"
	flock "$lock_fd"
}

# The number of steps that make has announced in LOG
steps_in() { grep -cE '^  [A-Z]+ +[^ ]' "$1" 2>/dev/null || true; }

# progress LOG WHAT EXPECTED: until killed, say how far the command that writes LOG is: on a terminal in
# one line, every second; elsewhere a line a minute. EXPECTED is the number of steps that the command
# took the last time, or empty.
progress()
{
	local log=$1 what=$2 expected=$3 start=$SECONDS pause=60 begin='' end=$'\n' line steps took clock

	[[ ! -t 2 ]] || pause=1 begin=$'\r' end=$'\e[K'
	# A read that times out; unlike sleep, it leaves no process behind.
	exec {clock}<> <(:)
	while ! read -rt "$pause" -u "$clock"; do
		took=$((SECONDS - start)) steps=$(steps_in "$log")
		line="$what: $took s"
		if (( steps && expected > steps )); then
			line+=", $steps of $expected steps, about $((took * (expected - steps) / steps)) s to go"
		elif (( steps )); then
			line+=", $steps steps"
		fi
		printf '%s%s%s' "$begin" "$line" "$end" >&2
	done
}

# quietly LOG WHAT CMD...: run CMD with its output in LOG; say how far it is, and show what went wrong if
# it fails.
quietly()
{
	local log=$1 what=$2 start=$SECONDS status=0 ticker steps known

	shift 2
	make_dir "$(dirname "$log")"
	: >"$log"
	known=$CACHE/steps/${log##*/}
	progress "$log" "$what" "$(cat "$known" 2>/dev/null || echo 0)" &
	ticker=$!
	"$@" >"$log" 2>&1 </dev/null || status=$?
	kill "$ticker" 2>/dev/null || true
	wait "$ticker" 2>/dev/null || true
	[[ ! -t 2 ]] || printf '\r\e[K' >&2
	if (( status )); then
		grep -E '(error:|Error [0-9]|undefined reference|No space left)' "$log" |
			head -n 20 >&2 || tail -n 20 "$log" >&2
		die "$what failed: see $log"
	fi
	say "$what: done in $((SECONDS - start)) s"
	# A build after an edit took a few steps only: its number is no estimate.
	steps=$(steps_in "$log")
	if (( 2 * steps > $(cat "$known" 2>/dev/null || echo 40) )) && mkdir -p "$CACHE/steps" 2>/dev/null; then
		echo "$steps" >"$known"
	fi
}

# not_accepted FRAGMENT CONFIG: prints the lines of FRAGMENT that CONFIG does not keep: Kconfig drops
# silently what it cannot set. What a fragment wants as a module may be built in.
not_accepted()
{
	local line

	while read -r line; do
		case $line in
		CONFIG_*=n)
			! grep -q "^${line%=n}=" "$2" || echo "$line" ;;
		CONFIG_*=m)
			grep -q "^${line%=m}=[ym]$" "$2" || echo "$line" ;;
		CONFIG_*)
			grep -qxF "$line" "$2" || echo "$line" ;;
		'# CONFIG_'*' is not set')
			line=${line#\# }
			! grep -q "^${line%% *}=" "$2" || echo "${line%% *}=n" ;;
		esac
	done <"$1"
}

# kernel_row NAME: the row of a kernel in scripts/build/kernels, as $arch, $tree, $target and $parts
kernel_row()
{
	local row like

	while read -r row arch tree target _ parts; do
		[[ $row == "$1" ]] || continue
		if [[ $parts == '= '* ]]; then
			like=${parts#= }
			parts=$(sed -n "s/^${like}[[:space:]]\+\([^[:space:]]\+[[:space:]]\+\)\{4\}//p" \
				"$TOP/scripts/build/kernels")
		fi
		return
	done < <(sed 's/#.*//' "$TOP/scripts/build/kernels")
	die "unknown kernel '$1': there are $(sed -n 's/^\([a-z][^[:space:]]*\).*/\1/p' \
		"$TOP/scripts/build/kernels" | paste -sd' ')"
}
