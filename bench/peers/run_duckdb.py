"""DuckDB: (raw) read_json auto-detect -> wide table; (json) one JSON column table;
(etl) validate + alias + type + dedupe + keep unknowns -> Parquet by tenant/metric/day."""

import os
import time

import duckdb
from common import Conf, args, catalogue, count_lines, fresh, load, only, point_params, run_queries, save

a = args(
    [
        (("--jobs",), {"default": "raw,jsoncol,known_only,etl"}),
        (("--memory",), {"default": "8GB"}),
        (("--skip-load",), {"action": "store_true"}),
    ]
)
jobs = a.jobs.split(",")
cf = Conf(a.config)
K = cf.k
ev, rb = count_lines(a.data), os.path.getsize(a.data)
db, pq, err = (
    os.path.join(a.work, "duck.db"),
    os.path.join(a.work, "duck_parquet"),
    os.path.join(a.work, "duck_errors.parquet"),
)


def con(path=":memory:", ro=False):
    c = duckdb.connect(path, read_only=ro)
    c.execute(f"SET threads={a.threads}; SET memory_limit='{a.memory}'; SET preserve_insertion_order=false")
    return c


def q(n):
    return '"' + n + '"'


METRIC = "CASE {x} " + " ".join(f"WHEN '{k}' THEN '{v}'" for k, v in cf.alias.items()) + " END"


def raw():
    for x in (db, db + ".wal"):
        fresh(x)
    c = con(db)
    c.execute(f"""CREATE TABLE ev AS SELECT {K["tenant"]} AS tenant, {METRIC.format(x=K["metric"])} AS metric, {K["device"]} AS device,
        TRY_CAST(CAST({K["time"]} AS VARCHAR) AS BIGINT) AS ts, * EXCLUDE ({K["tenant"]}, {K["device"]})
        FROM read_json('{a.data}', format='newline_delimited', sample_size=-1, map_inference_threshold=-1, field_appearance_threshold=0)""")
    n = c.execute("SELECT count(*) FROM ev").fetchone()[0]
    cols = [r[0] for r in c.execute("DESCRIBE ev").fetchall()]
    c.close()
    return {"rows": n, "columns": len(cols)}


def known_only():
    """Not equal work: only the declared names, all text, never-declared fields dropped. The fastest DuckDB load."""
    fresh(db + ".known")
    c = con(db + ".known")
    cols = ",".join(f"'{n}':'VARCHAR'" for n in cf.known + [K["tenant"], K["metric"], K["device"], K["time"]])
    fs = [
        f"TRY_CAST(COALESCE({','.join(q(n) for n in ns)}, NULL) AS DOUBLE) AS {q(f + '_')}"
        if num
        else f"COALESCE({','.join(q(n) for n in ns)}, NULL) AS {q(f + '_')}"
        for f, (ns, num) in cf.fields().items()
    ]
    c.execute(f"""CREATE TABLE ev AS SELECT {K["tenant"]} AS tenant, {METRIC.format(x=K["metric"])} AS metric, {K["device"]} AS device,
        TRY_CAST({K["time"]} AS BIGINT) AS ts, {",".join(fs)} FROM read_json('{a.data}', format='newline_delimited', columns={{{cols}}})""")
    n = c.execute("SELECT count(*) FROM ev").fetchone()[0]
    c.close()
    return {"rows": n}


def jsoncol():
    """Late binding: base columns extracted, the whole event kept as one JSON column."""
    fresh(db + ".json")
    c = con(db + ".json")
    c.execute(f"""CREATE TABLE evj AS SELECT b[1] AS tenant, {METRIC.format(x="b[2]")} AS metric, b[3] AS device, TRY_CAST(b[4] AS BIGINT) AS ts, j FROM
        (SELECT json AS j, json_extract_string(json, ['$.{K["tenant"]}','$.{K["metric"]}','$.{K["device"]}','$.{K["time"]}']) AS b FROM read_json_objects('{a.data}', format='newline_delimited'))""")
    n = c.execute("SELECT count(*) FROM evj").fetchone()[0]
    c.close()
    return {"rows": n}


def etl():
    fresh(pq)
    fresh(err)
    c = con()
    fs = cf.fields()
    # one extraction pass over every known name; the rest of the object goes to a map
    names = cf.known
    idx = {n: i + 1 for i, n in enumerate(names)}
    paths = "[" + ",".join(f"'$.\"{n}\"'" for n in names) + "]"
    base = [K["tenant"], K["metric"], K["time"], K["device"]]
    known = "[" + ",".join(f"'{n}'" for n in names + base) + "]"
    c.execute(f"""CREATE TEMP VIEW src AS SELECT json AS j, json_extract_string(json, ['$.{K["tenant"]}','$.{K["metric"]}','$.{K["device"]}','$.{K["time"]}']) AS b,
        json_extract_string(json, {paths}) AS v FROM read_json_objects('{a.data}', format='newline_delimited')""")
    cols = []
    for f, (ns, num) in fs.items():
        e = "COALESCE(" + ",".join(f"v[{idx[n]}]" for n in ns) + ")" if len(ns) > 1 else f"v[{idx[ns[0]]}]"
        cols.append(f"TRY_CAST({e} AS DOUBLE) AS {q(f)}" if num else f"{e} AS {q(f)}")
        if num:  # values a cast refuses are kept, as text
            cols.append(f"CASE WHEN TRY_CAST({e} AS DOUBLE) IS NULL THEN {e} END AS {q(f + '__raw')}")
    c.execute(f"""CREATE TEMP TABLE t AS SELECT b[1] AS tenant, {METRIC.format(x="b[2]")} AS metric, b[3] AS device, TRY_CAST(b[4] AS BIGINT) AS ts,
        {",".join(cols)},
        map_from_entries(list_transform(list_filter(json_keys(j), lambda k: NOT list_contains({known}, k)), lambda k: {{'k': k, 'v': json_extract_string(j, k)}})) AS unknown,
        CASE WHEN b[2] IS NULL OR TRY_CAST(b[4] AS BIGINT) IS NULL THEN j END AS bad FROM src""")
    c.execute(f"COPY (SELECT tenant, device, ts, bad FROM t WHERE bad IS NOT NULL) TO '{err}' (FORMAT parquet)")
    c.execute(f"""COPY (SELECT * EXCLUDE bad, strftime(make_timestamp(ts*1000), '%Y-%m-%d') AS day FROM
        (SELECT DISTINCT ON (tenant, device, metric, ts) * FROM t WHERE bad IS NULL) ORDER BY tenant, metric, day, device, ts)
        TO '{pq}' (FORMAT parquet, COMPRESSION zstd, PARTITION_BY (tenant, metric, day), OVERWRITE_OR_IGNORE)""")
    n = c.execute(f"SELECT count(*) FROM read_parquet('{pq}/**/*.parquet')").fetchone()[0]
    return {"rows": n}


class Raw:
    frm = "ev"

    def metric(self, m):
        return f"metric='{m}'"

    def num(self, m, f):
        return (
            "COALESCE("
            + ",".join(f"TRY_CAST(CAST({q(n)} AS VARCHAR).trim('\"') AS DOUBLE)" for n in cf.names(m, f))
            + ")"
        )

    def und(self, f):
        return f"TRY_CAST(CAST({q(f)} AS VARCHAR).trim('\"') AS DOUBLE)"

    def div(self, e, n):
        return f"({e} // {n})"

    def rng(self, x, y):
        return f"ts >= {x} AND ts < {y}"

    def last(self, v):
        return f"arg_max({v}, ts)"

    def distinct(self, e):
        return f"count(DISTINCT {e})"

    errors = f"SELECT tenant, CASE WHEN metric IS NULL THEN 'no' ELSE 'yes' END, count(*) FROM ev WHERE ts IS NULL OR {q(K['metric'])} IS NULL GROUP BY ALL"


class Json(Raw):
    frm = "evj"

    def num(self, m, f):
        return "COALESCE(" + ",".join(f"TRY_CAST(j->>'$.\"{n}\"' AS DOUBLE)" for n in cf.names(m, f)) + ")"

    def und(self, f):
        return f"TRY_CAST(j->>'$.\"{f}\"' AS DOUBLE)"

    errors = "SELECT tenant, CASE WHEN metric IS NULL THEN 'no' ELSE 'yes' END, count(*) FROM evj WHERE ts IS NULL OR metric IS NULL GROUP BY ALL"


class Pq(Raw):
    def __init__(self):
        self.frm = "pq"

    def num(self, m, f):
        return q(f)

    def und(self, f):
        return f"TRY_CAST(unknown['{f}'] AS DOUBLE)"

    def rng(self, x, y):
        dd = lambda t: time.strftime("%Y-%m-%d", time.gmtime(t / 1000))
        return f"ts >= {x} AND ts < {y} AND day >= '{dd(x)}' AND day <= '{dd(y - 1)}'"

    errors = f"SELECT tenant, count(*) FROM read_parquet('{err}') GROUP BY ALL"


loads, queries = [], {}
pts = point_params(cf, a.data)
JOBS = {
    "raw": (raw, db),
    "jsoncol": (jsoncol, db + ".json"),
    "known_only": (known_only, db + ".known"),
    "etl": (etl, pq),
}
for j in [] if a.skip_load else jobs:
    loads.append(load(j, a.load_runs, JOBS[j][0], events=ev, raw_bytes=rb, disk=JOBS[j][1]))
ok = set(jobs) if a.skip_load else {l["job"] for l in loads if "error" not in l}
for j, dialect, runs in (
    ("raw", Raw(), a.query_runs),
    ("jsoncol", Json(), min(3, a.query_runs)),
    ("etl", Pq(), a.query_runs),
):
    if j not in ok or not a.query_runs:
        continue
    c = con() if j == "etl" else con(JOBS[j][1], True)
    if j == "etl":
        c.execute(
            f"CREATE VIEW pq AS SELECT * FROM read_parquet('{pq}/**/*.parquet', hive_partitioning=true, hive_types={{'day': VARCHAR}})"
        )
    print("queries on", j)
    queries[j] = run_queries(only(a, catalogue(cf, dialect, pts)), lambda s, c=c: c.execute(s).fetchall(), runs)
    c.close()
save(a, "duckdb", duckdb.__version__, loads, queries)
