#!/bin/bash
# The committed reference is what the table of directives says, and the example
# lines of rowhouse.conf read back.
set -eu

: "${top_srcdir:?}" "${top_builddir:?}"
status=0
temp=$(mktemp -d /tmp/rh-XXXXXX)
trap 'rm -rf "$temp"' EXIT

# everything else is built by now
${MAKE:-make} -s -C "$top_builddir" etc/print_reference

compare() {
	"$top_builddir/etc/print_reference" "$1" >"$temp/$2"
	if ! diff -u "$top_srcdir/etc/$2" "$temp/$2"; then
		echo "etc/$2 is not what the table says: make update-reference"
		status=1
	fi
}
compare conf rowhouse.conf
compare man rowhouse.conf.5

# uncommented, it is a whole configuration
sed 's/^#\([a-z_]* = \)/\1/' "$top_srcdir/etc/rowhouse.conf" >"$temp/whole.conf"
if [ -x "$top_builddir/fcgi/api/rowhouse-fcgi" ] &&
    ! DATABASE_URL=postgresql:///x ROWHOUSE_SECRET_KEY=0123456789abcdef0123456789abcdef \
	"$top_builddir/fcgi/api/rowhouse-fcgi" -t -c "$temp/whole.conf"; then
	echo "etc/rowhouse.conf does not read back"
	status=1
fi

exit $status
