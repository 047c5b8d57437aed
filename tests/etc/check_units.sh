#!/bin/bash
# The units: systemd knows every directive of them, and rates their exposure
# 1.5 or less. Needs systemd's programs, not a running systemd.
set -eu

: "${top_srcdir:?}"
if ! command -v systemd-analyze >/dev/null; then
	echo "skipped: systemd-analyze is not installed"
	exit 77
fi
status=0
temp=$(mktemp -d /tmp/rh-XXXXXX)
trap 'rm -rf "$temp"' EXIT

fault() {
	echo "$*"
	status=1
}

# our programs are not installed, so something that is stands in for them
for unit in "$top_srcdir"/etc/systemd/*.{service,socket}; do
	sed 's,^\(Exec[A-Za-z]*=\)/usr/sbin/rowhouse-[a-z]*,\1/bin/true,' "$unit" \
	    >"$temp/${unit##*/}"
done
for unit in "$temp"/*; do
	said=$(systemd-analyze verify --man=no --recursive-errors=no "$unit" 2>&1) ||
	    fault "${unit##*/}: systemd-analyze verify failed"
	[ -z "$said" ] || fault "$said"
done

for unit in "$top_srcdir"/etc/systemd/*.service; do
	score=$(systemd-analyze security --offline=true "$unit" 2>&1 |
	    sed -n 's/.*exposure level for .*: \([0-9.]*\) .*/\1/p')
	echo "${unit##*/}: ${score:-not rated}"
	awk -v score="${score:-10}" 'BEGIN { exit !(score <= 1.5) }' ||
	    fault "${unit##*/} is exposed more than 1.5"
done
exit $status
