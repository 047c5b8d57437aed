"""PgBouncer in transaction mode between the pool and its PostgreSQL."""

import os
import pwd
import signal
import socket

from .places import system
from .proc import Daemon, TempDir

CONF = """[databases]
rowhouse = host={server} port=5432 dbname=rowhouse

[pgbouncer]
listen_addr =
listen_port = 6432
unix_socket_dir = {dir}
auth_type = trust
auth_file = {dir}/users.txt
pool_mode = transaction
default_pool_size = {size}
max_client_conn = 200
server_reset_query_always = 0
"""


class PgBouncer:
    """Stands in for a Postgres: app_url goes through it, admin_url past it."""

    def __init__(self, postgres, size=2):
        """size: connections to the server, fewer than the pool has workers:
        so that one worker's transactions run on all of them."""
        self.temp = TempDir()
        self.dir = self.temp.path
        self.admin_url = postgres.admin_url
        self.app_url = (f"postgresql:///rowhouse?host={self.dir}&port=6432"
                        "&user=rowhouse_app")
        user = "nobody" if os.geteuid() == 0 else None
        if user:
            os.chown(self.dir, pwd.getpwnam(user).pw_uid, -1)
        with open(f"{self.dir}/users.txt", "w", encoding="ascii") as f:
            f.write('"rowhouse_app" ""\n')
        with open(f"{self.dir}/pgbouncer.ini", "w", encoding="ascii") as f:
            f.write(CONF.format(server=postgres.dir, dir=self.dir, size=size))
        self.daemon = Daemon([system("pgbouncer"), f"{self.dir}/pgbouncer.ini"],
                             log=f"{self.dir}/log", user=user)
        self.daemon.wait_for(self._listens, "PgBouncer listens")

    def _listens(self):
        """The socket's name is there a moment before anybody listens."""
        with socket.socket(socket.AF_UNIX) as s:
            return s.connect_ex(f"{self.dir}/.s.PGSQL.6432") == 0

    def close(self):
        """At once: its clients are gone by then."""
        if self.daemon.alive():
            self.daemon.stop(signal.SIGTERM)
        self.temp.remove()
