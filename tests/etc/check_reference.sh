#!/bin/bash
# What is committed is what the tables say (the reference of the directives,
# the pages' options, the completions), and the example
# lines of rowhouse.conf read back.
set -eu

: "${top_srcdir:?}" "${top_builddir:?}"
status=0
temp=$(mktemp -d /tmp/rh-XXXXXX)
trap 'rm -rf "$temp"' EXIT

# everything else is built by now
${MAKE:-make} -s -C "$top_builddir" etc/print_reference

# compare FILE COMMAND...: the file of the source is what the command prints
compare() {
	local file=$1

	shift
	"$@" >"$temp/printed"
	if ! diff -u "$top_srcdir/$file" "$temp/printed"; then
		echo "$file is not what the table says: make update-reference"
		status=1
	fi
}
compare etc/rowhouse.conf "$top_builddir/etc/print_reference" conf
compare etc/rowhouse.conf.5 "$top_builddir/etc/print_reference" man

for page in "$top_srcdir"/{fcgi/*,migrate}/*.8; do
	name=$(basename "$page" .8)
	folder=$(dirname "${page#"$top_srcdir"/}")
	program=$top_builddir/$folder/$name
	compare "$folder/$name.8" "$top_srcdir/etc/print_page.sh" "$page" "$program"
	compare "etc/completion/bash/$name" "$program" --describe bash
	compare "etc/completion/zsh/_$name" "$program" --describe zsh
done

# uncommented, it is a whole configuration
sed 's/^#\([a-z_]* = \)/\1/' "$top_srcdir/etc/rowhouse.conf" >"$temp/whole.conf"
if [ -x "$top_builddir/fcgi/api/rowhouse-fcgi" ] &&
    ! DATABASE_URL=postgresql:///x ROWHOUSE_SECRET_KEY=0123456789abcdef0123456789abcdef \
	"$top_builddir/fcgi/api/rowhouse-fcgi" -t -c "$temp/whole.conf"; then
	echo "etc/rowhouse.conf does not read back"
	status=1
fi

exit $status
