"""pyarrow: (native) pyarrow.json.read_json; (etl) the hand-rolled path: orjson per line in Python, alias/cast/dedupe,
pyarrow dataset to hive Parquet with unknown fields as a map. One process, one core."""

import os

import orjson
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.json as pj
from common import Conf, args, count_lines, fresh, load, save

a = args()
cf = Conf(a.config)
K = cf.k
ev, rb = count_lines(a.data), os.path.getsize(a.data)
pq = os.path.join(a.work, "pa_pq")


def native():
    return {"rows": pj.read_json(a.data).num_rows}


def etl():
    fresh(pq)
    fs = list(cf.fields().items())
    to = {n: (i, num) for i, (f, (ns, num)) in enumerate(fs) for n in ns}
    base = set(K.values())
    T, M, D, S = [], [], [], []
    cols = [[] for _ in fs]
    unk, seen, errors = [], set(), []
    kt, km, kd, ks = K["tenant"], K["metric"], K["device"], K["time"]
    for line in open(a.data, "rb"):
        e = orjson.loads(line)
        m, ts = cf.alias.get(e.get(km)), e.get(ks)
        if m is None or not isinstance(ts, int):
            errors.append(line)
            continue
        key = (e[kt], e[kd], m, ts)
        if key in seen:
            continue
        seen.add(key)
        T.append(key[0])
        M.append(m)
        D.append(key[1])
        S.append(ts)
        row, un = [None] * len(fs), None
        for k, v in e.items():
            x = to.get(k)
            if x is None:
                if k not in base:
                    (un := un if un is not None else []).append(
                        (k, v if isinstance(v, str) else orjson.dumps(v).decode())
                    )
            elif x[1]:
                try:
                    row[x[0]] = float(v)
                except (TypeError, ValueError):
                    (un := un if un is not None else []).append((k, str(v)))
            else:
                row[x[0]] = v
        for c, v in zip(cols, row, strict=True):
            c.append(v)
        unk.append(un)
    ts = pa.array(S, pa.int64())
    import pyarrow.compute as pc

    t = pa.table(
        {
            "tenant": T,
            "metric": M,
            "device": D,
            "ts": ts,
            **{f: pa.array(c, pa.float64() if num else pa.string()) for c, (f, (_, num)) in zip(cols, fs, strict=True)},
            "unknown": pa.array(unk, pa.map_(pa.string(), pa.string())),
            "day": pc.strftime(ts.cast(pa.timestamp("ms")), "%Y-%m-%d"),
        }
    )
    t = t.sort_by(
        [
            ("tenant", "ascending"),
            ("metric", "ascending"),
            ("day", "ascending"),
            ("device", "ascending"),
            ("ts", "ascending"),
        ]
    )
    ds.write_dataset(
        t,
        pq,
        format="parquet",
        partitioning=ds.partitioning(
            pa.schema([("tenant", pa.string()), ("metric", pa.string()), ("day", pa.string())]), flavor="hive"
        ),
        file_options=ds.ParquetFileFormat().make_write_options(compression="zstd", compression_level=1),
        max_partitions=100000,
    )
    return {"rows": t.num_rows, "errors": len(errors)}


loads = [
    load("native_read_json", 1, native, events=ev, raw_bytes=rb),
    load("etl", min(2, a.load_runs), etl, events=ev, raw_bytes=rb, disk=pq),
]
save(a, "pyarrow", pa.__version__, loads, {})
