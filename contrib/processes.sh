# processes.sh - the services of a quickstart: started apart from the terminal,
# known by pid, start time and boot, ended for certain; sourced by quickstart,
# which sets $home, $user, $me, the ports, and defines as_user, say and fail.
# shellcheck shell=bash
# shellcheck disable=SC2154

services=(postgres redis fcgi jobs exporter web)	# in the order of their start
started=()					# by this run
stopped=0

identity() {
	local stat

	stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
	# shellcheck disable=SC2086
	set -- ${stat##*) }
	[ "$1" != Z ] || return 1
	printf '%s %s\n' "${20}" "$(cat /proc/sys/kernel/random/boot_id)"
}

# pid_of SERVICE: its pid if it runs, else nothing and 1.
pid_of() {
	local pid is spec

	{ read -r pid spec; read -r is; } 2>/dev/null <"$home/pids/$1" || return 1
	[ -n "$is" ] && [ "$is" = "$(identity "$pid")" ] || return 1
	: "$spec"
	echo "$pid"
}

spec_of() {
	local pid spec

	read -r pid spec 2>/dev/null <"$home/pids/$1" || return 0
	: "$pid"
	echo "$spec"
}

# orphans SERVICE: what a leader that is dead has left in its session, such as
# nginx's workers. The system gives its pid to nobody while they are there.
orphans() {
	local leader spec is stat pid

	{ read -r leader spec; read -r is; } 2>/dev/null <"$home/pids/$1" || return 0
	: "$spec"
	[ "${is##* }" = "$(cat /proc/sys/kernel/random/boot_id)" ] || return 0
	! identity "$leader" >/dev/null || return 0
	for stat in /proc/[0-9]*/stat; do
		pid=${stat#/proc/}
		pid=${pid%/stat}
		# shellcheck disable=SC2046
		set -- $(sed 's/^.*) //' "$stat" 2>/dev/null)
		if [ "${4:-}" = "$leader" ] && [ "$1" != Z ] &&
		    [ "$(stat -c %U "/proc/$pid" 2>/dev/null)" = "$user" ]; then
			echo "$pid"
		fi
	done
}

# launch SERVICE LOG COMMAND...: in a session of its own, away from the
# terminal. One that runs already with the same command, program and
# configuration is left alone.
launch() {
	local service=$1 log=$home/log/$2 spec pid

	shift 2
	spec=$({ printf '%s\n' "$@"; stat -Lc '%i %Y' "$(command -v "$1")"
	    cat "$home/conf/$service"* 2>/dev/null
	    case $service in fcgi | jobs) env | grep '^OTEL_' | sort ;; esac; } | cksum | tr ' ' -)
	if pid=$(pid_of "$service"); then
		[ "$(spec_of "$service")" != "$spec" ] || { say "$service runs already, pid $pid"; return 0; }
		say "Restarting $service: it changed"
		stop_one "$service"
	fi
	case $service in
	web) port_is_free "$port" || fail "port $port is taken: stop who has it, or set ROWHOUSE_PORT" ;;
	exporter) port_is_free "$exporter_port" || fail "port $exporter_port is taken: stop who has it, or set ROWHOUSE_EXPORTER_PORT" ;;
	esac
	as_user touch "$log"
	(
		cd "$home" || exit
		if [ "$user" = "$me" ]; then exec setsid "$@"; fi
		exec setsid setpriv --reuid "$user" --regid "$(id -g "$user")" \
		    --init-groups --no-new-privs "$@"
	) </dev/null >>"$log" 2>&1 8>&- &
	pid=$!
	started+=("$service")
	printf '%s %s\n%s\n' "$pid" "$spec" "$(identity "$pid")" |
	    as_user tee "$home/pids/$service" >/dev/null
}

port_is_free() {
	! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# await SERVICE LOG SECONDS COMMAND...: until the command succeeds.
await() {
	local service=$1 log=$home/log/$2 end=$((SECONDS + $3))

	shift 3
	until "$@" >/dev/null 2>&1; do
		if ! pid_of "$service" >/dev/null; then
			tail -n 20 "$log" >&2
			fail "$service ended; its last words are above, all of them in $log"
		fi
		if [ $SECONDS -ge $end ]; then
			tail -n 20 "$log" >&2
			fail "$service does not answer; see $log"
		fi
		sleep 0.05
	done
}

gone() {
	local tries=$(($2 * 20))

	while [ $tries -gt 0 ]; do
		[ "$(identity "$1")" = "$3" ] || return 0
		sleep 0.05
		tries=$((tries - 1))
	done
	return 1
}

# stop_one SERVICE: asks, waits, then kills it and what it left.
stop_one() {
	local service=$1 pid is signal=TERM wait=10 rest

	if pid=$(pid_of "$service"); then
		is=$(identity "$pid")
		case $service in
		postgres) signal=INT wait=30 ;;		# cut sessions, then a checkpoint
		fcgi | jobs) wait=40 ;;			# shutdown_grace and some
		esac
		kill -s $signal "$pid" 2>/dev/null || true
		if ! gone "$pid" $wait "$is"; then
			say "$service did not end within $wait s: killed"
			kill -s KILL "$pid" 2>/dev/null || true
			gone "$pid" 5 "$is" || true
		fi
		stopped=$((stopped + 1))
	fi
	mapfile -t rest < <(orphans "$service")
	[ "${#rest[@]}" -eq 0 ] || kill -s KILL "${rest[@]}" 2>/dev/null || true
	rm -f "$home/pids/$service"
}

# A service that died is not only started again: what it left goes first.
clear_dead() {
	local service

	for service in "${services[@]}"; do
		if [ -e "$home/pids/$service" ] && ! pid_of "$service" >/dev/null; then
			say "$service has died"
			stop_one "$service"
		fi
	done
}

stop_all() {
	local i

	for ((i = ${#services[@]} - 1; i >= 0; i--)); do
		stop_one "${services[i]}"
	done
}

# What this run started does not outlive its failure.
on_exit() {
	local status=$? i

	if [ $status -ne 0 ]; then
		for ((i = ${#started[@]} - 1; i >= 0; i--)); do
			stop_one "${started[i]}"
		done
	fi
}
