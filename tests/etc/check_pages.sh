#!/bin/bash
# Each program has a manual page; each page renders without a warning, has the
# sections a reader looks for, and every option and command of its program.
set -eu

: "${top_srcdir:?}" "${top_builddir:?}"
status=0
temp=$(mktemp -d /tmp/rh-XXXXXX)
trap 'rm -rf "$temp"' EXIT

fault() {
	echo "$*"
	status=1
}

command -v groff >/dev/null || { echo "groff is not installed"; exit 77; }

# render PAGE: as text without bold, underline and broken lines
render() {
	groff -mandoc -Tutf8 -P-c -rLL=200n -ww "$1" 2>"$temp/warnings" |
	    sed 's/.\x08//g'
	if [ -s "$temp/warnings" ]; then
		cat "$temp/warnings"
		return 1
	fi
}

# sections PAGE NAME...
sections() {
	local page=$1 name

	shift
	for name in "$@"; do
		grep -qx "$name" "$temp/page" || fault "$page has no $name"
	done
}

# a value of the build's Makefile
value() {
	# shellcheck disable=SC2016 # make expands it
	printf 'include Makefile\nrh-print:\n\t@printf "%%s\\n" "$(%s)"\n' "$1" |
	    MAKEFLAGS='' make -s --no-print-directory -C "$top_builddir" -f - rh-print
}

for program in $(value sbin_PROGRAMS); do
	page=$program.8
	render "$top_srcdir/$page" >"$temp/page" || fault "$page does not render"
	sections "$page" NAME SYNOPSIS DESCRIPTION OPTIONS FILES 'EXIT STATUS' \
	    EXAMPLES 'SEE ALSO'
	"$top_builddir/$program" -h >"$temp/usage"
	while read -r option; do
		grep -qE -- "^ +$option( |\$)" "$temp/page" ||
			fault "$page says nothing of $option"
	done < <(sed -nE 's/^ +(-[^ ]+) .*/\1/p; s/^  ([a-z]+)( [A-Z]+)?$/\1/p' "$temp/usage")
	[ "$(grep -c '^ *-' "$temp/usage")" -ge 5 ] || fault "$program -h: no options"
done

render "$top_srcdir/etc/rowhouse.conf.5" >"$temp/page" ||
	fault "rowhouse.conf.5 does not render"
sections rowhouse.conf.5 NAME DESCRIPTION DIRECTIVES ENVIRONMENT FILES 'SEE ALSO'
while read -r directive; do
	grep -qE "^ +$directive = " "$temp/page" ||
		fault "rowhouse.conf.5 says nothing of $directive"
done < <(sed -nE 's/^#?([a-z_]+) = .*/\1/p' "$top_srcdir/etc/rowhouse.conf")
exit $status
