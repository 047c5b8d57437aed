#!/bin/bash
# The lists of contrib/debian and "make install" agree: each file belongs to
# one package, no line stands for nothing; versions and packages to build with
# are those of the tree. contrib/check-deb builds and installs the packages.
set -eu

: "${top_srcdir:?}" "${top_builddir:?}"
debian=$top_srcdir/contrib/debian
status=0
temp=$(mktemp -d /tmp/rh-XXXXXX)
trap 'rm -rf "$temp"' EXIT

fault() {
	echo "$*"
	status=1
}

# as debhelper configures it
MAKEFLAGS='' make -s -C "$top_builddir" install DESTDIR="$temp/root" prefix=/usr \
    exec_prefix=/usr sysconfdir=/etc libdir=/usr/lib/host datadir=/usr/share \
    datarootdir=/usr/share mandir=/usr/share/man docdir=/usr/share/doc/rowhouse \
    includedir=/usr/include sbindir=/usr/sbin >"$temp/log" 2>&1 || {
	cat "$temp/log"
	fault "make install failed"
}
(cd "$temp/root" && find . -type f | sed 's,^\./,,' | sort) >"$temp/installed"
[ -s "$temp/installed" ]

# claim PACKAGE: its lines are of what is installed, or of the source
claim() {
	local pattern to found

	while read -r pattern to; do
		found=$(cd "$temp/root" && compgen -G "$pattern" | xargs -r -I{} find {} -type f) || true
		if [ -n "$found" ]; then
			printf '%s\n' "$found"
		elif [ -z "$to" ] || ! (cd "$top_srcdir" && compgen -G "$pattern") >/dev/null; then
			echo "$1.install: nothing is $pattern" >>"$temp/faults"
		fi
	done <"$debian/$1.install"
}
for package in rowhouse rowhouse-dev; do
	claim "$package"
done | sort >"$temp/claimed"
[ ! -e "$temp/faults" ] || fault "$(cat "$temp/faults")"
uniq -d "$temp/claimed" >"$temp/twice"
[ ! -s "$temp/twice" ] || fault "in two packages, or two lines: $(cat "$temp/twice")"
sort -u "$temp/claimed" | diff "$temp/installed" - >"$temp/diff" ||
	fault "installed, but in no package: $(cat "$temp/diff")"

# whatever units there are
grep -qx 'etc/systemd/\* lib/systemd/system' "$debian/rowhouse.install" ||
	fault "rowhouse.install has no units"

version=$(sed -n 's/^AC_INIT(\[rowhouse\], \[\(.*\)\])$/\1/p' "$top_srcdir/configure.ac")
[ "$(sed -n '1s/^rowhouse (\(.*\)) .*/\1/p' "$debian/changelog")" = "$version" ] ||
	fault "debian/changelog is not of version $version"

# shellcheck disable=SC1091
. "$top_srcdir/contrib/packages.sh"
# shellcheck disable=SC2154	# of packages.sh
for package in "${packages_build[@]}"; do
	case $package in
	gcc | libc6-dev | make | autoconf | automake) continue ;;	# debhelper's own
	esac
	sed -n '/^Build-Depends:/,/^[A-Z].*:/p' "$debian/control" | grep -qw -- "$package" ||
		fault "debian/control: Build-Depends has no $package"
done
exit $status
