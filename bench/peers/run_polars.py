"""polars: (known_only) scan_ndjson with the declared names as text, coalesce + cast, dedupe, sink to hive Parquet - unknown
fields are lost; (etl) schema inferred over the whole file so unknown fields stay, as columns. Also a few SQL queries."""

import os

import polars as pl
from common import Conf, args, count_lines, fresh, load, save

a = args()
cf = Conf(a.config)
K = cf.k
ev, rb = count_lines(a.data), os.path.getsize(a.data)
pq = os.path.join(a.work, "polars_pq")


def shape(lf, have):
    fs = []
    for f, (ns, num) in cf.fields().items():
        e = (
            pl.coalesce([pl.col(n).cast(pl.String, strict=False) for n in ns if n in have])
            if any(n in have for n in ns)
            else pl.lit(None, pl.String)
        )
        fs.append((e.cast(pl.Float64, strict=False) if num else e).alias("c_" + f))
    keep = [n for n in have if n not in cf.known and n not in K.values()]
    ts = pl.col(K["time"]).cast(pl.String, strict=False).cast(pl.Int64, strict=False)
    return (
        lf.select(
            [
                pl.col(K["tenant"]).alias("tenant"),
                pl.col(K["metric"]).replace_strict(cf.alias, default=None).alias("metric"),
                pl.col(K["device"]).alias("device"),
                ts.alias("ts"),
                *fs,
                *[pl.col(n) for n in keep],
            ]
        )
        .filter(pl.col("metric").is_not_null() & pl.col("ts").is_not_null())
        .unique(subset=["tenant", "device", "metric", "ts"], keep="any")
        .with_columns(pl.from_epoch("ts", time_unit="ms").dt.strftime("%Y-%m-%d").alias("day"))
        .sort("tenant", "metric", "day", "device", "ts")
    )


def write(df):
    fresh(pq)
    df.write_parquet(
        pq, partition_by=["tenant", "metric", "day"], compression="zstd", compression_level=1
    ) if isinstance(df, pl.DataFrame) else None


def known_only():
    names = cf.known + list(K.values())
    lf = pl.scan_ndjson(a.data, schema={n: pl.String for n in names})
    df = shape(lf, names).collect(engine="streaming")
    write(df)
    return {"rows": df.height}


def etl():
    lf = pl.scan_ndjson(a.data, infer_schema_length=None)
    df = shape(lf, lf.collect_schema().names()).collect(engine="streaming")
    write(df)
    return {"rows": df.height, "columns": df.width}


loads = [
    load("etl", min(2, a.load_runs), etl, events=ev, raw_bytes=rb, disk=pq),
    load("known_only", min(2, a.load_runs), known_only, events=ev, raw_bytes=rb, disk=pq),
]
save(a, "polars", pl.__version__, loads, {})
