#!/bin/sh
# setup.sh COMMAND=PACKAGE... installs the Debian packages whose command (or file, if it
# begins with a slash) is missing. It says what it does, prints the command instead where
# it may not, and does nothing when nothing is missing.
set -eu
PATH=$PATH:/usr/sbin:/sbin

missing=
for pair; do
	command=${pair%%=*} package=${pair#*=}
	case $command in
	/*) [ -e "$command" ] && continue ;;
	*) command -v "$command" >/dev/null && continue ;;
	esac
	missing="$missing $package"
done
[ -n "$missing" ] || exit 0

install="apt-get install --yes --no-install-recommends$missing"
if ! command -v apt-get >/dev/null; then
	echo "setup: this machine has no apt-get; install what provides:$missing" >&2
	exit 1
fi
if [ "$(id -u)" = 0 ]; then
	as=
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
	as="sudo -n"
else
	echo "setup: not root, so please run: sudo apt-get update && sudo $install" >&2
	exit 1
fi
echo "setup: installing$missing"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
for step in "apt-get update" "$install"; do
	if ! $as $step >"$log" 2>&1; then
		cat "$log" >&2
		echo "setup: failed: ${as:+$as }$step" >&2
		exit 1
	fi
done
