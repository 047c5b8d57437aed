"""Tenants, their keys, and the requests of the workloads."""

import base64
import hashlib
import hmac
import json
import os
import subprocess
import zlib

TENANTS, PROJECTS, REQUESTS = 1000, 200, 20000
WORKLOADS = {
    "W1": "the first page of projects",
    "W2": "a page of 20 projects, 50 to 170 rows deep",
    "W3": "one project",
    "W4": "POST a task",
}
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def _base62(value, width):
    text = ""
    for _ in range(width):
        value, digit = divmod(value, 62)
        text = _DIGITS[digit] + text
    return text


def _md5(text):
    return hashlib.md5(text.encode()).digest()


def _uuid(raw):
    h = raw.hex()
    return "-".join((h[:8], h[8:12], h[12:16], h[16:20], h[20:]))


def token(t):
    """The key of tenant t (lib/tenancy/principal.c): the same at each seeding."""
    drawn = int.from_bytes(hashlib.sha256(b"bench key %d" % t).digest(), "big")
    text = "rhk_" + _base62(drawn, 32)
    return text + _base62(zlib.crc32(text.encode()), 6)


def slug(t):
    return f"t{t:04d}"


def born(t, k):
    """created_at of project k, as seed.sql has it; in seconds."""
    return 1735689600 + k * 3600 + (t * 7919 + k * 104729) % 3600


# ---- cursors: lib/http/cursor.c, and context() of lib/serve/call.c ----

_MASK = (1 << 64) - 1


def _fnv(data):
    h = 0xcbf29ce484222325
    for byte in data:
        h = ((h ^ byte) * 0x100000001b3) & _MASK
    return h


def _siphash(key, message):
    """SipHash-2-4, in the order of bytes in which it is published."""
    v = [int.from_bytes(key[at:at + 8], "little") ^ start for at, start in (
        (0, 0x736f6d6570736575), (8, 0x646f72616e646f6d),
        (0, 0x6c7967656e657261), (8, 0x7465646279746573))]

    def rotate(i, bits):
        v[i] = (v[i] << bits | v[i] >> (64 - bits)) & _MASK

    def half(a, b, bits_a, bits_b):
        v[a] = (v[a] + v[b]) & _MASK
        rotate(b, bits_b)
        v[b] ^= v[a]
        if bits_a:
            rotate(a, bits_a)

    def rounds(n):
        for _ in range(n):
            half(0, 1, 32, 13)
            half(2, 3, 0, 16)
            half(0, 3, 0, 21)
            half(2, 1, 32, 17)

    whole = len(message) // 8 * 8
    last = message[whole:].ljust(7, b"\0") + bytes([len(message) % 256])
    for at in range(0, whole + 8, 8):
        word = int.from_bytes((message[:whole] + last)[at:at + 8], "little")
        v[3] ^= word
        rounds(2)
        v[0] ^= word
    v[2] ^= 0xff
    rounds(4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def cursor(secret, t, k, context):
    """Of a page that ended with project k."""
    plain = (born(t, k) * 1000000).to_bytes(8, "big") + _md5(f"p:{t}:{k}")
    key = hmac.digest(secret.encode(), b"rowhouse cursor 2", "sha256")[:16]
    mac = _siphash(key, plain + context.to_bytes(8, "big")).to_bytes(8, "big")
    return base64.urlsafe_b64encode(plain + mac).rstrip(b"=").decode()


def _context(t):
    path = f"/v1/t/{slug(t)}/projects".encode()
    return (_fnv(_md5(f"t:{t}")) ^ _fnv(path)) * 0x9e3779b97f4a7c15 & _MASK


# ---- the database ----

def seed(cluster):
    """Fills an empty, migrated database."""
    here = os.path.dirname(os.path.abspath(__file__))
    cluster.psql_file(os.path.join(here, "seed.sql"), "rowhouse")
    keys = "".join(
        f"{_uuid(_md5(f't:{t}'))}\t{_uuid(_md5(f'k:{t}'))}\tbench\tmember\t"
        f"{_uuid(_md5(f'u:{t}'))}\t"
        f"\\\\x{hashlib.sha256(token(t).encode()).hexdigest()}\n"
        for t in range(1, TENANTS + 1))
    subprocess.run(
        ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", cluster.dir, "-U",
         "postgres", "-d", "rowhouse", "-c",
         "copy api_keys (tenant_id, id, name, role, created_by, sha256) from stdin"],
        input=keys, text=True, check=True)
    cluster.query("vacuum (analyze)")
    cluster.query("checkpoint")


# ---- the requests ----

def write_arguments(path, wl):
    """A line for each request of W2 or W3: hash, tenant, time, project."""
    with open(path, "w", encoding="ascii") as f:
        for i in range(1, REQUESTS + 1):
            t = 1 + i * 7919 % TENANTS
            k = (30 + i * 104729 % 121 if wl == "W2" else 1 + i * 104729 % PROJECTS)
            key = _md5(f"k:{t}") + _md5(f"K:{t}")
            f.write(f"\\x{key.hex()}\t{_uuid(_md5(f't:{t}'))}\t{born(t, k)}\t"
                    f"{_uuid(_md5(f'p:{t}:{k}'))}\n")


def _lines(secret):
    w = {name: [] for name in (*WORKLOADS, "H")}
    contexts = {t: _context(t) for t in range(1, TENANTS + 1)}
    for t in contexts:
        w["W1"].append(("GET", f"/v1/t/{slug(t)}/projects?limit=20", token(t), ""))
    for i in range(1, REQUESTS + 1):
        t, k = 1 + i * 7919 % TENANTS, 1 + i * 104729 % PROJECTS
        deep = 30 + i * 104729 % 121
        path, key = f"/v1/t/{slug(t)}/projects", token(t)
        project = f"{path}/{_uuid(_md5(f'p:{t}:{k}'))}"
        after = cursor(secret, t, deep, contexts[t])
        w["W2"].append(("GET", f"{path}?limit=20&cursor={after}", key, ""))
        w["W3"].append(("GET", project, key, ""))
        w["W4"].append(("POST", f"{project}/tasks", key, json.dumps({
            "title": f"Task {i} from the bench",
            "body": f"Please look into case number {i} and write down what you find.",
            "status": "open"})))
    w["H"].append(("GET", "/livez", "-", ""))
    return w


def write_requests(folder, secret):
    """W1.tsv to W4.tsv and H.tsv: METHOD, PATH, TOKEN, BODY; and tokens."""
    os.makedirs(folder, exist_ok=True)
    for name, lines in _lines(secret).items():
        with open(f"{folder}/{name}.tsv", "w", encoding="ascii") as f:
            f.writelines("\t".join(line) + "\n" for line in lines)
    with open(f"{folder}/tokens", "w", encoding="ascii") as f:
        f.writelines(f"{slug(t)}\t{token(t)}\n" for t in range(1, TENANTS + 1))
