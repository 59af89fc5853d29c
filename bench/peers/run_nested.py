"""JSONBench-like nested events: load as JSON into DuckDB and chDB, then the five JSONBench-style questions
(Q1 events per collection, Q2 + distinct users, Q3 per hour, Q4 three earliest posters, Q5 three longest activity spans)."""

import json
import os

from common import args, count_lines, fresh, in_child, load, run_queries, save

a = args()
F = os.path.abspath(a.data)
ev, rb = count_lines(a.data), os.path.getsize(a.data)
dd, cd = os.path.join(a.work, "duck.db"), os.path.join(a.work, "ch")


def duck():
    import duckdb

    fresh(dd)
    c = duckdb.connect(dd)
    c.execute(f"SET threads={a.threads}; SET preserve_insertion_order=false")
    c.execute(f"CREATE TABLE t AS SELECT json AS j FROM read_json_objects('{F}', format='newline_delimited')")
    n = c.execute("SELECT count(*) FROM t").fetchone()[0]
    c.close()
    return {"rows": n}


def duck_struct():
    import duckdb

    fresh(dd + ".s")
    c = duckdb.connect(dd + ".s")
    c.execute(f"SET threads={a.threads}; SET preserve_insertion_order=false")
    c.execute(f"CREATE TABLE t AS SELECT * FROM read_json('{F}', format='newline_delimited', sample_size=20000)")
    n = c.execute("SELECT count(*) FROM t").fetchone()[0]
    c.close()
    return {"rows": n}


def ch():
    from chdb import session

    fresh(cd)
    s = session.Session(cd)
    s.query(f"SET max_threads={a.threads}")
    s.query("CREATE DATABASE b ENGINE=Atomic")
    s.query("""CREATE TABLE b.t (j JSON(kind LowCardinality(String), did String, time_us UInt64, commit.operation LowCardinality(String), commit.collection LowCardinality(String)))
        ENGINE=MergeTree ORDER BY (j.kind, j.commit.operation, j.commit.collection, j.did, fromUnixTimestamp64Micro(j.time_us))""")
    s.query(f"INSERT INTO b.t SELECT json FROM file('{F}','JSONAsObject')")
    n = int(str(s.query("SELECT count() FROM b.t", "TSV")))
    dsk = int(str(s.query("SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND table='t'", "TSV")))
    s.close()
    return {"rows": n, "active_bytes": dsk}


def qs(col, kind, op, did, us, hour, mind, span, dist):
    w = f"{kind}='commit' AND {op}='create'"
    feed = f"{col} IN ('app.feed.post','app.feed.repost','app.feed.like')"
    return {
        "n1_events": f"SELECT {col} e, count(*) c FROM T GROUP BY e ORDER BY c DESC",
        "n2_events_users": f"SELECT {col} e, count(*) c, {dist.format(did)} u FROM T WHERE {w} GROUP BY e ORDER BY c DESC",
        "n3_per_hour": f"SELECT {col} e, {hour} h, count(*) c FROM T WHERE {w} AND {feed} GROUP BY e, h ORDER BY h, e",
        "n4_first_posters": f"SELECT {did} u, min({us}) m FROM T WHERE {w} AND {col}='app.feed.post' GROUP BY u ORDER BY m LIMIT 3",
        "n5_longest_span": f"SELECT {did} u, max({us}) - min({us}) m FROM T WHERE {w} AND {col}='app.feed.post' GROUP BY u ORDER BY m DESC LIMIT 3",
    }


loads = [
    load("duckdb_json", a.load_runs, duck, events=ev, raw_bytes=rb, disk=dd),
    load("duckdb_struct", a.load_runs, duck_struct, events=ev, raw_bytes=rb, disk=dd + ".s"),
    load("chdb_json", a.load_runs, ch, events=ev, raw_bytes=rb, disk=cd),
]
if "value" in loads[-1]:
    loads[-1]["disk_bytes"] = loads[-1]["value"]["active_bytes"]
out = {}


def q_duck(path, t):
    import duckdb

    c = duckdb.connect(path, read_only=True)
    return run_queries(
        {k: v.replace("FROM T", "FROM t") for k, v in t.items()}, lambda s: c.execute(s).fetchall(), a.query_runs
    )


def q_ch():
    from chdb import session

    s = session.Session(cd)
    t = qs(
        "j.commit.collection",
        "j.kind",
        "j.commit.operation",
        "j.did",
        "toInt64(j.time_us)",
        "toHour(fromUnixTimestamp64Micro(toInt64(j.time_us)), 'UTC')",
        "",
        "",
        "uniqExact({})",
    )
    s.query("SET output_format_json_quote_64bit_integers=0")
    return run_queries(
        {k: v.replace("FROM T", "FROM b.t") for k, v in t.items()},
        lambda x: [json.loads(r) for r in str(s.query(x, "JSONCompactEachRow")).splitlines()],
        a.query_runs,
    )


jx = lambda p: f"(j->>'$.{p}')"
us = jx("time_us") + "::BIGINT"
out["duckdb_json"] = in_child(
    q_duck,
    dd,
    qs(
        jx("commit.collection"),
        jx("kind"),
        jx("commit.operation"),
        jx("did"),
        us,
        f"({us} // 3600000000) % 24",
        "",
        "",
        "count(DISTINCT {})",
    ),
)["value"]
out["duckdb_struct"] = in_child(
    q_duck,
    dd + ".s",
    qs(
        "commit.collection",
        "kind",
        "commit.operation",
        "did",
        "time_us",
        "(time_us // 3600000000) % 24",
        "",
        "",
        "count(DISTINCT {})",
    ),
)["value"]
out["chdb_json"] = in_child(q_ch)["value"]
save(a, "nested", "see loads", loads, out)
