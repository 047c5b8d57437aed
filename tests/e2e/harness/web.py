"""Real web servers in front of a pool, with the snippets of etc/."""

import os
import pwd
import re
import shutil

from .client import raw
from .places import SOURCE, free_port, program, system
from .pool import _answers
from .proc import Daemon

DEFAULT_SOCKET = "/run/rowhouse/fcgi.sock"


def snippet(name, socket):
    with open(os.path.join(SOURCE, "etc", name), encoding="utf-8") as f:
        text = f.read()
    return text.replace(DEFAULT_SOCKET, socket)


class Web:
    """Shared: a folder, a port, a daemon."""

    def __init__(self, temp, socket, tag):
        self.dir = f"{temp}/{tag}"
        os.makedirs(self.dir, exist_ok=True)
        os.chmod(self.dir, 0o755)
        self.socket = socket
        self.port = free_port()
        self.daemon = None

    def write(self, name, text):
        with open(f"{self.dir}/{name}", "w", encoding="utf-8") as f:
            f.write(text)

    def start(self):
        self.daemon = Daemon(self.argv(), log=f"{self.dir}/error.log")
        self.daemon.wait_for(self.is_up,
                             f"{self.daemon.name} listens on {self.port}")
        return self

    def is_up(self):
        return _answers(self.port)

    def stop(self):
        return self.daemon.stop()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        if self.daemon and self.daemon.alive():
            self.stop()


class Nginx(Web):
    """keep: fastcgi_keep_conn, and the upstream's kept connections."""

    there = staticmethod(lambda: system("nginx"))

    def __init__(self, temp, socket, keep=True):
        super().__init__(temp, socket, "nginx-keep" if keep else "nginx")
        upstream = snippet("nginx/rowhouse-upstream.conf", socket)
        site = snippet("nginx/rowhouse.conf", socket)
        if not keep:
            upstream = re.sub(r"(?m)^\s*keepalive.*$", "", upstream)
            site = site.replace("fastcgi_keep_conn on;", "fastcgi_keep_conn off;")
        self.write("upstream.conf", upstream)
        self.write("site.conf", site)
        temps = "".join(f"\t{k}_temp_path {self.dir}/{k};\n" for k in (
            "client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        user = "user root;\n" if os.geteuid() == 0 else ""
        self.write("nginx.conf", f"""{user}worker_processes 2;
daemon off;
pid {self.dir}/pid;
error_log stderr warn;
events {{ worker_connections 1024; }}
http {{
	access_log off;
{temps}	include {self.dir}/upstream.conf;
	server {{
		listen 127.0.0.1:{self.port};
		keepalive_requests 1000000;
		keepalive_timeout 1h;
		include {self.dir}/site.conf;
	}}
}}
""")

    def argv(self):
        return [system("nginx"), "-p", self.dir, "-c", f"{self.dir}/nginx.conf",
                "-e", "stderr"]


class Apache(Web):
    """reuse: mod_proxy_fcgi's enablereuse. Each process has threads to spare: one
    whose threads are all busy closes the connections that its clients keep."""

    there = staticmethod(lambda: system("apache2"))

    MODULES = ("mpm_event", "authz_core", "env", "proxy", "proxy_fcgi")

    def __init__(self, temp, socket, reuse=True):
        super().__init__(temp, socket, "apache-reuse" if reuse else "apache")
        site = snippet("apache/rowhouse.conf", socket)
        if not reuse:
            site = site.replace("enablereuse=on ", "enablereuse=off ")
        self.configure(site)

    @staticmethod
    def user():
        """Whom its processes become where root starts it: name and group."""
        name = next(u for u in ("www-data", "nobody") if _known(u))
        return name, pwd.getpwnam(name).pw_gid

    def configure(self, site, whole_server=""):
        self.write("site.conf", site)
        modules = "".join(
            f"LoadModule {m}_module /usr/lib/apache2/modules/mod_{m}.so\n"
            for m in self.MODULES)
        user = ""
        if os.geteuid() == 0:
            name, gid = self.user()
            user = f"User {name}\nGroup #{gid}\n"
        self.write("apache.conf", f"""{modules}{user}{whole_server}ServerRoot {self.dir}
DefaultRuntimeDir {self.dir}
PidFile {self.dir}/pid
ServerName localhost
Listen 127.0.0.1:{self.port}
ErrorLog {self.dir}/apache.log
KeepAlive On
MaxKeepAliveRequests 0
KeepAliveTimeout 3600
StartServers 4
ServerLimit 4
ThreadsPerChild 64
MaxRequestWorkers 256
MinSpareThreads 1
MaxSpareThreads 256
<VirtualHost 127.0.0.1:{self.port}>
	Include {self.dir}/site.conf
</VirtualHost>
""")

    def is_up(self):
        """It opens its socket twice, and who connected to the first is reset: so
        somebody has to refuse what is no request."""
        try:
            return raw(self.port, b"?\r\n\r\n").startswith(b"HTTP/1.1 400 ")
        except OSError:
            return False

    def argv(self):
        return [system("apache2"), "-f", f"{self.dir}/apache.conf",
                "-DFOREGROUND"]


class HAProxy(Web):
    """It keeps connections to the pool; idle, they may carry anybody's request."""

    there = staticmethod(lambda: system("haproxy"))

    def __init__(self, temp, socket):
        super().__init__(temp, socket, "haproxy")
        self.write("rowhouse.cfg", snippet("haproxy/rowhouse.cfg", socket))
        self.write("haproxy.cfg", f"""global
	nbthread 2
	log stderr format raw local0 warning
defaults
	log global
	mode http
	timeout client 1h
frontend site
	bind 127.0.0.1:{self.port}
	default_backend rowhouse
""")

    def argv(self):
        return [system("haproxy"), "-db", "-f", f"{self.dir}/haproxy.cfg",
                "-f", f"{self.dir}/rowhouse.cfg"]


class ApacheFcgid(Apache):
    """mod_fcgid: Apache starts our program itself, as often as it likes."""

    MODULES = ("mpm_event", "authz_core", "env", "fcgid")
    MODULE = "/usr/lib/apache2/modules/mod_fcgid.so"
    PROGRAM = "rowhouse-fcgi"

    def __init__(self, temp, socket, processes=4):
        # pylint: disable=super-init-not-called,non-parent-init-called
        Web.__init__(self, temp, socket, "fcgid")
        site = snippet("apache/rowhouse-fcgid.conf", socket)
        # its user may not reach the folder of the build
        copy = shutil.copy(program(self.PROGRAM), self.dir)
        site = site.replace("/usr/sbin/rowhouse-fcgi", copy)
        site = site.replace(" -1", f" -1 -c {temp}/rowhouse.conf")
        site = re.sub(r"(FcgidMaxProcesses\w*) 8", rf"\1 {processes}", site)
        os.makedirs(f"{self.dir}/ipc", exist_ok=True)
        if os.geteuid() == 0:
            shutil.chown(f"{self.dir}/ipc", *self.user())
        self.configure(site, f"FcgidIPCDir {self.dir}/ipc\n"
                       f"FcgidProcessTableFile {self.dir}/table\n"
                       # how soon it notices that one died
                       "FcgidZombieScanInterval 1\n")


def _known(user):
    try:
        pwd.getpwnam(user)
        return True
    except KeyError:
        return False
