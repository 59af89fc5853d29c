"""Truck fleet (TSBS-IoT-like), no drift: DuckDB and chDB load the NDJSON; VictoriaMetrics and InfluxDB 1.x (where their
binaries are given) take the same rows as line protocol over loopback HTTP (conversion is not timed). Six TSBS-style queries."""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.parse
import urllib.request

from common import args, count_lines, du, fresh, in_child, load, run_queries, save, spread

a = args([(("--victoria",), {"default": ""}), (("--influxd",), {"default": ""})])
F = os.path.abspath(a.data)
ev, rb = count_lines(a.data), os.path.getsize(a.data)
dd, cd, lp = (os.path.join(os.path.abspath(a.work), x) for x in ("duck.db", "ch", "truck.lp"))
c0 = json.load(open(a.config))
T0 = c0["start_ms"]
with open(F, "rb") as f:  # the last day present in this file, whole days
    f.seek(max(0, rb - 65536))
    T1 = max(json.loads(l)["timestamp"] for l in f.read().split(b"\n")[1:] if l)
T1 = T0 + -(-(T1 - T0) // 86400000) * 86400000
TAGS = ["fleet", "driver", "model", "device_version"]


def duck():
    import duckdb

    fresh(dd)
    c = duckdb.connect(dd)
    c.execute(f"SET threads={a.threads}; SET preserve_insertion_order=false")
    c.execute(
        f"CREATE TABLE ev AS SELECT * FROM read_json('{F}', format='newline_delimited', sample_size=20000) ORDER BY metrictype, device, timestamp"
    )
    n = c.execute("SELECT count(*) FROM ev").fetchone()[0]
    c.close()
    return {"rows": n}


def ch():
    from chdb import session

    fresh(cd)
    s = session.Session(cd)
    s.query(f"SET max_threads={a.threads}")
    s.query("CREATE DATABASE b ENGINE=Atomic")
    cols = {}
    for m in c0["metrics"]:
        for f in m["fields"]:
            cols[f["id"]] = (
                "Nullable(Float64)"
                if f.get("types") or (f.get("tag") and not isinstance(f["tag"][0], str))
                else "LowCardinality(Nullable(String))"
            )
    s.query(
        "CREATE TABLE b.ev (tenant LowCardinality(String), metrictype LowCardinality(String), device LowCardinality(String), timestamp Int64, "
        + ",".join(f"{k} {v}" for k, v in cols.items())
        + ") ENGINE=MergeTree ORDER BY (metrictype, device, timestamp)"
    )
    s.query(f"INSERT INTO b.ev SELECT * FROM file('{F}','JSONEachRow')")
    n = int(str(s.query("SELECT count() FROM b.ev", "TSV")))
    d = int(str(s.query("SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND table='ev'", "TSV")))
    s.close()
    return {"rows": n, "active_bytes": d}


def Q(t, argmax, div):
    day = T1 - 86400000
    return {
        "t1_last_loc": f"SELECT device, {argmax.format('latitude')}, {argmax.format('longitude')} FROM {t} WHERE metrictype='readings' AND latitude IS NOT NULL AND longitude IS NOT NULL GROUP BY device",
        "t2_high_load": f"SELECT device, {argmax.format('current_load')} l, max(load_capacity) c FROM {t} WHERE metrictype='diagnostics' AND fleet='South' AND current_load IS NOT NULL GROUP BY device HAVING {argmax.format('current_load')} > 0.9 * max(load_capacity)",
        "t3_low_fuel": f"SELECT device, {argmax.format('fuel_state')} l FROM {t} WHERE metrictype='diagnostics' AND fleet='West' AND fuel_state IS NOT NULL GROUP BY device HAVING {argmax.format('fuel_state')} < 0.1",
        "t4_avg_vs_projected": f"SELECT fleet, avg(fuel_consumption), avg(nominal_fuel_consumption) FROM {t} WHERE metrictype='readings' AND velocity > 1 AND fleet IS NOT NULL GROUP BY fleet",
        "t5_avg_load": f"SELECT fleet, model, avg(current_load / load_capacity) FROM {t} WHERE metrictype='diagnostics' AND fleet IS NOT NULL AND model IS NOT NULL GROUP BY fleet, model",
        "t6_daily_activity": f"SELECT fleet, {div.format(600000)} b, avg(velocity) FROM {t} WHERE metrictype='readings' AND fleet IS NOT NULL AND timestamp >= {day} GROUP BY fleet, b",
    }


def q_duck():
    import duckdb

    c = duckdb.connect(dd, read_only=True)
    return run_queries(
        Q("ev", "arg_max({}, timestamp)", "timestamp // {}"), lambda s: c.execute(s).fetchall(), a.query_runs
    )


def q_ch():
    from chdb import session

    s = session.Session(cd)
    s.query("SET output_format_json_quote_64bit_integers=0")
    return run_queries(
        Q("b.ev", "argMax({}, timestamp)", "intDiv(timestamp, {})"),
        lambda x: [json.loads(r) for r in str(s.query(x, "JSONCompactEachRow")).splitlines()],
        a.query_runs,
    )


def to_line_protocol():
    n = 0
    with open(F) as f, open(lp, "w") as o:
        for l in f:
            e = json.loads(l)
            tags = "".join(f",{k}={e[k]}" for k in TAGS if k in e)
            vals = ",".join(
                f"{k}={v}" for k, v in e.items() if k not in TAGS and isinstance(v, (int, float)) and k != "timestamp"
            )
            n += vals.count("=")
            o.write(f"{e['metrictype']},name={e['device']}{tags} {vals} {e['timestamp']}000000\n")
    return n


def proc_cpu(pid):
    f = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(f[11]) + int(f[12])) / os.sysconf("SC_CLK_TCK")


def free_port():
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    p = s.getsockname()[1]
    s.close()
    return p


def server(name, cmd, port, data, health, write, queries, prep=None, settle=3):
    p = subprocess.Popen(cmd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}{health}", timeout=2)
                break
            except Exception:
                time.sleep(0.2)
        if prep:
            urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}{prep}", data=b"")).read()
        t, c = time.perf_counter(), proc_cpu(p.pid)
        with open(lp, "rb") as f:
            while b := f.read(4 << 20):
                b += f.readline()
                urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}{write}", data=b)).read()
        wall = time.perf_counter() - t
        time.sleep(settle)
        cpu = proc_cpu(p.pid) - c
        out = {}
        for k, u in queries.items():
            ws, cs, n = [], [], 0
            for i in range(6):
                c1, t1 = proc_cpu(p.pid), time.perf_counter()
                n = len(urllib.request.urlopen(f"http://127.0.0.1:{port}{u}").read())
                if i:
                    ws.append((time.perf_counter() - t1) * 1e3)
                    cs.append((proc_cpu(p.pid) - c1) * 1e3)
            out[k] = {"ms": spread(ws), "cpu_ms": spread(cs), "reply_bytes": n}
            print(" ", name, k, out[k], flush=True)
        rss = next(int(l.split()[1]) for l in open(f"/proc/{p.pid}/status") if l.startswith("VmHWM")) / 1024
        p.send_signal(signal.SIGTERM)
        p.wait(60)
        row = {
            "job": name + "_line_protocol",
            "wall_s": spread([wall]),
            "cpu_s": spread([cpu]),
            "rss_mb": rss,
            "events_per_s": ev / wall,
            "events_per_cpu_s": ev / cpu,
            "mb_per_cpu_s": os.path.getsize(lp) / 1e6 / cpu,
            "us_cpu_per_event": cpu / ev * 1e6,
            "disk_bytes": du(data),
            "value": {"points": points},
        }
        print(row, flush=True)
        return row, out
    finally:
        if p.poll() is None:
            p.kill()


loads = [
    load("duckdb_auto", a.load_runs, duck, events=ev, raw_bytes=rb, disk=dd),
    load("chdb_typed", a.load_runs, ch, events=ev, raw_bytes=rb, disk=cd),
]
if "value" in loads[-1]:
    loads[-1]["disk_bytes"] = loads[-1]["value"]["active_bytes"]
out = {"duckdb": in_child(q_duck)["value"], "chdb": in_child(q_ch)["value"]} if a.query_runs else {}
if a.victoria or a.influxd:
    points = to_line_protocol()
    enc = urllib.parse.quote
if a.victoria:
    port, d = free_port(), fresh(os.path.join(os.path.abspath(a.work), "vm"))
    r, q = server(
        "victoriametrics",
        [
            a.victoria,
            f"-storageDataPath={d}",
            f"-httpListenAddr=127.0.0.1:{port}",
            "-retentionPeriod=100y",
            "-search.latencyOffset=0s",
            "-search.disableCache",
        ],
        port,
        d,
        "/health",
        "/write",
        {
            "t1_last_loc": f"/api/v1/query?query={enc('last_over_time(readings_latitude[3d])')}&time={T1 // 1000}",
            "t6_daily_activity": f"/api/v1/query_range?query={enc('avg(avg_over_time(readings_velocity[10m])) by (fleet)')}&start={(T1 - 86400000) // 1000}&end={T1 // 1000}&step=600",
        },
    )
    loads.append(r)
    out["victoriametrics"] = q
if a.influxd:
    port, rpc, d = free_port(), free_port(), fresh(os.path.join(os.path.abspath(a.work), "influx"))
    os.makedirs(d)
    cfg = os.path.join(d, "c.conf")
    open(cfg, "w").write(
        f'reporting-disabled = true\nbind-address = "127.0.0.1:{rpc}"\n[meta]\n dir = "{d}/meta"\n[data]\n dir = "{d}/data"\n wal-dir = "{d}/wal"\n index-version = "tsi1"\n[http]\n bind-address = "127.0.0.1:{port}"\n log-enabled = false\n max-body-size = 0\n'
    )
    day = f"time >= {T1 - 86400000}ms AND time < {T1}ms"
    r, q = server(
        "influxdb16",
        [a.influxd, "-config", cfg],
        port,
        d,
        "/ping",
        "/write?db=b",
        {
            "t1_last_loc": "/query?db=b&q=" + enc('SELECT last(latitude), longitude FROM readings GROUP BY "name"'),
            "t6_daily_activity": "/query?db=b&q="
            + enc(f"SELECT mean(velocity) FROM readings WHERE {day} GROUP BY fleet, time(10m)"),
        },
        prep="/query?q=" + enc("CREATE DATABASE b"),
    )
    loads.append(r)
    out["influxdb16"] = q
save(a, "truck", "see loads", loads, out)
