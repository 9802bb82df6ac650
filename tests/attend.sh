# shellcheck shell=sh
# Sourced by scripts that run long commands: a signal to the script ends the command first, in the
# command's own way, and then the script, wherever the signal came from.

# attended COMMAND…: runs a program and returns its exit status. attended_beside: the processes of
# others, which end with it.
attended_pid='' attended_beside=''
attended() {
	"$@" </dev/null &
	attended_pid=$!
	attended_status=0
	wait "$attended_pid" || attended_status=$?
	attended_pid=''
	return $attended_status
}

# attend: from now on, signals end what is attended, then this script.
attend() {
	trap 'interrupted 129' HUP
	trap 'interrupted 130' INT
	trap 'interrupted 143' TERM
}

interrupted() {
	trap '' HUP INT TERM
	for attended_one in $attended_pid $attended_beside; do kill -TERM "$attended_one" 2>/dev/null || :; done
	for attended_one in $attended_pid $attended_beside; do wait "$attended_one" 2>/dev/null || :; done
	# Under make, it is make's caller that says so.
	[ -n "${MAKELEVEL:-}" ] || echo "${0##*/}: interrupted" >&2
	exit "$1"
}
