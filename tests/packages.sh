# shellcheck shell=sh
# Sourced by ./demo, ./check and the bench: installs the Debian packages that are missing.

apt() {
	DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 \
	    -o Dpkg::Use-Pty=0 "$@" </dev/null
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
	[ -n "$missing" ] || return 0
	if [ "$(id -u)" -ne 0 ]; then
		echo "Packages are missing. As root: apt-get install $missing" >&2
		exit 1
	fi
	echo "Installing: $missing"
	# The lists may be absent or old: fetch them only when that is so.
	# shellcheck disable=SC2086
	if ! apt install -y --no-install-recommends $missing >/dev/null 2>&1; then
		apt update
		apt install -y --no-install-recommends $missing >/dev/null
	fi
}

# install_missing TARGET…: the packages that these targets of the Makefile print.
install_missing() {
	# Where there is no Debian, make itself says what it lacks.
	command -v apt-get >/dev/null && command -v dpkg-query >/dev/null || return 0
	command -v make >/dev/null || install_packages make
	# shellcheck disable=SC2046
	install_packages $(make -s "$@")
}
