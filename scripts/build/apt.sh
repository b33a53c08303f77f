# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Debian's archives, as this system's apt is set up. Sourced, not run.

# debian_sources ARCH: Debian's archives that this system uses, as lines of a sources.list for ARCH; with
# APT_SUITE, those of that suite, such as trixie, on the same hosts
debian_sources()
{
	local own keyring=/usr/share/keyrings/debian-archive-keyring.gpg signed='' uri codename component label

	[[ ! -f $keyring ]] || signed=" signed-by=$keyring"
	own=$(. /etc/os-release && echo "$VERSION_CODENAME")
	# shellcheck disable=SC2016
	apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT) $(LABEL)' \
		'Created-By: Packages' 2>/dev/null | LC_ALL=C sort -u |
		while read -r uri codename component label; do
			[[ $label == @(Debian|Debian-Security) && $component == main ]] || continue
			[[ -z ${APT_SUITE:-} ]] || codename=$APT_SUITE${codename#"$own"}
			echo "deb [arch=$1$signed] $uri $codename main"
		done
}

# private_apt DIR ARCH COMMAND...: apt-get for ARCH with DIR for everything that it writes, so that the
# system's apt needs no foreign architecture
private_apt()
{
	local root=$1 arch=$2

	shift 2
	mkdir -p "$root"/{lists/partial,archives/partial}
	: >"$root/status"
	debian_sources "$arch" >"$root/sources.list"
	cat >"$root/apt.conf" <<-END
		APT::Architecture "$arch";
		APT::Architectures { "$arch"; };
		APT::Sandbox::User "root";
		Dir::Etc::SourceList "$root/sources.list";
		Dir::Etc::SourceParts "-";
		Dir::State::Lists "$root/lists";
		Dir::State::Status "$root/status";
		Dir::Cache "$root";
		Acquire::Languages "none";
		Acquire::Retries "2";
		Acquire::http::Timeout "30";
	END
	APT_CONFIG=$root/apt.conf LC_ALL=C apt-get -q "$@"
}

# download_package DIR ARCH PACKAGE: leaves PACKAGE_VERSION_ARCH.deb in DIR
download_package()
(
	cd "$1" || exit
	if [[ -z ${APT_SUITE:-} && $2 == "$(dpkg --print-architecture)" ]]; then
		apt-get -q -o Acquire::Retries=2 -o Acquire::http::Timeout=30 download "$3"
	else
		private_apt "$1/apt" "$2" update --error-on=any && private_apt "$1/apt" "$2" download "$3"
	fi
)
