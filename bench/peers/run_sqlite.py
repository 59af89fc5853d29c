"""SQLite with its JSON functions: rows of (tenant, metric, device, ts, j) and two indexes."""

import os
import sqlite3

from common import Conf, args, catalogue, count_lines, fresh, load, only, point_params, run_queries, save

a = args()
cf = Conf(a.config)
K = cf.k
ev, rb = count_lines(a.data), os.path.getsize(a.data)
db = os.path.join(a.work, "lite.db")


def con():
    c = sqlite3.connect(db)
    c.execute("PRAGMA synchronous=NORMAL")
    c.execute("PRAGMA journal_mode=WAL")
    c.execute("PRAGMA cache_size=-262144")
    return c


def raw():
    for x in (db, db + "-wal", db + "-shm"):
        fresh(x)
    c = con()
    c.execute("CREATE TABLE ev (tenant, metric, device, ts INTEGER, j TEXT)")
    case = (
        f"CASE json_extract(?1,'$.{K['metric']}') "
        + " ".join(f"WHEN '{k}' THEN '{v}'" for k, v in cf.alias.items())
        + " END"
    )
    with open(a.data) as f:
        c.executemany(
            f"""INSERT INTO ev VALUES (json_extract(?1,'$.{K["tenant"]}'), {case}, json_extract(?1,'$.{K["device"]}'),
            CASE WHEN json_type(?1,'$.{K["time"]}')='integer' THEN json_extract(?1,'$.{K["time"]}') END, ?1)""",
            ((l.rstrip("\n"),) for l in f),
        )
    c.execute("CREATE INDEX a ON ev (tenant, metric, ts)")
    c.execute("CREATE INDEX b ON ev (tenant, device, ts)")
    c.execute("ANALYZE")
    c.commit()
    c.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    n = c.execute("SELECT count(*) FROM ev").fetchone()[0]
    c.close()
    return {"rows": n}


class D:
    frm = "ev"

    def _n(self, n):  # numbers as they are; text only where it looks like a number
        e = f"json_extract(j,'$.\"{n}\"')"
        return f"CASE WHEN typeof({e}) IN ('integer','real') OR {e} GLOB '[0-9]*' OR {e} GLOB '-[0-9]*' THEN CAST({e} AS REAL) END"

    def metric(self, m):
        return f"metric='{m}'"

    def num(self, m, f):
        return "COALESCE(" + ",".join(self._n(n) for n in cf.names(m, f)) + ", NULL)"

    def und(self, f):
        return self._n(f)

    def div(self, e, n):
        return f"({e} / {n})"

    def rng(self, x, y):
        return f"ts >= {x} AND ts < {y}"

    def last(self, v):
        return v  # bare column follows max(ts) in SQLite

    def distinct(self, e):
        return f"count(DISTINCT {e})"

    errors = "SELECT tenant, CASE WHEN metric IS NULL THEN 'no' ELSE 'yes' END, count(*) FROM ev WHERE ts IS NULL OR metric IS NULL GROUP BY 1, 2"


loads = [load("raw", min(2, a.load_runs), raw, events=ev, raw_bytes=rb, disk=db)]
c = con()
q = run_queries(
    only(a, catalogue(cf, D(), point_params(cf, a.data))), lambda s: c.execute(s).fetchall(), min(3, a.query_runs)
)
save(a, "sqlite", sqlite3.sqlite_version, loads, {"raw": q})
