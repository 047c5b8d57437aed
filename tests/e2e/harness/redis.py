"""A Redis of the story's own, on a unix socket and a port of loopback; and a
cluster of six."""

import os
import signal
import subprocess

from .places import free_port, patience
from .proc import Daemon, TempDir, wait_until


class Redis:
    """password: of the default user; settings: of redis.conf."""

    def __init__(self, password=None, **settings):
        self.temp = TempDir()
        self.dir = self.temp.path
        self.socket = f"{self.dir}/redis.sock"
        self.port = free_port()
        self.password = password
        self.settings = {"bind": "127.0.0.1", "save": "", "appendonly": "no",
                         **settings}
        self.daemon = None

    @property
    def url(self):
        """By the unix socket."""
        return f"unix://{self._who()}{self.socket}"

    @property
    def tcp_url(self):
        return f"redis://{self._who()}127.0.0.1:{self.port}"

    def _who(self):
        return f":{self.password}@" if self.password else ""

    @property
    def pid(self):
        return self.daemon.pid

    def start(self):
        argv = ["redis-server", "--dir", self.dir, "--unixsocket", self.socket,
                "--port", str(self.port)]
        if self.password:
            argv += ["--requirepass", self.password]
        for name, value in self.settings.items():
            argv += [f"--{name.replace('_', '-')}", str(value)]
        if os.path.exists(self.socket):
            os.unlink(self.socket)
        self.daemon = Daemon(argv, log=f"{self.dir}/redis.log")
        self.daemon.wait_for(lambda: self.cli("PING", check=False) == "PONG",
                             "Redis answers")
        return self

    def cli(self, *words, check=True):
        """What redis-cli prints for it."""
        env = dict(os.environ, REDISCLI_AUTH=self.password or "")
        if not self.password:
            del env["REDISCLI_AUTH"]
        done = subprocess.run(["redis-cli", "-e", "-s", self.socket, *words],
                              env=env, capture_output=True, text=True,
                              check=False, timeout=patience(20))
        if check and done.returncode:
            raise AssertionError(f"redis-cli {words}: {done.stdout}{done.stderr}")
        return done.stdout.strip()

    def freeze(self):
        """SIGSTOP: it takes connections, and says nothing."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self):
        os.kill(self.pid, signal.SIGCONT)

    def kill(self):
        """SIGKILL, and it is gone."""
        self.daemon.kill()

    def stop(self):
        self.thaw()
        return self.daemon.stop()

    def restart(self):
        self.stop()
        return self.start()

    def close(self):
        if self.daemon and self.daemon.alive():
            self.daemon.kill()
        self.temp.remove()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.close()


class RedisCluster:
    """Three masters and their replicas; .nodes are of Redis."""

    def __init__(self, **settings):
        self.nodes = [Redis(cluster_enabled="yes", cluster_node_timeout=1000,
                            cluster_require_full_coverage="no",
                            repl_diskless_sync_delay=0,
                            cluster_replica_validity_factor=0, **settings)
                      for _ in range(6)]

    @property
    def url(self):
        return self.nodes[0].tcp_url

    def start(self):
        for node in self.nodes:
            while node.port > 55000:  # the bus has its port 10000 above
                node.port = free_port()
            node.start()
        done = subprocess.run(
            ["redis-cli", "--cluster", "create",
             *(f"127.0.0.1:{node.port}" for node in self.nodes),
             "--cluster-replicas", "1", "--cluster-yes"],
            capture_output=True, text=True, check=False, timeout=patience(60))
        if done.returncode:
            raise AssertionError(f"--cluster create: {done.stdout}{done.stderr}")
        for node in self.nodes:
            wait_until(lambda n=node: "cluster_state:ok" in n.cli("CLUSTER", "INFO"),
                       "the cluster is whole")
        return self

    def close(self):
        for node in self.nodes:
            node.close()

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_):
        self.close()
