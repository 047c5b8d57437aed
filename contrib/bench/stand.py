"""What is measured and what stands around it: cluster, pools, nginx, sink."""

import glob
import hashlib
import os
import shutil
import subprocess

from harness.client import Client
from harness.places import SOURCE, free_port, program, system
from harness.pool import SECRET_KEY, environment, migrate, write_conf
from harness.postgres import Postgres, _has_user, bin_dir
from harness.proc import Daemon, wait_until
from harness.redis import Redis
from harness.web import snippet

import seed

HERE = os.path.dirname(os.path.abspath(__file__))
# Settings under which other stacks were measured on the same tables and load.
CLUSTER = {
    "fsync": "on", "full_page_writes": "on", "synchronous_commit": "on",
    "autovacuum": "off", "jit": "off", "shared_buffers": "1GB",
    "max_wal_size": "8GB", "checkpoint_timeout": "1h", "wal_level": "replica",
    "max_wal_senders": 10, "max_connections": 200,
    "max_parallel_workers_per_gather": 0,
}
OFF = {"logs": False, "metrics": False, "traces": False}


def ask(port, method, path, token=None):
    with Client(port) as c:
        return c.request(method, path, token)


class Cluster(Postgres):
    """PostgreSQL in $BENCH_HOME/pg. What was seeded stays for the next run."""

    def __init__(self, home):
        # pylint: disable=super-init-not-called
        self.home = home
        self.bin = bin_dir()
        self.dir = f"{home}/pg"
        self.data = f"{self.dir}/data"
        self.user = None
        if os.geteuid() == 0:
            self.user = next(u for u in ("postgres", "nobody") if _has_user(u))
        self.daemon = None
        if self._seeded_as() != self._wanted():
            self._make()
        else:
            self.start()

    def _wanted(self):
        """A seeding's fingerprint: what is made of other files is made again."""
        h = hashlib.sha256(repr(CLUSTER).encode())
        for name in (f"{HERE}/seed.sql", f"{HERE}/seed.py",
                     f"{SOURCE}/etc/postgresql/roles.sql",
                     *sorted(glob.glob(f"{SOURCE}/migrate/sql/*.up.sql"))):
            with open(name, "rb") as f:
                h.update(f.read())
        return h.hexdigest()

    def _seeded_as(self):
        try:
            with open(f"{self.dir}/seeded", encoding="ascii") as f:
                return f.read()
        except OSError:
            return None

    def _make(self):
        print("bench: making a cluster and seeding it (half a minute)", flush=True)
        shutil.rmtree(self.dir, ignore_errors=True)
        os.makedirs(self.dir)
        if self.user:
            shutil.chown(self.dir, self.user)
        self._init(CLUSTER)
        self.start()
        self.psql_file(f"{SOURCE}/etc/postgresql/roles.sql")
        conf = f"{self.home}/migrate.conf"
        write_conf(conf, {"secret_key": SECRET_KEY, "database_url": self.app_url,
                          "admin_database_url": self.admin_url})
        migrate(conf, "up", temp=self.home)
        seed.seed(self)
        with open(f"{self.dir}/seeded", "w", encoding="ascii") as f:
            f.write(self._wanted())

    def tidy(self):
        """As it was seeded: what W4 has written goes."""
        self.query("truncate outbox_events")
        self.query("delete from tasks where created_at > '2026-01-01'")
        self.query("vacuum tasks")
        self.query("checkpoint")

    def close(self):
        if self.daemon and self.daemon.alive():
            self.stop()


class Pool:
    """rowhouse-fcgi with its lines in a file of tmpfs."""

    def __init__(self, stand, name, log=None, **settings):
        self.name, self.dir = name, f"{stand.home}/{name}"
        os.makedirs(self.dir, exist_ok=True)
        self.socket = f"{self.dir}/sock"
        self.log = log or f"{stand.logs}/{name}.log"
        # The limiter decides about every request and refuses none.
        self.settings = {
            "listen": f"unix:{self.socket}", "listen_mode": "0666",
            "segment": f"{stand.logs}/{name}.segment",
            "database_url": stand.cluster.app_url, "secret_key": SECRET_KEY,
            "limits": True, "limit_tenant": 100000000, "limit_token": 100000000,
            "trace_ratio": 0.1,
            "otlp_endpoint": f"http://127.0.0.1:{stand.sink_port}", **settings}
        write_conf(f"{self.dir}/conf", self.settings)
        self.daemon = None

    @property
    def pid(self):
        return self.daemon.pid

    def start(self):
        with open(self.log, "ab") as out:
            os.truncate(self.log, 0)
            self.daemon = Daemon(
                [program("rowhouse-fcgi"), "-c", f"{self.dir}/conf"],
                log=f"{self.dir}/err", env=environment(self.dir), stdout=out)
        self.daemon.wait_for(lambda: os.path.exists(self.socket),
                             f"{self.name} listens")
        return self

    def trim(self):
        """A log of lines that were counted is only in the way."""
        os.truncate(self.log, 0)

    def stop(self):
        if self.daemon and self.daemon.alive():
            self.daemon.stop(seconds=60)
        for name in (self.log, self.settings["segment"]):
            if os.path.exists(name):
                os.unlink(name)


class Bare:
    """bare.c with so many workers."""

    def __init__(self, stand, name, workers):
        self.socket = f"{stand.home}/{name}.sock"
        if os.path.exists(self.socket):
            os.unlink(self.socket)
        self.daemon = Daemon(
            [f"{stand.home}/bin/bare", self.socket, str(workers),
             f"{stand.home}/static/0", f"{stand.home}/static/1"],
            log=f"{stand.home}/{name}.err")
        self.daemon.wait_for(lambda: os.path.exists(self.socket),
                             f"{name} listens")

    @property
    def pid(self):
        return self.daemon.pid


# What pgbench's scripts compute, as the parameters of floor.c.
_PARAMETERS = (
    ("decode(md5('k:' || :t) || md5('K:' || :t), 'hex')", "$1"),
    ("md5('t:' || :t)::uuid", "$2"),
    ("to_timestamp(:s)", "to_timestamp($3)"),
    ("md5('p:' || :t || ':' || :k)::uuid", "$4"),
)


def statements(wl):
    """Of a pgbench script, with $1 to $4."""
    with open(f"{HERE}/{wl.lower()}.sql", encoding="ascii") as f:
        text = f.read().split("\\startpipeline\n")[1].split("\\endpipeline")[0]
    for computed, parameter in _PARAMETERS:
        text = text.replace(computed, parameter)
    return [line.rstrip(";") for line in text.splitlines()]


class Floor(Bare):
    """floor.c: libfcgi, libpq and the kernel, for the requests of W2 or W3."""

    def __init__(self, stand, name, workers, wl):
        # pylint: disable=super-init-not-called
        self.socket = f"{stand.home}/{name}.sock"
        body = f"{stand.home}/static/{('W2', 'W3').index(wl)}"
        arguments = f"{stand.home}/x/{name}.tsv"
        seed.write_arguments(arguments, wl)
        if os.path.exists(self.socket):
            os.unlink(self.socket)
        self.daemon = Daemon(
            [f"{stand.home}/bin/floor", self.socket, str(workers),
             stand.cluster.app_url, body, arguments, *statements(wl)],
            log=f"{stand.home}/{name}.err")
        self.daemon.wait_for(lambda: os.path.exists(self.socket),
                             f"{name} listens")


class Stand:
    """with Stand(home, logs) as s: all of it, ended in the end."""

    def __init__(self, home, logs):
        self.home, self.logs = home, logs
        self.cluster = self.sink = self.nginx = self.redis = None
        self.pools, self.bares, self.servers = {}, {}, []
        self.ports = {}

    def __enter__(self):
        try:
            os.makedirs(self.logs, exist_ok=True)
            self.sink_port = free_port()
            self.sink = Daemon([f"{self.home}/bin/sink", str(self.sink_port)],
                               log=f"{self.home}/sink.log")
            self.redis = Redis().start()
            self.cluster = Cluster(self.home)
            self.cluster.tidy()
            return self
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_):
        for pool in self.pools.values():
            pool.stop()
        for daemon in (self.nginx, self.sink,
                       *(b.daemon for b in self.bares.values())):
            if daemon and daemon.alive():
                daemon.stop()
        for server in (self.redis, self.cluster):
            if server:
                server.close()
        if os.path.isdir(self.logs) and not os.listdir(self.logs):
            os.rmdir(self.logs)

    # ---- what nginx serves ----

    def add_pool(self, name, log=None, **settings):
        """A pool behind the snippets of etc/nginx. start() is the caller's."""
        pool = self.pools[name] = Pool(self, name, log, **settings)
        port = self.ports[name] = free_port()
        site = snippet("nginx/rowhouse.conf", pool.socket)
        self.servers.append(
            snippet("nginx/rowhouse-upstream.conf", pool.socket).replace(
                "upstream rowhouse ", f"upstream {name} ") +
            f"server {{\n\tlisten 127.0.0.1:{port} backlog=1024;\n" +
            site.replace("fastcgi_pass rowhouse;", f"fastcgi_pass {name};") +
            "}\n")
        return pool

    def add_bare(self, name, workers, keepalive):
        """keepalive: idle connections of each nginx worker; 0: none is kept."""
        self._add_loop(name, Bare(self, name, workers), keepalive)

    def add_floor(self, name, workers, wl):
        self._add_loop(name, Floor(self, name, workers, wl), 128)

    def _add_loop(self, name, bare, keepalive):
        self.bares[name] = bare
        port = self.ports[name] = free_port()
        keep = (f"keepalive {keepalive}; keepalive_requests 1000000000; "
                "keepalive_time 1d;" if keepalive else "")
        self.servers.append(f"""upstream {name} {{ server unix:{bare.socket}; {keep} }}
server {{
	listen 127.0.0.1:{port} backlog=1024;
	location / {{
		fastcgi_pass {name};
		fastcgi_keep_conn {"on" if keepalive else "off"};
		include /etc/nginx/fastcgi_params;
		fastcgi_buffer_size 16k;
		fastcgi_buffers 16 16k;
	}}
}}
""")

    def add_static(self):
        port = self.ports["static"] = free_port()
        self.servers.append(f"""server {{
	listen 127.0.0.1:{port} backlog=1024;
	root {self.home}/static;
	default_type application/json;
	sendfile on;
	open_file_cache max=100 inactive=600s;
	open_file_cache_valid 600s;
}}
""")

    def save_bodies(self, pool):
        """The page of W2 and the row of W3, for the ceilings: static/0 and 1."""
        os.makedirs(f"{self.home}/static", exist_ok=True)
        for i, wl in enumerate(("W2", "W3")):
            with open(f"{self.home}/x/{wl}.tsv", encoding="ascii") as f:
                method, path, token, _ = f.readline().split("\t")
            got = ask(self.ports[pool], method, path, token)
            if got.status != 200:
                raise AssertionError(f"{wl}: {got}")
            with open(f"{self.home}/static/{i}", "wb") as f:
                f.write(got.body)

    def start_nginx(self):
        """Again, where there are more servers by now."""
        if self.nginx and self.nginx.alive():
            self.nginx.stop()
        folder = f"{self.home}/nginx"
        os.makedirs(folder, exist_ok=True)
        temps = "".join(f"{k}_temp_path {folder}/{k};\n" for k in (
            "client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        user = "user root;\n" if os.geteuid() == 0 else ""
        with open(f"{folder}/conf", "w", encoding="ascii") as f:
            f.write(f"""{user}worker_processes 2;
daemon off;
pid {folder}/pid;
error_log stderr warn;
worker_rlimit_nofile 8192;
events {{ worker_connections 4096; }}
http {{
access_log off;
tcp_nodelay on;
keepalive_requests 1000000000;
{temps}{"".join(self.servers)}}}
""")
        self.nginx = Daemon([system("nginx"), "-p", folder, "-c", f"{folder}/conf",
                             "-e", "stderr"], log=f"{folder}/error.log")
        for name, pool in self.pools.items():
            if pool.daemon and pool.daemon.alive():
                self.nginx.wait_for(lambda p=self.ports[name]: ready(p),
                                    f"{name} answers")


def ready(port):
    try:
        return ask(port, "GET", "/readyz").status == 200
    except OSError:
        return False


def wait_ready(port):
    wait_until(lambda: ready(port), "the pool is ready", 20.0)


def described():
    """The machine and the versions, without its name."""
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        model = next((line.split(":", 1)[1].strip() for line in f
                      if line.startswith("model name")), "unknown")

    def first(*argv):
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        return (done.stdout + done.stderr).strip().splitlines()[0]

    with open("/etc/os-release", encoding="utf-8") as f:
        system_name = next((line.split("=", 1)[1].strip().strip('"')
                            for line in f if line.startswith("PRETTY_NAME")), "")
    return "; ".join((
        f"{os.cpu_count()} x {model}", system_name, f"Linux {os.uname().release}",
        first(f"{bin_dir()}/postgres", "-V"), first(system("nginx"), "-v")))
