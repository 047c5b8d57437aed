#!/bin/bash
# Each header that is installed stands alone, without config.h.
set -eu

src=${top_srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
build=${top_builddir:-$src}
temp=$(mktemp -d /tmp/rh-headers-XXXXXX)
trap 'rm -rf "$temp"' EXIT

value() {
	# shellcheck disable=SC2016 # make expands it
	printf 'include Makefile\nrh-print:\n\t@printf "%%s\\n" "$(%s)"\n' "$1" |
	    MAKEFLAGS='' make -s --no-print-directory -C "$build" -f - rh-print
}

cc=$(value CC)
headers=$(value installed_headers)
[ "$(echo "$headers" | wc -w)" -gt 30 ]
for header in $headers; do
	echo "#include \"${header#lib/}\"" >"$temp/alone.c"
	# shellcheck disable=SC2086 # CC may be words
	$cc -std=gnu11 -Wall -Wextra -Werror -fsyntax-only -I"$src/lib" "$temp/alone.c"
	# what it includes has to be installed, too
	sed -nE 's,^#include "([^"]*)".*,lib/\1,p' "$src/$header" | while read -r other; do
		case " $headers " in
		*" $other "*) ;;
		*) echo "$header includes $other, which is not installed" >&2; exit 1 ;;
		esac
	done
done
