# shellcheck shell=sh
# Sourced by ./demo, ./check and the bench, after tests/attend.sh: installs the Debian packages
# that are missing.

# What apt says goes to $apt_log: this script's own output is where it answers signals.
apt_log=/dev/null
# shellcheck disable=SC2016
apt='log=$1 && shift && exec apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@" >>"$log" 2>&1'
export DEBIAN_FRONTEND=noninteractive

apt_update() {
	attended sh -c "$apt" sh "$apt_log" update
}

# apt_install ARGUMENT…: waits for others that hold apt's lock. Fetching may be interrupted;
# unpacking may not, or dpkg would be left half done.
apt_install() {
	attended sh -c "$apt" sh "$apt_log" -y --no-install-recommends install --download-only "$@" &&
	    (trap '' HUP INT TERM && sh -c "$apt" sh "$apt_log" -y --no-install-recommends install "$@" </dev/null)
}

# The arguments that are not installed.
not_installed() {
	for package in "$@"; do
		case $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) in
		installed) ;;
		*) printf '%s ' "$package" ;;
		esac
	done
}

# install_packages NAME…: what is missing of them; as root only.
install_packages() {
	missing=$(not_installed "$@")
	missing=${missing% }
	[ -n "$missing" ] || return 0
	if [ "$(id -u)" -ne 0 ]; then
		echo "Packages are missing. As root: apt-get install $missing" >&2
		exit 1
	fi
	echo "Installing: $missing"
	apt_log=$(mktemp)
	trap 'rm -f "$apt_log"' EXIT
	# The lists may be absent or old: fetch them only when that is so.
	# shellcheck disable=SC2086
	apt_install $missing || { : >"$apt_log" && apt_update && apt_install $missing; } || {
		cat "$apt_log" >&2
		echo "${0##*/}: cannot install: $missing" >&2
		exit 1
	}
	rm -f "$apt_log"
	trap - EXIT
	apt_log=/dev/null
}

# install_missing TARGET…: the packages that these targets of the Makefile print.
install_missing() {
	# Where there is no Debian, make itself says what it lacks.
	command -v apt-get >/dev/null && command -v dpkg-query >/dev/null || return 0
	command -v make >/dev/null || install_packages make
	# shellcheck disable=SC2046
	install_packages $(make -s "$@")
}
