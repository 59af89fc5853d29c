"""Shared pieces of the peer scripts: metering, query catalogue, result digests.

Every script takes --config (generator config), --data (NDJSON), --work (scratch folder),
--out (result JSON), --load-runs, --query-runs. Loads run in a forked child so that CPU
seconds (user+sys, all threads) and peak RSS come from the kernel's own account.
"""

import argparse
import json
import math
import os
import pickle
import resource
import shutil
import statistics as st
import subprocess
import sys
import tempfile
import time

# ClickHouse opens several files per JSON path while it writes a part; the usual soft limit of 1024 is too low for it
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)


def args(extra=()) -> argparse.Namespace:
    """The options every peer script takes, and `extra` ones as (args, kwargs) of add_argument."""
    p = argparse.ArgumentParser()
    for k in ("config", "data", "work", "out"):
        p.add_argument("--" + k, required=True)
    p.add_argument("--load-runs", type=int, default=3)
    p.add_argument("--query-runs", type=int, default=7, help="0: load only")
    p.add_argument("--only", default="", help="comma list of queries")
    p.add_argument("--threads", type=int, default=os.cpu_count())
    for e in extra:
        p.add_argument(*e[0], **e[1])
    a = p.parse_args()
    os.makedirs(a.work, exist_ok=True)
    return a


def du(path: str) -> int:
    """Bytes in a file or a whole folder."""
    if os.path.isfile(path):
        return os.path.getsize(path)
    return sum(
        os.path.getsize(os.path.join(r, f))
        for r, _, fs in os.walk(path)
        for f in fs
        if os.path.exists(os.path.join(r, f))
    )


def fresh(path: str) -> str:
    """`path` again, with nothing there."""
    if os.path.isdir(path):
        shutil.rmtree(path)
    elif os.path.exists(path):
        os.remove(path)
    return path


def in_child(fn, *a) -> dict:
    """Run fn(*a) in a forked child -> dict(wall_s, cpu_s, rss_mb, value)."""
    tmp = tempfile.mktemp()
    t = time.perf_counter()
    pid = os.fork()
    if pid == 0:
        rc = 0
        try:
            v = fn(*a)
            with open(tmp, "wb") as f:
                pickle.dump(v, f)
        except BaseException as e:  # report, never hang the parent
            import traceback

            traceback.print_exc()
            with open(tmp, "wb") as f:
                pickle.dump({"error": f"{type(e).__name__}: {e}"[:400]}, f)
            rc = 1
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(rc)
    _, status, ru = os.wait4(pid, 0)
    wall = time.perf_counter() - t
    value = None
    if os.path.exists(tmp):
        value = pickle.load(open(tmp, "rb"))
        os.remove(tmp)
    return {
        "wall_s": wall,
        "cpu_s": ru.ru_utime + ru.ru_stime,
        "rss_mb": ru.ru_maxrss / 1024,
        "value": value,
        "ok": status == 0,
    }


def peak_rss_mb(pid: int) -> float:
    """High-water mark of one running process; 0 when it is gone or the system keeps no such file."""
    try:
        with open(f"/proc/{pid}/status") as f:
            return max((int(l.split()[1]) for l in f if l.startswith("VmHWM")), default=0) / 1024
    except OSError:
        return 0.0


def metered(command: list, **kw) -> dict:
    """Run a program to its end -> dict(wall_s, cpu_s, rss_mb, out, err, ok); CPU is that of its whole process tree.

    The kernel's own maxrss starts at the size of this script, so the peak is read from the process while it runs.
    """
    t = time.perf_counter()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = subprocess.Popen(command, stdout=out, stderr=err, **kw)
        rss, pid = 0.0, 0
        while pid == 0:
            rss = max(rss, peak_rss_mb(child.pid))
            pid, status, ru = os.wait4(child.pid, os.WNOHANG)
            if pid == 0:
                time.sleep(0.01)
        wall = time.perf_counter() - t
        child.returncode = os.waitstatus_to_exitcode(status)
        text = []
        for f in (out, err):
            f.seek(0)
            text.append(f.read().decode(errors="replace"))
    return {
        "wall_s": wall,
        "cpu_s": ru.ru_utime + ru.ru_stime,
        "rss_mb": rss or ru.ru_maxrss / 1024,
        "out": text[0],
        "err": text[1],
        "ok": child.returncode == 0,
    }


def spread(xs: list) -> dict:
    """Median, extremes and 99th percentile of the whole sample."""
    xs = sorted(xs)
    p99 = xs[min(len(xs) - 1, int(len(xs) * 0.99))]
    return {"median": st.median(xs), "min": xs[0], "max": xs[-1], "p99": p99, "n": len(xs)}


def load(name: str, runs: int, fn, *a, events: int, raw_bytes: int, disk=None, cpu_of=None) -> dict:
    """Repeat a load job; returns the row for the report."""
    rs = []
    for _ in range(runs):
        r = in_child(fn, *a)
        if cpu_of and r["ok"]:
            r["cpu_s"] += cpu_of(r["value"])
        rs.append(r)
        if not r["ok"]:
            break
    bad = [r for r in rs if not r["ok"]]
    if bad:
        row = {"job": name, "error": (bad[0]["value"] or {}).get("error", "killed"), "rss_mb": bad[0]["rss_mb"]}
        print(name, "FAILED", row["error"], flush=True)
        return row
    w, c = spread([r["wall_s"] for r in rs]), spread([r["cpu_s"] for r in rs])
    row = {
        "job": name,
        "wall_s": w,
        "cpu_s": c,
        "rss_mb": max(r["rss_mb"] for r in rs),
        "events_per_s": events / w["median"],
        "events_per_cpu_s": events / c["median"],
        "mb_per_cpu_s": raw_bytes / 1e6 / c["median"],
        "us_cpu_per_event": c["median"] / events * 1e6,
        "disk_bytes": du(disk) if disk else None,
        "value": rs[-1]["value"],
    }
    print(
        f"{name}: {w['median']:.2f}s wall {c['median']:.2f}s cpu  {row['events_per_cpu_s']:,.0f} ev/cpu-s  rss {row['rss_mb']:.0f} MB  disk {(row['disk_bytes'] or 0) / 1e6:.1f} MB",
        flush=True,
    )
    return row


class Conf:
    """Generator config as the query catalogue sees it."""

    def __init__(self, path: str):
        self.c = json.load(open(path))
        self.k = self.c["keys"]
        self.metrics = {m["id"]: m for m in self.c["metrics"]}
        self.alias = {a: m["id"] for m in self.c["metrics"] for a in m["aliases"]}
        self.roles = self.c.get("roles", {})  # none in a config that is only loaded
        self.t0 = self.c["start_ms"]
        self.t1 = self.t0 + int(self.c["days"] * 86400000)
        self.known = sorted({n for m in self.c["metrics"] for f in m["fields"] for n in f["names"]})

    def names(self, metric, field):
        return next(f for f in self.metrics[metric]["fields"] if f["id"] == field)["names"]

    def is_num(self, f):
        return not (f.get("enum") or f.get("tag_count") or f.get("tag"))

    def fields(self):
        """canonical field -> (names over all metrics, numeric?) for one wide table."""
        out = {}
        for m in self.c["metrics"]:
            for f in m["fields"]:
                n, num = out.setdefault(f["id"], ([], self.is_num(f)))
                n += [x for x in f["names"] if x not in n]
        return out


def point_params(cf: Conf, data: str, k: int = 20) -> list:
    """k (device, hour start) pairs taken from fixed lines of the data file (same for every peer)."""
    size, out = os.path.getsize(data), []
    with open(data, "rb") as f:
        for i in range(k):
            f.seek(int(size * (i + 0.5) / k))
            f.readline()
            for _ in range(200):
                e = json.loads(f.readline() or b"{}")
                if cf.alias.get(e.get(cf.k["metric"])) == cf.roles["avg"]["metric"] and isinstance(
                    e.get(cf.k["time"]), int
                ):
                    out.append((e[cf.k["tenant"]], e[cf.k["device"]], e[cf.k["time"]] - 1_800_000))
                    break
    return out


def catalogue(cf: Conf, d, points: list) -> dict:
    """The query set, in dialect d. d gives: frm, metric(m), num(m,f), und(field), div(e,n), rng(a,b), last(v), distinct(e), errors (sql or None)."""
    R, T, S = cf.roles, cf.roles["tenant"], cf.roles["small_tenant"]
    A, H, K, U = R["avg"], R["high"], R["topk"], R["undeclared"]
    day = cf.t0 + 3 * 86400000
    hr = day + 10 * 3600000
    ten, M = f"tenant='{T}'", d.metric
    av, hi, tk, un = (
        d.num(A["metric"], A["field"]),
        d.num(H["metric"], H["field"]),
        d.num(K["metric"], K["field"]),
        d.und(U["field"]),
    )
    hour = d.div("ts", 3600000)
    q = {
        "q01_last_point": f"SELECT device, {d.last(av)}, max(ts) FROM {d.frm} WHERE {ten} AND {M(A['metric'])} AND {av} IS NOT NULL AND ts IS NOT NULL GROUP BY device",
        "q02_hourly_avg_1d": f"SELECT {hour} AS h, avg({av}), count(*) FROM {d.frm} WHERE {ten} AND {M(A['metric'])} AND {d.rng(day, day + 86400000)} GROUP BY h ORDER BY h",
        "q03_high_load_1d": f"SELECT count(*), {d.distinct('device')} FROM {d.frm} WHERE {ten} AND {M(H['metric'])} AND {d.rng(cf.t1 - 86400000, cf.t1)} AND {hi} > {H['threshold']}",
        "q04_group_device_all": f"SELECT device, count(*), avg({av}), min({av}), max({av}) FROM {d.frm} WHERE {ten} AND {M(A['metric'])} GROUP BY device",
        "q05_topk": f"SELECT device, max({tk}) AS v FROM {d.frm} WHERE {ten} AND {M(K['metric'])} AND {tk} IS NOT NULL GROUP BY device ORDER BY v DESC, device LIMIT 10",
        "q06_undeclared_cast": f"SELECT count(*), avg({un}) FROM {d.frm} WHERE {ten} AND {un} {U['op']} {U['value']}",
        "q07_count_distinct": f"SELECT metric, {d.distinct('device')} FROM {d.frm} WHERE {ten} AND metric IS NOT NULL GROUP BY metric",
        "q08_range_1h": f"SELECT count(*), avg({av}) FROM {d.frm} WHERE {ten} AND {M(A['metric'])} AND {d.rng(hr, hr + 3600000)}",
        "q09_range_full": f"SELECT count(*), avg({av}), max({av}) FROM {d.frm} WHERE {ten} AND {M(A['metric'])}",
        "q12_small_tenant_1d": f"SELECT metric, {hour} AS h, count(*) FROM {d.frm} WHERE tenant='{S}' AND metric IS NOT NULL AND {d.rng(day, day + 86400000)} GROUP BY metric, h",
        "q13_device_hour_1d": f"SELECT device, {hour} AS h, avg({av}) FROM {d.frm} WHERE {ten} AND {M(A['metric'])} AND {d.rng(day, day + 86400000)} GROUP BY device, h",
    }
    q["q10_point_lookup"] = [
        f"SELECT ts, {av} FROM {d.frm} WHERE tenant='{t}' AND {M(A['metric'])} AND device='{dev}' AND {d.rng(a, a + 3600000)}"
        for t, dev, a in points
    ]
    if d.errors:
        q["q11_error_records"] = d.errors
    return q


def digest(rows) -> list:
    """Engine-independent: row count and the sum of every numeric cell (6 significant digits)."""
    n, s = 0, 0.0
    for r in rows:
        n += 1
        for x in r:
            if isinstance(x, bool) or x is None or isinstance(x, str):
                continue
            x = float(x)
            if math.isfinite(x):
                s += x
    return [n, float(f"{s:.6g}")]


def only(a, queries: dict) -> dict:
    """The queries that were asked for; all unless --only names some."""
    wanted = a.only.split(",") if a.only else list(queries)
    return {k: v for k, v in queries.items() if k in wanted}


def run_queries(qs: dict, execute, runs: int, cpu=None) -> dict:
    """execute(sql) -> rows. One untimed warm-up, then `runs` timed runs each."""
    cpu = cpu or (lambda: sum(resource.getrusage(resource.RUSAGE_SELF)[:2]))
    out = {}
    for name in sorted(qs):
        sqls = qs[name] if isinstance(qs[name], list) else [qs[name]]
        try:
            t = time.perf_counter()
            rows = [r for s in sqls for r in execute(s)]
            first = time.perf_counter() - t
            ws, cs = [], []
            for _ in range(runs if len(sqls) == 1 else 10):
                for s in sqls:
                    c0, t0 = cpu(), time.perf_counter()
                    list(execute(s))
                    ws.append((time.perf_counter() - t0) * 1e3)
                    cs.append((cpu() - c0) * 1e3)
                if sum(ws) > 20000:
                    break
            out[name] = {
                "ms": spread(ws),
                "cpu_ms": spread(cs),
                "first_ms": first * 1e3 / len(sqls),
                "digest": digest(rows),
            }
            print(
                f"  {name}: {out[name]['ms']['median']:.1f} ms (cpu {out[name]['cpu_ms']['median']:.1f}) {out[name]['digest']}",
                flush=True,
            )
        except Exception as e:
            out[name] = {"error": f"{type(e).__name__}: {e}"[:300]}
            print(f"  {name}: ERROR {out[name]['error']}", flush=True)
    return out


def distinct_errors(cf: Conf, data: str) -> dict:
    """Error events per tenant as an exactly-once store counts them: one that carries no time goes by its arrival,
    so each of its lines counts; any other collapses with its re-sends, whatever the order of their keys."""
    seen: dict = {}
    anonymous: dict = {}
    with open(data, "rb") as f:
        for line in f:
            e = json.loads(line)
            t = e.get(cf.k["time"])
            if cf.k["metric"] in e and isinstance(t, int):
                continue
            tenant = e[cf.k["tenant"]]
            if t is None:
                anonymous[tenant] = anonymous.get(tenant, 0) + 1
            else:
                seen.setdefault(tenant, set()).add(json.dumps(e, sort_keys=True))
    return {t: anonymous.get(t, 0) + len(seen.get(t, ())) for t in sorted({*anonymous, *seen})}


def count_lines(path: str) -> int:
    n = 0
    with open(path, "rb") as f:
        while b := f.read(1 << 22):
            n += b.count(b"\n")
    return n


def save(a, peer: str, version: str, loads: list, queries: dict) -> None:
    """Writes the result file that report.py reads."""
    json.dump(
        {
            "peer": peer,
            "version": version,
            "data": os.path.basename(a.data),
            "data_bytes": os.path.getsize(a.data),
            "events": count_lines(a.data),
            "threads": a.threads,
            "loads": loads,
            "queries": queries,
        },
        open(a.out, "w"),
        indent=1,
    )
