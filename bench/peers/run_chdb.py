"""chDB (ClickHouse in process): (raw) MergeTree with extracted base columns + JSON-typed payload;
(etl) validate + alias + type + dedupe + unknown Map -> typed MergeTree; (etl_parquet) the same -> partitioned Parquet files."""

import importlib.metadata
import json
import os

from common import Conf, args, catalogue, count_lines, fresh, in_child, load, only, point_params, run_queries, save

a = args([(("--jobs",), {"default": "raw,etl,etl_parquet"})])
jobs = a.jobs.split(",")
cf = Conf(a.config)
K = cf.k
ev, rb = count_lines(a.data), os.path.getsize(a.data)
d_raw, d_etl, d_pq = (os.path.join(a.work, x) for x in ("ch_raw", "ch_etl", "ch_parquet"))
F = os.path.abspath(a.data)


def sess(path):
    from chdb import session

    s = session.Session(path)
    for x in (f"max_threads={a.threads}", "allow_experimental_json_type=1", "max_partitions_per_insert_block=5000"):
        s.query("SET " + x)
    return s


AL = "[" + ",".join(f"'{k}'" for k in cf.alias) + "],[" + ",".join(f"'{v}'" for v in cf.alias.values()) + "]"
bt = lambda n: "`" + n + "`"
LC = "LowCardinality(Nullable(String))"


def raw():
    fresh(d_raw)
    s = sess(d_raw)
    s.query("CREATE DATABASE IF NOT EXISTS b ENGINE=Atomic")
    s.query(f"""CREATE TABLE b.ev (tenant LowCardinality(String), metric {LC}, device LowCardinality(String), ts Nullable(Int64), j JSON)
        ENGINE=MergeTree ORDER BY (tenant, metric, device, ts) SETTINGS allow_nullable_key=1""")
    s.query(f"""INSERT INTO b.ev SELECT CAST(json.{K["tenant"]},'String'), nullIf(transform(CAST(json.{K["metric"]},'Nullable(String)'), {AL}, ''), ''),
        CAST(json.{K["device"]},'String'), toInt64OrNull(CAST(json.{K["time"]},'Nullable(String)')), json FROM file('{F}','JSONAsObject')""")
    n = int(str(s.query("SELECT count() FROM b.ev", "TSV")))
    dsk = int(str(s.query("SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND table='ev'", "TSV")))
    s.close()
    return {"rows": n, "active_bytes": dsk}


def etl_select():
    # one parse per event: key/value pairs -> map; everything else reads the map
    known = "[" + ",".join(f"'{n}'" for n in cf.known + list(K.values())) + "]"
    cols = []
    for f, (ns, num) in cf.fields().items():
        e = "coalesce(" + ",".join(f"if(mapContains(m,'{n}'), m['{n}'], NULL)" for n in ns) + ")"
        cols.append(f"toFloat64OrNull({e}) AS {bt(f)}" if num else f"CAST({e}, '{LC}') AS {bt(f)}")
        if num:
            cols.append(f"if(isNull({bt(f)}), {e}, NULL) AS {bt(f + '__raw')}")
    return f"""SELECT m['{K["tenant"]}'] AS tenant, transform(m['{K["metric"]}'], {AL}, '') AS metric, m['{K["device"]}'] AS device,
        toInt64OrNull(m['{K["time"]}']) AS ts, {",".join(cols)}, mapFilter((k, v) -> NOT has({known}, k), m) AS unknown,
        if(metric = '' OR isNull(ts), json, NULL) AS bad
        FROM (SELECT json, CAST(JSONExtractKeysAndValues(json, 'String'), 'Map(String,String)') AS m FROM file('{F}','JSONAsString'))"""


def etl():
    fresh(d_etl)
    s = sess(d_etl)
    s.query("CREATE DATABASE IF NOT EXISTS b ENGINE=Atomic")
    cols = []
    for f, (_, num) in cf.fields().items():
        cols.append(f"{bt(f)} {'Nullable(Float64)' if num else LC}")
        if num:
            cols.append(f"{bt(f + '__raw')} Nullable(String)")
    s.query(f"""CREATE TABLE b.ev (tenant LowCardinality(String), metric LowCardinality(String), device LowCardinality(String), ts Int64, {",".join(cols)}, unknown Map(String,String))
        ENGINE=MergeTree PARTITION BY toYYYYMMDD(fromUnixTimestamp64Milli(ts)) ORDER BY (tenant, metric, device, ts)""")
    s.query("CREATE TABLE b.err (tenant String, metric String, j String) ENGINE=MergeTree ORDER BY tenant")
    s.query(
        f"INSERT INTO b.ev SELECT * EXCEPT bad FROM ({etl_select()}) WHERE isNull(bad) LIMIT 1 BY tenant, device, metric, ts"
    )
    s.query(f"""INSERT INTO b.err SELECT JSONExtractString(json,'{K["tenant"]}'), JSONExtractString(json,'{K["metric"]}'), json FROM file('{F}','JSONAsString')
        WHERE JSONExtractString(json,'{K["metric"]}') = '' OR JSONType(json,'{K["time"]}') NOT IN ('Int64','UInt64')""")
    n = int(str(s.query("SELECT count() FROM b.ev", "TSV")))
    dsk = int(str(s.query("SELECT sum(bytes_on_disk) FROM system.parts WHERE active", "TSV")))
    s.close()
    return {"rows": n, "active_bytes": dsk}


def etl_parquet():
    fresh(d_pq)
    os.makedirs(d_pq)
    s = sess(os.path.join(a.work, "ch_tmp"))
    out = os.path.join(os.path.abspath(d_pq), "p_{_partition_id}.parquet")
    s.query(f"""INSERT INTO FUNCTION file('{out}', 'Parquet') PARTITION BY concat(tenant,'-',metric,'-',toString(toYYYYMMDD(fromUnixTimestamp64Milli(assumeNotNull(ts)))))
        SELECT * EXCEPT bad FROM (SELECT * FROM ({etl_select()}) WHERE isNull(bad) LIMIT 1 BY tenant, device, metric, ts) ORDER BY tenant, metric, device, ts
        SETTINGS output_format_parquet_compression_method='zstd'""")
    n = int(str(s.query(f"SELECT count() FROM file('{os.path.abspath(d_pq)}/*.parquet')", "TSV")))
    s.close()
    return {"rows": n}


class Raw:
    frm = "b.ev"

    def metric(self, m):
        return f"metric='{m}'"

    def num(self, m, f):
        return (
            "coalesce(" + ",".join(f"toFloat64OrNull(CAST(j.{bt(n)},'Nullable(String)'))" for n in cf.names(m, f)) + ")"
        )

    def und(self, f):
        return f"toFloat64OrNull(CAST(j.{bt(f)},'Nullable(String)'))"

    def div(self, e, n):
        return f"intDiv({e}, {n})"

    def rng(self, x, y):
        return f"ts >= {x} AND ts < {y}"

    def last(self, v):
        return f"argMax({v}, ts)"

    def distinct(self, e):
        return f"uniqExact({e})"

    errors = "SELECT tenant, if(isNull(metric), 'no', 'yes'), count() FROM b.ev WHERE isNull(ts) OR isNull(metric) GROUP BY 1, 2"


class Etl(Raw):
    def num(self, m, f):
        return bt(f)

    def und(self, f):
        return f"toFloat64OrNull(unknown['{f}'])"

    def rng(self, x, y):
        return f"ts >= {x} AND ts < {y} AND fromUnixTimestamp64Milli(ts) >= fromUnixTimestamp64Milli({x}) AND fromUnixTimestamp64Milli(ts) < fromUnixTimestamp64Milli({y})"

    errors = "SELECT tenant, count() FROM b.err GROUP BY 1"


def queries_in(path, dialect, pts):
    s = sess(path)
    s.query("SET output_format_json_quote_64bit_integers=0")

    def ex(sql):
        r = str(s.query(sql, "JSONCompactEachRow"))
        return [json.loads(x) for x in r.splitlines()]

    out = run_queries(only(a, catalogue(cf, dialect, pts)), ex, a.query_runs)
    s.close()
    return out


loads, queries = [], {}
pts = point_params(cf, a.data)
LOADS = {"raw": (raw, d_raw), "etl": (etl, d_etl), "etl_parquet": (etl_parquet, d_pq)}
for j in jobs:
    fn, path = LOADS[j]
    row = load(j, a.load_runs, fn, events=ev, raw_bytes=rb, disk=path)
    if "active_bytes" in (row.get("value") or {}):  # the folder also holds logs and merged-away parts
        row["disk_bytes"] = row["value"]["active_bytes"]
    loads.append(row)
for n, p, dl in (("raw", d_raw, Raw()), ("etl", d_etl, Etl())):
    if n not in jobs or a.query_runs == 0:
        continue
    print("queries on", n)
    r = in_child(queries_in, p, dl, pts)
    queries[n] = r["value"] if r["ok"] else {"_": {"error": str(r["value"])}}
save(a, "chdb", importlib.metadata.version("chdb"), loads, queries)
