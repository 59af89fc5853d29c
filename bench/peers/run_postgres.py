"""PostgreSQL JSONB in a private cluster on a unix socket: COPY into a table whose base columns are generated from the
JSONB payload, two b-tree indexes, ANALYZE. Server CPU is read from /proc of the postmaster and its children."""

import os
import subprocess
import time

import psycopg2
from common import Conf, args, catalogue, count_lines, fresh, only, point_params, run_queries, save, spread

a = args([(("--pgbin",), {"required": True}), (("--run-as",), {"default": "postgres"})])
cf = Conf(a.config)
K = cf.k
ev, rb = count_lines(a.data), os.path.getsize(a.data)
pgd = os.path.abspath(os.path.join(a.work, "pg"))
TICK = os.sysconf("SC_CLK_TCK")


def as_pg(*cmd):
    pre = ["runuser", "-u", a.run_as, "--"] if os.getuid() == 0 else []
    return subprocess.run(pre + list(cmd), check=True, capture_output=True, text=True)


fresh(pgd)
os.makedirs(pgd)
if os.getuid() == 0:
    subprocess.run(["chown", a.run_as, pgd], check=True)
    os.chmod(pgd, 0o700)
as_pg(f"{a.pgbin}/initdb", "-D", pgd, "-A", "trust", "--no-locale", "-E", "UTF8")
open(pgd + "/postgresql.conf", "a").write(
    f"\nlisten_addresses=''\nunix_socket_directories='{pgd}'\nshared_buffers=2GB\nwork_mem=128MB\nmaintenance_work_mem=512MB\nmax_wal_size=8GB\njit=off\nmax_parallel_workers_per_gather={a.threads}\n"
)
as_pg(f"{a.pgbin}/pg_ctl", "-D", pgd, "-w", "-l", pgd + "/log", "start")
master = int(open(pgd + "/postmaster.pid").readline())


def cpu():
    t = 0
    for p in [master] + [int(x) for x in open(f"/proc/{master}/task/{master}/children").read().split()]:
        try:
            f = open(f"/proc/{p}/stat").read().rsplit(")", 1)[1].split()
            t += int(f[11]) + int(f[12]) + (int(f[13]) + int(f[14]) if p == master else 0)
        except OSError:
            pass
    return t / TICK


def connect():
    c = psycopg2.connect(host=pgd, user=a.run_as if os.getuid() == 0 else None, dbname="postgres")
    c.autocommit = True
    return c


CASE = f"CASE j->>'{K['metric']}' " + " ".join(f"WHEN '{k}' THEN '{v}'" for k, v in cf.alias.items()) + " END"
rows = []


def load_pg():
    c = connect()
    cur = c.cursor()
    cur.execute("DROP TABLE IF EXISTS ev")
    cur.execute("CHECKPOINT")
    cur.execute(
        "CREATE OR REPLACE FUNCTION try_num(t text) RETURNS double precision LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT CASE WHEN t ~ '^-?[0-9]+(\\.[0-9]+)?$' THEN t::double precision END $$"
    )
    cur.execute(f"""CREATE TABLE ev (j jsonb, tenant text GENERATED ALWAYS AS (j->>'{K["tenant"]}') STORED, metric text GENERATED ALWAYS AS ({CASE}) STORED,
        device text GENERATED ALWAYS AS (j->>'{K["device"]}') STORED, ts bigint GENERATED ALWAYS AS (CASE WHEN j->>'{K["time"]}' ~ '^[0-9]+$' THEN (j->>'{K["time"]}')::bigint END) STORED)""")
    with open(a.data) as f:  # quote/delimiter bytes that cannot occur in JSON text keep each line one field
        cur.copy_expert("COPY ev (j) FROM STDIN WITH (FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02')", f)
    cur.execute("CREATE INDEX ON ev (tenant, metric, ts)")
    cur.execute("CREATE INDEX ON ev (tenant, device, ts)")
    cur.execute("ANALYZE ev")
    cur.execute("CHECKPOINT")
    cur.execute("SELECT count(*), pg_total_relation_size('ev') FROM ev")
    n, sz = cur.fetchone()
    c.close()
    time.sleep(0.2)
    return n, sz


class D:
    frm = "ev"

    def metric(self, m):
        return f"metric='{m}'"

    def num(self, m, f):
        return "COALESCE(" + ",".join(f"try_num(j->>'{n}')" for n in cf.names(m, f)) + ")"

    def und(self, f):
        return f"try_num(j->>'{f}')"

    def div(self, e, n):
        return f"({e} / {n})"

    def rng(self, x, y):
        return f"ts >= {x} AND ts < {y}"

    def last(self, v):
        return f"(array_agg({v} ORDER BY ts DESC))[1]"

    def distinct(self, e):
        return f"count(DISTINCT {e})"

    errors = "SELECT tenant, CASE WHEN metric IS NULL THEN 'no' ELSE 'yes' END, count(*) FROM ev WHERE ts IS NULL OR metric IS NULL GROUP BY 1, 2"


try:
    ws, cs = [], []
    for _ in range(a.load_runs):
        c0, t0 = cpu(), time.perf_counter()
        n, sz = load_pg()
        ws.append(time.perf_counter() - t0)
        cs.append(cpu() - c0)
    w, c = spread(ws), spread(cs)
    rss = (
        sum(
            int(l.split()[1])
            for p in [master] + open(f"/proc/{master}/task/{master}/children").read().split()
            for l in open(f"/proc/{p}/status")
            if l.startswith("VmHWM")
        )
        / 1024
    )
    loads = [
        {
            "job": "raw",
            "wall_s": w,
            "cpu_s": c,
            "rss_mb": rss,
            "events_per_s": ev / w["median"],
            "events_per_cpu_s": ev / c["median"],
            "mb_per_cpu_s": rb / 1e6 / c["median"],
            "us_cpu_per_event": c["median"] / ev * 1e6,
            "disk_bytes": sz,
            "value": {"rows": n},
        }
    ]
    print(
        f"raw: {w['median']:.1f}s wall {c['median']:.1f}s cpu {ev / c['median']:,.0f} ev/cpu-s disk {sz / 1e6:.0f} MB",
        flush=True,
    )
    cn = connect()
    cur = cn.cursor()

    def ex(s):
        cur.execute(s)
        return cur.fetchall()

    q = run_queries(only(a, catalogue(cf, D(), point_params(cf, a.data))), ex, a.query_runs, cpu)
    ver = cn.server_version
    cn.close()
    save(a, "postgres", str(ver), loads, {"raw": q})
finally:
    as_pg(f"{a.pgbin}/pg_ctl", "-D", pgd, "-m", "immediate", "stop")
    fresh(pgd)
