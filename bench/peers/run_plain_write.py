"""What writing the rows alone costs: pyarrow, one thread, zstd, every row of DuckDB's Parquet as one table in memory.
--parquet points at what run_duckdb.py wrote."""

import os
import resource

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from common import args, save, spread

RUNS = 3
a = args([(("--parquet",), {"required": True})])
pa.set_cpu_count(1)
pa.set_io_thread_count(1)
table = ds.dataset(a.parquet, partitioning="hive").to_table(use_threads=False)
place = os.path.join(a.work, "plain.parquet")


def seconds() -> float:
    """CPU seconds of one write."""
    begin = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    pq.write_table(table, place, compression="zstd", compression_level=1)
    return sum(resource.getrusage(resource.RUSAGE_SELF)[:2]) - begin


cpu = spread([seconds() for _ in range(RUNS)])
row = {
    "job": "plain_write",
    "cpu_s": cpu,
    "wall_s": cpu,
    "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    "us_cpu_per_event": cpu["median"] / table.num_rows * 1e6,
    "disk_bytes": os.path.getsize(place),
    "value": {"rows": table.num_rows},
}
print(f"plain_write: {row['us_cpu_per_event']:.2f} us/row", flush=True)
save(a, "pyarrow", pa.__version__, [row], {})
