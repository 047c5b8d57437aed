# packages.sh - what Debian 12 has to have, in one place; sourced by quickstart
# and by check, which set $sudo and define say and fail.
# shellcheck shell=bash disable=SC2034

# configure asks for these; "check" too, for its tests are built on demand
packages_build=(
	gcc libc6-dev make autoconf automake pkg-config
	libfcgi-dev libpq-dev libhiredis-dev libjson-c-dev libcurl4-openssl-dev libssl-dev
	libargon2-dev libcbor-dev libconfuse-dev libmicrohttpd-dev zlib1g-dev check
)
packages_run=(postgresql postgresql-client curl util-linux)
packages_nginx=(nginx)
packages_apache=(apache2-bin)
packages_redis=(redis-server)
# for the scripts deb and check-deb
packages_deb=(debhelper dpkg-dev)
packages_check_deb=(lintian debootstrap util-linux iproute2)
packages_test=(
	postgresql postgresql-client pgbouncer nginx apache2-bin haproxy redis-server curl jq
	python3 python3-prometheus-client protobuf-compiler prometheus procps util-linux xz-utils
	systemd spawn-fcgi libapache2-mod-fcgid groff-base zsh chromium fonts-dejavu-core
)

package_is_there() {
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# Names those of its arguments that are missing.
packages_missing() {
	local p
	for p in "$@"; do
		package_is_there "$p" || printf '%s\n' "$p"
	done
}

# Installs those of its arguments that are missing. Debian's services are
# neither started now nor enabled for the next boot, and no PostgreSQL cluster
# is made: what we run, we run ourselves.
packages_install() {
	local missing p

	if ! command -v dpkg-query >/dev/null; then
		say "This is no Debian: what is missing will show itself"
		return 0
	fi
	mapfile -t missing < <(packages_missing "$@" | sort -u)
	[ "${#missing[@]}" -gt 0 ] || return 0
	if [ "$(id -u)" -ne 0 ] && [ -z "$sudo" ]; then
		fail "packages are missing; as root: apt-get install --no-install-recommends ${missing[*]}"
	fi
	say "Installing packages: ${missing[*]}"
	for p in "${missing[@]}"; do
		if ! apt-cache show "$p" >/dev/null 2>&1; then
			packages_update
			break
		fi
	done
	packages_quiet_services
	packages_apt "${missing[@]}" || {
		packages_update		# the lists may name what is gone
		packages_apt "${missing[@]}"
	} || { packages_loud_services; fail "apt-get could not install them; see above"; }
	packages_loud_services
	packages_disable "${missing[@]}"
}

# A mirror may be slow to answer, and a timer of the system's hold the lock.
packages_patience=(-o Acquire::Retries=3 -o DPkg::Lock::Timeout=300)

packages_update() {
	$sudo apt-get -qq "${packages_patience[@]}" update ||
	    fail "apt-get update failed; see above"
}

# apt's chatter shows only where it fails.
packages_apt() {
	local said

	if ! said=$(packages_apt_get "$@" 2>&1); then
		printf '%s\n' "$said" | tail -n 30 >&2
		return 1
	fi
}

packages_apt_get() {
	$sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq -y \
	    "${packages_patience[@]}" -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-confold \
	    --no-install-recommends install "$@" </dev/null
}

packages_policy=
packages_quiet_services() {
	if [ ! -e /usr/sbin/policy-rc.d ]; then
		printf '#!/bin/sh\nexit 101\n' |
		    $sudo tee /usr/sbin/policy-rc.d >/dev/null
		$sudo chmod 755 /usr/sbin/policy-rc.d
		packages_policy=ours
	fi
	$sudo mkdir -p /etc/postgresql-common/createcluster.d
	echo 'create_main_cluster = false' |
	    $sudo tee /etc/postgresql-common/createcluster.d/rowhouse.conf >/dev/null
}

packages_loud_services() {
	[ -z "$packages_policy" ] || $sudo rm -f /usr/sbin/policy-rc.d
	$sudo rm -f /etc/postgresql-common/createcluster.d/rowhouse.conf
	packages_policy=
}

packages_disable() {
	local p
	command -v systemctl >/dev/null || return 0
	for p in "$@"; do
		case $p in
		postgresql | nginx | haproxy | redis-server | prometheus)
			$sudo systemctl disable --quiet "$p" 2>/dev/null || true ;;
		esac
	done
}
