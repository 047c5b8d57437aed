#!/bin/sh
# print_page.sh PAGE PROGRAM: the manual page, with what the program's tables
# say between its two marks. "make update-reference" writes it back.
set -eu

"$2" --describe man | awk -v page="$1" '
{ printed = printed $0 "\n" }
END {
	while ((getline line < page) > 0) {
		if (line ~ /^\.\\" end of what is printed/)
			inside = 0
		if (!inside)
			print line
		if (line ~ /^\.\\" printed from the tables/) {
			printf "%s", printed
			inside = 1
			marks++
		}
	}
	exit marks != 1 || inside
}'
