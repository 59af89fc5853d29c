"""The rows: what is measured, against whom, and what it must reach."""

import math
import statistics
from dataclasses import dataclass

from ratios import columnar as c
from ratios import figures as f
from ratios.results import Missing, Results


@dataclass
class Row:
    """One line of the table. `higher` tells whether more is better; `figure` gives (value, note) for one round."""

    id: str
    what: str
    against: str
    must: float
    stretch: float
    higher: bool
    figure: object
    # The subject whose rounds the row follows.
    lead: str = "fineo"


def better(id: str, what: str, against: str, must: float, stretch: float, figure, lead: str = "fineo") -> Row:
    """A row in which more is better."""
    return Row(id, what, against, must, stretch, True, figure, lead)


def least(id: str, what: str, against: str, must: float, stretch: float, figure, lead: str = "fineo") -> Row:
    """A row in which less is better."""
    return Row(id, what, against, must, stretch, False, figure, lead)


def told(id: str, what: str, against: str, figure, lead: str) -> Row:
    """A row that is told and has nothing to reach."""
    return Row(id, what, against, math.inf, math.inf, False, figure, lead)


VICTORIA, INFLUX = "victoriametrics_line_protocol", "influxdb16_line_protocol"
NAMES, ALIASES, TENANTS = ("names_10k", "names_10"), ("aliases_16", "aliases_1"), ("tenants_10k", "tenants_1")
ONE_NAME, TEN_NAMES, FEW_TENANTS = "own with 1 name", "own with 10 names", "own with 2 tenants"

ROWS = [
    least("1", "ingest CPU/event, archived and in the staged stream", "floor f4", 2.5, 1.4, f.row_1),
    better(
        "2",
        "ingest events/CPU-s, archived and in the staged stream",
        "DuckDB JSON column",
        1.5,
        3,
        f.times_better("duckdb", "jsoncol", "first_stage"),
    ),
    better("3", "ingest and nearline, events/CPU-s", "SQLite json, indexed", 2, 4, f.times_better("sqlite", "raw")),
    better("4", "ingest, schema-flexible column store", "chDB JSON type", 8, 15, f.times_better("chdb", "raw")),
    better("5a", "truck ingest events/CPU-s", "VictoriaMetrics", 3, 6, f.row_5(VICTORIA, "--victoria"), "truck_fineo"),
    better("5b", "truck ingest events/CPU-s", "InfluxDB 1.x", 5, 10, f.row_5(INFLUX, "--influxd"), "truck_fineo"),
    least("6", "archive bytes/event", "zstd-1 of the raw lines", 0.9, 0.6, f.row_6),
    least("7a", "ingest peak RSS, ten times the events", "DuckDB JSON column", 0.1, 0.05, f.row_7_peer, "large_fineo"),
    least("7b", "ingest peak RSS, ten times the events", "own RSS", 1.1, 1.02, f.row_7_growth, "large_fineo"),
    least("7c", "ingest peak RSS", "DuckDB JSON column", 0.1, 0.05, f.row_7_base),
    better("8a", "JSON to compacted files, total CPU", "DuckDB etl", 3, 5, c.row_8("duckdb", "etl")),
    better("8b", "JSON to compacted files, total CPU", "chDB etl to Parquet", 3, 6, c.row_8("chdb", "etl_parquet")),
    least("9", "compaction alone, CPU/event", "pyarrow plain write, 1 thread", 3, 1.5, c.row_9),
    least("10", "compacted bytes/row", "DuckDB etl, zstd Parquet", 1.05, 0.85, c.row_10),
    least(
        "11a",
        "compaction peak RSS, ten times the events",
        "DuckDB etl, 6 GB allowed",
        0.15,
        0.05,
        c.row_11("large_fineo", "large_duckdb"),
        "large_fineo",
    ),
    least("11b", "compaction peak RSS", "DuckDB etl", 0.15, 0.05, c.row_11("fineo", "duckdb")),
    least(
        "12", "typed queries, compacted, geo-mean", "DataFusion, ideal Parquet", 1.1, 0.8, c.typed_against("datafusion")
    ),
    least("13", "typed queries, compacted, geo-mean", "DuckDB on its Parquet", 1.3, 0.95, c.typed_against("duckdb")),
    least("14", "worst single typed query, compacted", "best peer at it", 2.5, 1.2, c.row_14),
    least("15", "late-bound reads, uncompacted, geo-mean", "DuckDB raw wide table", 0.6, 0.3, f.row_15),
    least(
        "16a", "16 names per field: ingest CPU", ONE_NAME, 1.2, 1.05, f.growth_of_load(*ALIASES, "ingest"), "aliases_16"
    ),
    least(
        "16b",
        "16 names per field: uncompacted reads",
        ONE_NAME,
        1.3,
        1.1,
        f.growth_of_query(*ALIASES, ""),
        "aliases_16",
    ),
    least(
        "16c",
        "16 names per field: ingest and compaction CPU",
        ONE_NAME,
        1.2,
        1.05,
        f.growth_of_load(*ALIASES, "ingest", "compact"),
        "aliases_16",
    ),
    least(
        "16d",
        "16 names per field: compacted reads",
        ONE_NAME,
        1.05,
        1.01,
        f.growth_of_query(*ALIASES, "", "compacted"),
        "aliases_16",
    ),
    least("17", "q06 never-declared field with a cast, compacted", "best peer at it", 1, 0.3, c.row_17),
    least("18", "q01 last point per device", "DuckDB on its Parquet", 0.5, 0.1, f.query_ratio("q01", "duckdb", "etl")),
    least("19a", "q10 point look-up, p50 wall", "SQLite b-tree", 5, 1.5, f.row_19("median")),
    least("19b", "q10 point look-up, p99 wall", "SQLite b-tree", 5, 1.5, f.row_19("p99")),
    least(
        "20a",
        "one hour, compacted, ten times the events",
        "own full range",
        0.3,
        0.1,
        c.row_20("large_fineo", ("large_duckdb",)),
        "large_fineo",
    ),
    least("20b", "one hour, compacted", "own full range", 0.3, 0.1, c.row_20("fineo", ("duckdb", "datafusion"))),
    least("21", "typed queries, a tenth still nearline", "own, all in files", 1.3, 1.1, c.row_21),
    least("22", "freshness: visible p99 at 2,000 ev/s", "append + fdatasync floor", 1.5, 1.1, f.row_22, "freshness"),
    least(
        "23a",
        "10k never-declared names: ingest CPU",
        TEN_NAMES,
        1.3,
        1.1,
        f.growth_of_load(*NAMES, "ingest"),
        "names_10k",
    ),
    least("23b", "10k never-declared names: peak RSS", TEN_NAMES, 1.3, 1.1, f.growth_of_memory(*NAMES), "names_10k"),
    least("23c", "10k never-declared names: q09", TEN_NAMES, 1.3, 1.1, f.growth_of_query(*NAMES, "q09"), "names_10k"),
    least(
        "24a", "10k tenants: ingest CPU", FEW_TENANTS, 1.5, 1.15, f.growth_of_load(*TENANTS, "ingest"), "tenants_10k"
    ),
    least("24b", "10k tenants: compaction CPU", FEW_TENANTS, 1.5, 1.15, c.row_24_compaction, "tenants_10k"),
    least(
        "24c",
        "10k tenants: q12, compacted",
        FEW_TENANTS,
        1.5,
        1.15,
        f.growth_of_query(*TENANTS, "q12", "compacted"),
        "tenants_10k",
    ),
    least("25", "small tenant's day, over its share", "same query, large tenant", 0.1, 0.03, f.row_25),
    least("26", "q11 error records", "DuckDB on its error Parquet", 3, 1, f.query_ratio("q11", "duckdb", "etl")),
    least("27", "ingest over HTTP, the server's CPU/event", "own library", 1.5, 1.2, f.row_27, "doors"),
    told("28a", "HTTP at 2,000 ev/s: ack p99", "append + fdatasync floor", f.row_28("ack_ms"), "doors_freshness"),
    told(
        "28b", "HTTP at 2,000 ev/s: visible p99", "append + fdatasync floor", f.row_28("visible_ms"), "doors_freshness"
    ),
]


def measure(row: Row, r: Results) -> dict:
    """Median, extremes and a note over all rounds that have the figure."""
    values, notes, why = [], [], "not run"
    for i in r.rounds(row.lead):
        try:
            value, note = row.figure(r, i)
            values.append(value)
            notes.append(note)
        except Missing as e:
            why = str(e)
        except (KeyError, TypeError, ZeroDivisionError) as e:  # a result file that says less than it should
            why = f"a result is incomplete: {e!r}"
    if not values:
        return {"missing": why}
    median = statistics.median(values)
    middle = min(range(len(values)), key=lambda i: abs(values[i] - median))
    return {"value": median, "min": min(values), "max": max(values), "rounds": len(values), "note": notes[middle]}


def verdict(row: Row, m: dict) -> str:
    if "missing" in m:
        return "not measured"
    if math.isinf(row.must):
        return "told"
    reaches = (lambda t: m["value"] >= t) if row.higher else (lambda t: m["value"] <= t)
    return "stretch" if reaches(row.stretch) else "pass" if reaches(row.must) else "miss"
