"""Parquet write / scan speed per core (pyarrow, single thread) and orjson parse speed, over one data file.
usage: parquet_limits.py --parquet DIR(hive, from run_duckdb.py) --data F.ndjson --work DIR --out R.json"""

import argparse
import json
import os
import resource
import statistics as st

import orjson
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

p = argparse.ArgumentParser()
for k in ("parquet", "data", "work", "out"):
    p.add_argument("--" + k, required=True)
a = p.parse_args()
os.makedirs(a.work, exist_ok=True)
pa.set_cpu_count(1)
pa.set_io_thread_count(1)
cpu = lambda: sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
out = {}


def rate(name, work, unit, f, n=5):
    f()
    v = []
    for _ in range(n):
        c = cpu()
        f()
        v.append(work / max(cpu() - c, 1e-9))
    out[name] = {"median": st.median(v), "min": min(v), "max": max(v), "unit": unit}
    print(name, out[name], flush=True)


t = ds.dataset(a.parquet, partitioning="hive").to_table(use_threads=False)
f = os.path.join(a.work, "one.parquet")
raw = os.path.getsize(a.data)
wide = t.drop_columns(["unknown"])
for comp, lvl in (("zstd", 1), ("snappy", None), ("none", None)):
    rate(
        f"parquet_write_{comp}",
        t.num_rows / 1e6,
        "M rows/cpu-s",
        lambda comp=comp, lvl=lvl: pq.write_table(t, f, compression=comp, compression_level=lvl),
        3,
    )
    out[f"parquet_bytes_per_row_{comp}"] = os.path.getsize(f) / t.num_rows
pq.write_table(t, f, compression="zstd", compression_level=1)
rate(
    "arrow_MB_per_row_note", t.nbytes / 1e6, "arrow MB/cpu-s, full scan", lambda: pq.read_table(f, use_threads=False), 3
)
rate("parquet_scan_all_columns", t.num_rows / 1e6, "M rows/cpu-s", lambda: pq.read_table(f, use_threads=False), 3)
num = [c for c in t.column_names if pa.types.is_floating(t.schema.field(c).type)][0]
rate(
    "parquet_scan_2_columns",
    t.num_rows / 1e6,
    "M rows/cpu-s",
    lambda: pq.read_table(f, columns=["ts", num], use_threads=False),
    9,
)
lines = open(a.data, "rb").read(64 << 20).split(b"\n")[:-1]
nb = sum(map(len, lines))
rate("orjson_loads", nb / 1e9, "GB/cpu-s", lambda: [orjson.loads(l) and None for l in lines], 3)
json.dump(out, open(a.out, "w"), indent=1)
