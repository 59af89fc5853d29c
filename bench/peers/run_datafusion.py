"""DataFusion on Parquet already in the ideal typed layout (tenant/metric/day, sorted by device, ts): the query limit.
--parquet and --errors point at what run_duckdb.py wrote."""

import os
import time

import datafusion
from common import Conf, args, catalogue, only, point_params, run_queries, save
from datafusion import SessionConfig, SessionContext

a = args([(("--parquet",), {"required": True}), (("--errors",), {"required": True})])
cf = Conf(a.config)
cfg = (
    SessionConfig()
    .with_target_partitions(a.threads)
    .set("datafusion.execution.parquet.pushdown_filters", "true")
    .set("datafusion.execution.parquet.reorder_filters", "true")
    .set("datafusion.execution.parquet.schema_force_view_types", "true")
)
c = SessionContext(cfg)
c.sql(
    f"CREATE EXTERNAL TABLE pq STORED AS PARQUET PARTITIONED BY (tenant, metric, day) LOCATION '{os.path.abspath(a.parquet)}/'"
)
c.sql(f"CREATE EXTERNAL TABLE err STORED AS PARQUET LOCATION '{os.path.abspath(a.errors)}'")
q = lambda n: '"' + n + '"'


class D:
    frm = "pq"

    def metric(self, m):
        return f"metric='{m}'"

    def num(self, m, f):
        return q(f)

    def und(self, f):
        return f"TRY_CAST(unknown['{f}'] AS DOUBLE)"

    def div(self, e, n):
        return f"({e} / {n})"

    def rng(self, x, y):
        dd = lambda t: time.strftime("%Y-%m-%d", time.gmtime(t / 1000))
        return f"ts >= {x} AND ts < {y} AND day >= '{dd(x)}' AND day <= '{dd(y - 1)}'"

    def last(self, v):
        return f"last_value({v} ORDER BY ts)"

    def distinct(self, e):
        return f"count(DISTINCT {e})"

    errors = "SELECT tenant, count(*) FROM err GROUP BY tenant"


def ex(sql):
    return [tuple(r.values()) for b in c.sql(sql).collect() for r in b.to_pylist()]


out = run_queries(only(a, catalogue(cf, D(), point_params(cf, a.data))), ex, a.query_runs)
save(a, "datafusion", datafusion.__version__, [], {"etl": out})
