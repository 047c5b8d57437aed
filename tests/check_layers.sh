#!/bin/bash
# The layers: each archive, linked whole, needs none but those below it; a
# foreign header stays in its one file; no include points upward.
set -eu

src=${top_srcdir:-$(cd "$(dirname "$0")/.." && pwd)}
build=${top_builddir:-$src}
temp=$(mktemp -d /tmp/rh-layers-XXXXXX)
trap 'rm -rf "$temp"' EXIT
faults=0

fault() {
	echo "check_layers: $*" >&2
	faults=$((faults + 1))
}

# layer: what it may include, and be linked against (DESIGN, section 2)
layers='base:
obs: base
data: base obs
jobs: base obs data
http: base obs
tenancy: base obs data http
serve: base obs data jobs http tenancy'

# A variable of the Makefile, expanded: the *_LIBS lines are what programs use.
value() {
	# shellcheck disable=SC2016 # make expands it
	printf 'include Makefile\nrh-print:\n\t@printf "%%s\\n" "$(%s)"\n' "$1" |
	    MAKEFLAGS='' make -s --no-print-directory -C "$build" -f - rh-print
}

cc=$(value CC)
flags="$(value RH_CFLAGS) $(value CFLAGS)"
ldflags="$(value RH_LDFLAGS) $(value LDFLAGS)"

# link LAYER MORE...: the layer's archive whole, and what its line names
# shellcheck disable=SC2086 # flags are words
link_whole() {
	local libs own
	libs=$(value "$(echo "$1" | tr '[:lower:]' '[:upper:]')_LIBS")
	own=lib/$1/librh_$1.a
	shift
	(cd "$build" && $cc $flags $ldflags -o "$temp/out" "$temp/main.o" "$@" \
	    -Wl,--whole-archive "$own" -Wl,--no-whole-archive $libs) \
	    2>"$temp/errors"
}

# shellcheck disable=SC2086
compile() {
	$cc $flags -c -o "$temp/$1.o" "$temp/$1.c"
}

echo 'int main(void);int main(void){return 0;}' >"$temp/main.c"
compile main

while IFS=: read -r layer below; do
	archives=$(value "$(echo "$layer" | tr '[:lower:]' '[:upper:]')_LIBS" |
	    tr ' ' '\n' | sed -n 's,^lib/\([a-z]*\)/librh_.*\.a$,\1,p' | sort -u | xargs)
	# shellcheck disable=SC2086 # a list of layers
	wanted=$(printf '%s\n' "$layer" $below | sort -u | xargs)
	[ "$archives" = "$wanted" ] ||
		fault "$layer is linked against: $archives; it may be: $wanted"
	link_whole "$layer" || {
		fault "$layer needs what is not below it:"
		grep -m5 'undefined reference' "$temp/errors" >&2 || cat "$temp/errors" >&2
	}
	others=$(sed -nE 's,^#include "([a-z_]+)/[^"]*".*,\1,p' \
	    "$src/lib/$layer"/*.[ch] | sort -u)
	for other in $others; do
		case " $layer $below " in
		*" $other "*) ;;
		*) fault "lib/$layer includes $other/" ;;
		esac
	done
done <<<"$layers"

# The check itself: a call upward has to be seen.
cat >"$temp/upward.c" <<'END'
extern void rh_router_new(void);
extern void upward(void);
void upward(void) { rh_router_new(); }
END
compile upward
if link_whole data "$temp/upward.o"; then
	fault "a call from data to http went unnoticed"
elif ! grep -q 'undefined reference.*rh_router_new' "$temp/errors"; then
	fault "linking failed for another reason: $(head -3 "$temp/errors")"
fi
link_whole http "$temp/upward.o" ||
	fault "the same call from beside http did not link"

# header: the files that may include it
foreign='libpq-fe.h: lib/data/pg.c lib/data/pg_cancel.c lib/data/pg_hold.c lib/data/pg_row.c lib/data/pipe.c lib/data/pipe_send.c migrate/db.c
json: lib/http/json_read.c
curl/: lib/jobs/out.c lib/obs/otlp_post.c
fcgi: lib/http/fcgx.c
confuse.h: lib/base/conf_statement.c
microhttpd.h: fcgi/exporter/server.c
openssl/: lib/base/crypto.c
argon2.h: lib/tenancy/password.c
zlib.h: lib/base/crypto.c lib/obs/otlp_ship.c fcgi/exporter/squeeze.c
hiredis: lib/data/redis_reader.c
cbor: lib/data/cbor.c'
while IFS=: read -r header allowed; do
	found=$(cd "$src" && grep -rlE --include='*.[ch]' "^#include <$header" \
	    lib fcgi migrate | sort | xargs)
	# shellcheck disable=SC2086 # a list of files
	wanted=$(printf '%s\n' $allowed | sort | xargs)
	[ "$found" = "$wanted" ] || fault "<$header> is in: $found; it may be: $wanted"
done <<<"$foreign"

[ "$faults" = 0 ]
