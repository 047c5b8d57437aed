"""Real servers for the stories: each on loopback, in a folder of its own,
ended by its own pid. See tests/README.md."""

from . import fcgi
from .client import Client, Reply
from .load import Load
from .places import BUILD, SOURCE, SANITIZED, free_port, patience, program
from .pool import Exporter, Jobs, Pool, migrate
from .postgres import Postgres
from .proc import Daemon, TempDir, eventually, runs, wait_until
from .receiver import Receiver
from .redis import Redis, RedisCluster
from .stack import Stack, Tenant
from .story import Story, again, main
from .web import Apache, ApacheFcgid, HAProxy, Nginx
from .witness import Witness

__all__ = [
    "Apache", "ApacheFcgid", "BUILD", "Client", "Daemon", "Exporter", "HAProxy", "Load",
    "Jobs", "Nginx", "Pool", "Postgres", "Receiver", "Redis", "RedisCluster", "Reply", "SANITIZED", "SOURCE", "Stack", "Story",
    "TempDir", "Tenant", "Witness", "again", "eventually", "fcgi", "free_port", "main", "migrate", "patience",
    "program", "runs", "wait_until",
]
