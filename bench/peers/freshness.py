"""Freshness anchor: scheduled-send-to-visible latency under an open loop, for embedded stores and for the bare floor.

The k-th batch is due at t0 + k*interval whatever happened before; latency is counted from the due time, so a stalled
writer cannot hide its queue (no coordinated omission). A reader thread polls the newest visible sequence number.
usage: freshness.py --data F.ndjson --work DIR --out R.json --rate 2000 --batch 100 --seconds 10 [--stores floor,sqlite,duckdb]"""

import argparse
import json
import os
import sqlite3
import threading
import time

p = argparse.ArgumentParser()
for k in ("data", "work", "out"):
    p.add_argument("--" + k, required=True)
p.add_argument("--rate", type=int, default=2000)
p.add_argument("--batch", type=int, default=100)
p.add_argument("--seconds", type=float, default=10)
p.add_argument("--stores", default="floor,sqlite,duckdb")
a = p.parse_args()
os.makedirs(a.work, exist_ok=True)
with open(a.data) as f:
    lines = [next(f).rstrip("\n") for _ in range(20000)]


class Floor:
    """append to one log file, fdatasync, publish the sequence number: no index, no parse"""

    def __init__(self):
        self.f = open(os.path.join(a.work, "floor.log"), "wb")
        self.n = -1

    def write(self, k, rows):
        self.f.write("\n".join(rows).encode())
        self.f.flush()
        os.fdatasync(self.f.fileno())
        self.n = k

    def reader(self):
        return lambda: self.n


class Sqlite:
    def __init__(self):
        self.p = os.path.join(a.work, "f.db")
        for x in ("", "-wal", "-shm"):
            if os.path.exists(self.p + x):
                os.remove(self.p + x)
        self.c = sqlite3.connect(self.p, check_same_thread=False, isolation_level=None)
        self.c.execute("PRAGMA journal_mode=WAL")
        self.c.execute("PRAGMA synchronous=FULL")
        self.c.execute("CREATE TABLE t (k INTEGER, j TEXT)")
        self.c.execute("CREATE INDEX i ON t(k)")

    def write(self, k, rows):
        self.c.execute("BEGIN")
        self.c.executemany("INSERT INTO t VALUES (?, ?)", ((k, r) for r in rows))
        self.c.execute("COMMIT")

    def reader(self):
        c = sqlite3.connect(self.p, check_same_thread=False)
        return lambda: c.execute("SELECT max(k) FROM t").fetchone()[0]


class Duck:
    def __init__(self):
        import duckdb

        self.p = os.path.join(a.work, "f.duck")
        for x in ("", ".wal"):
            if os.path.exists(self.p + x):
                os.remove(self.p + x)
        self.c = duckdb.connect(self.p)
        self.c.execute("CREATE TABLE t (k BIGINT, j JSON)")

    def write(self, k, rows):
        self.c.execute("INSERT INTO t SELECT ?, unnest(?)", [k, rows])

    def reader(self):
        c = self.c.cursor()
        return lambda: c.execute("SELECT max(k) FROM t").fetchone()[0]


def run(s):
    due, done, seen, stop = [], [], {}, threading.Event()
    n = int(a.rate * a.seconds / a.batch)
    gap = a.batch / a.rate
    get = s.reader()

    def poll():
        last = -1
        while not stop.is_set():
            v = get()
            if v is not None and v > last:
                t = time.perf_counter()
                for k in range(last + 1, v + 1):
                    seen[k] = t
                last = v
            time.sleep(0.0005)

    th = threading.Thread(target=poll, daemon=True)
    th.start()
    t0 = time.perf_counter() + 0.05
    for k in range(n):
        d = t0 + k * gap
        w = d - time.perf_counter()
        if w > 0:
            time.sleep(w)
        s.write(k, [lines[(k * a.batch + i) % len(lines)] for i in range(a.batch)])
        due.append(d)
        done.append(time.perf_counter())
    end = time.time() + 5
    while len(seen) < n and time.time() < end:
        time.sleep(0.01)
    stop.set()
    th.join(2)
    q = lambda v, x: sorted(v)[min(len(v) - 1, int(len(v) * x))] * 1e3
    ack = [b - c for b, c in zip(done, due, strict=True)]
    vis = [seen[k] - due[k] for k in seen]
    return {
        m: {f"p{x * 100:g}": round(q(v, x), 2) for x in (0.5, 0.9, 0.99, 0.999)} | {"max": round(max(v) * 1e3, 2)}
        for m, v in (("ack_ms", ack), ("visible_ms", vis))
    } | {"batches": n, "achieved_events_per_s": round(n * a.batch / (done[-1] - t0))}


out = {"rate": a.rate, "batch": a.batch}
for name in a.stores.split(","):
    out[name] = run({"floor": Floor, "sqlite": Sqlite, "duckdb": Duck}[name]())
    print(name, out[name], flush=True)
json.dump(out, open(a.out, "w"), indent=1)
