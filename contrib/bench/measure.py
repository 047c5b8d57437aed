"""One run of wrk or pgbench, and the CPU that each of the parts took over it."""

import os
import re
import resource
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))
HZ = os.sysconf("SC_CLK_TCK")
CORES = os.cpu_count()
NOISE_MAX, STEAL_MAX = 0.06, 0.03	# shares of the machine


def _ran(pid):
    """Seconds that its threads have run. /proc/PID/stat has whole ticks alone:
    of 144 processes that share a core, it knows nothing."""
    ns = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as f:
            ns += int(f.read().split()[0])
    return ns / 1e9


def processes():
    """pid: (parent, own seconds, seconds of children that it has reaped)"""
    found = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as f:
                stat = f.read()
            ran = _ran(name)
        except OSError:
            continue
        v = stat[stat.rindex(")") + 2:].split()
        found[int(name)] = (int(v[1]), ran, (int(v[13]) + int(v[14])) / HZ)
    return found


def tree(found, root):
    """root and whatever stands below it."""
    below = {}
    for pid, (parent, _, _) in found.items():
        below.setdefault(parent, []).append(pid)
    pids, todo = [], [root] if root in found else []
    while todo:
        pids.append(todo.pop())
        todo += below.get(pids[-1], [])
    return pids


def _seconds(found, root):
    return sum(found[p][1] + found[p][2] for p in tree(found, root))


def machine():
    """Seconds that the machine was busy, and that it was not given."""
    with open("/proc/stat", encoding="ascii") as f:
        v = [int(x) for x in f.readline().split()[1:]]
    return (sum(v[:3]) + sum(v[5:7])) / HZ, v[7] / HZ


def pss_kib(root):
    """Of all the processes together: what they share counts once."""
    total = 0
    for pid in tree(processes(), root):
        try:
            with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
                total += sum(int(line.split()[1]) for line in f
                             if line.startswith("Pss:"))
        except OSError:
            pass
    return total


def quiet(patience):
    """Waits, for so many seconds at most, until others use less than 8 %."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        busy = machine()[0]
        time.sleep(0.5)
        if (machine()[0] - busy) / 0.5 / CORES < 0.08:
            return


def run_wrk(url, requests, conns, secs):
    """A load: count, requests/s, errors and latencies in ms."""
    done = subprocess.run(
        ["wrk", "-t2", f"-c{conns}", f"-d{secs}s", "--timeout", "5s", "-s",
         f"{HERE}/requests.lua", url], env={**os.environ, "REQUESTS": requests},
        capture_output=True, text=True, check=True, timeout=secs + 30)
    m = re.search(r"^RESULT (.*)$", done.stdout, re.M)
    n, us, errors, size, p50, p99, top = (int(x) for x in m.group(1).split())
    return {"n": n, "rps": n * 1e6 / us, "errors": errors,
            "bytes": size // max(n, 1), "p50": p50 / 1e3, "p99": p99 / 1e3,
            "max": top / 1e3}


def run_pgbench(cluster, script, clients, secs):
    """The same of a script of statements."""
    done = subprocess.run(
        [f"{cluster.bin}/pgbench", "-n", "-M", "prepared", "-f", script, "-c",
         str(clients), "-j", "2", "-T", str(secs), "-h", cluster.dir, "-U",
         "rowhouse_app", "rowhouse"], capture_output=True, text=True, check=False,
        timeout=secs + 30)
    time.sleep(0.2)	# a backend that ends while /proc is read would be counted nowhere
    rate = re.search(r"tps = ([0-9.]+)", done.stdout)
    if done.returncode or not rate:
        raise AssertionError(f"pgbench: {done.stderr[-2000:]}")
    rps = float(rate.group(1))
    mean = float(re.search(r"latency average = ([0-9.]+)", done.stdout).group(1))
    return {"n": round(rps * secs), "rps": rps, "errors": 0, "bytes": 0,
            "p50": mean, "p99": 0, "max": 0}


def measure(load, roots, patience):
    """load() is run once. roots: part to the pid of its first process. CPU is
    in microseconds a request; "other" is the share of the machine that none
    of the parts had."""
    quiet(patience)
    before, (busy, steal), t = processes(), machine(), time.monotonic()
    own = resource.getrusage(resource.RUSAGE_CHILDREN)
    row = load()
    after, (busy2, steal2), t = processes(), machine(), time.monotonic() - t
    own2 = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = {part: _seconds(after, root) - _seconds(before, root)
           for part, root in roots.items()}
    cpu["client"] = (own2.ru_utime + own2.ru_stime - own.ru_utime - own.ru_stime)
    row["cpu_us"] = {part: s * 1e6 / max(row["n"], 1) for part, s in cpu.items()}
    row["other"] = (busy2 - busy - sum(cpu.values())) / t / CORES
    row["steal"] = (steal2 - steal) / t / CORES
    row["clean"] = row["other"] <= NOISE_MAX and row["steal"] <= STEAL_MAX
    row["pss_kib"] = pss_kib(roots["app"]) if "app" in roots else 0
    return row
