"""The query catalogue in Fineo's dialect: each tenant has a session of its own and a table per metric, so what the peers
filter by (tenant, metric) is here the choice of session and table. The digests must equal those of the etl peers.

A query is {"parts": [{"tenant", "sql"}, ...], "each": bool}: parts of one query are timed together, with `each` one by one.
usage: fineo_queries.py --config C.json --data F.ndjson --out Q.json"""

import argparse
import json
import time

from common import Conf, point_params

DAY, HOUR = 86_400_000, 3_600_000
TS = 'CAST("timestamp" AS BIGINT) / 1000'  # epoch milliseconds, as the peers store them
HOURS = 'CAST("timestamp" AS BIGINT) / 3600000000'


def name(n: str) -> str:
    return '"' + n.replace('"', '""') + '"'


def instant(ms: int) -> str:
    """RFC 3339 text, which a comparison with the time column accepts."""
    return time.strftime("'%Y-%m-%dT%H:%M:%S", time.gmtime(ms // 1000)) + f".{ms % 1000:03}Z'"


def within(start: int, end: int) -> str:
    return f'"timestamp" >= {instant(start)} AND "timestamp" < {instant(end)}'


def small_tenant_day(cf: Conf, day: int) -> str:
    """q12: rows per metric and hour of one day; also asked of the large tenant, to compare (row 25)."""
    return " UNION ALL ".join(
        f"SELECT '{m}' AS metric, {HOURS} AS h, count(*) AS n FROM {name(m)} WHERE {within(day, day + DAY)} GROUP BY {HOURS}"
        for m in cf.metrics
    )


def undeclared(cf: Conf, field: str, op: str, value: float) -> str:
    """q06: one never-declared name over all metrics, cast where it can be."""
    every = " UNION ALL ".join(f"SELECT TRY_CAST({name(field)} AS DOUBLE) AS v FROM {name(m)}" for m in cf.metrics)
    return f"SELECT count(*), avg(v) FROM ({every}) AS t WHERE v {op} {value}"


def catalogue(cf: Conf, points: list) -> dict:
    """All thirteen queries, q12 once more for the large tenant, and a count of everything."""
    roles = cf.roles
    tenant, small = roles["tenant"], roles["small_tenant"]
    device, avg, high, topk = name(cf.k["device"]), roles["avg"], roles["high"], roles["topk"]
    table, value = name(avg["metric"]), name(avg["field"])
    day = cf.t0 + 3 * DAY
    hour = day + 10 * HOUR
    one = {
        "q01_last_point": f'SELECT {device}, last_value({value} ORDER BY "timestamp"), max({TS}) FROM {table} WHERE {value} IS NOT NULL GROUP BY {device}',
        "q02_hourly_avg_1d": f"SELECT {HOURS} AS h, avg({value}), count(*) FROM {table} WHERE {within(day, day + DAY)} GROUP BY {HOURS} ORDER BY h",
        "q03_high_load_1d": f"SELECT count(*), count(DISTINCT {device}) FROM {name(high['metric'])} WHERE {within(cf.t1 - DAY, cf.t1)} AND {name(high['field'])} > {high['threshold']}",
        "q04_group_device_all": f"SELECT {device}, count(*), avg({value}), min({value}), max({value}) FROM {table} GROUP BY {device}",
        "q05_topk": f"SELECT {device}, max({name(topk['field'])}) AS v FROM {name(topk['metric'])} WHERE {name(topk['field'])} IS NOT NULL GROUP BY {device} ORDER BY v DESC, {device} LIMIT 10",
        "q06_undeclared_cast": undeclared(cf, **roles["undeclared"]),
        "q07_count_distinct": " UNION ALL ".join(
            f"SELECT '{m}' AS metric, count(DISTINCT {device}) AS n FROM {name(m)} HAVING count(*) > 0"
            for m in cf.metrics
        ),
        "q08_range_1h": f"SELECT count(*), avg({value}) FROM {table} WHERE {within(hour, hour + HOUR)}",
        "q09_range_full": f"SELECT count(*), avg({value}), max({value}) FROM {table}",
        "q13_device_hour_1d": f"SELECT {device}, {HOURS} AS h, avg({value}) FROM {table} WHERE {within(day, day + DAY)} GROUP BY {device}, {HOURS}",
        "x12_large_tenant_1d": small_tenant_day(cf, day),
    }
    out = {k: {"parts": [{"tenant": tenant, "sql": sql}], "each": False} for k, sql in one.items()}
    out["q12_small_tenant_1d"] = {"parts": [{"tenant": small, "sql": small_tenant_day(cf, day)}], "each": False}
    out["q10_point_lookup"] = {
        "parts": [
            {
                "tenant": t,
                "sql": f"SELECT {TS} AS ts, {value} FROM {table} WHERE {device} = '{dev}' AND {within(at, at + HOUR)}",
            }
            for t, dev, at in points
        ],
        "each": True,
    }
    everything = " UNION ALL ".join(f"SELECT count(*) AS n FROM {name(m)}" for m in cf.metrics)
    out["x00_rows"] = {"parts": [{"tenant": t["id"], "sql": everything} for t in cf.c["tenants"]], "each": False}
    errors = "SELECT count(*) AS n FROM errors.stream HAVING count(*) > 0"
    out["q11_error_records"] = {"parts": [{"tenant": t["id"], "sql": errors} for t in cf.c["tenants"]], "each": False}
    return out


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__)
    for k in ("config", "data", "out"):
        p.add_argument("--" + k, required=True)
    a = p.parse_args()
    conf = Conf(a.config)
    with open(a.out, "w") as f:
        json.dump(catalogue(conf, point_params(conf, a.data)), f, indent=1)
