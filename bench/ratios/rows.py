"""The rows: what is measured, against whom, and what it must reach."""

import json
import os
import statistics
from dataclasses import dataclass

from common import Conf

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


def floor_us(r: Results, i: int) -> float:
    return 1 / r.get("limits", i)["floor_f4_+zstd1_archive"]["median"]


def fineo_us(r: Results, i: int) -> float:
    return r.us("fineo", "ingest", i)


def times_better(name: str, job: str):
    """How many times more events per CPU second than a peer's load."""

    def figure(r: Results, i: int) -> tuple:
        mine, theirs = fineo_us(r, i), r.us(name, job, i)
        return theirs / mine, f"{mine:.2f} against {theirs:.2f} us/event"

    return figure


def row_1(r: Results, i: int) -> tuple:
    mine, floor = fineo_us(r, i), floor_us(r, i)
    return mine / floor, f"{mine:.2f} against {floor:.2f} us/event, the nearline write included"


def row_5(job: str):
    def figure(r: Results, i: int) -> tuple:
        mine, theirs = r.us("truck_fineo", "ingest", i), r.us("truck", job, i)
        return theirs / mine, f"{mine:.2f} against {theirs:.2f} us/event"

    return figure


def archive_bytes(r: Results, i: int) -> dict:
    folders = r.load("fineo", "ingest", i)["value"]["folders"]
    return {k: v for k, v in folders.items() if "archive" in k}


def row_6(r: Results, i: int) -> tuple:
    row, size = r.get("fineo", i), archive_bytes(r, i)
    if not size:
        raise Missing("the data folder has no archive")
    raw = row["data_bytes"] / row["events"] / r.get("limits", i)["zstd1_ratio"]["median"]
    mine = sum(size.values()) / row["events"]
    each = ", ".join(f"{k} {v / row['events']:.1f}" for k, v in sorted(size.items()))
    return mine / raw, f"{mine:.1f} ({each}) against {raw:.1f} B/event"


def row_7_peer(r: Results, i: int) -> tuple:
    mine, theirs = r.load("large_fineo", "ingest", i)["rss_mb"], r.load("large_duckdb", "jsoncol", i)["rss_mb"]
    return mine / theirs, f"{mine:.0f} against {theirs:.0f} MB"


def row_7_growth(r: Results, i: int) -> tuple:
    large, small = r.load("large_fineo", "ingest", i)["rss_mb"], r.load("fineo", "ingest", i)["rss_mb"]
    return large / small, f"{large:.0f} against {small:.0f} MB"


def row_7_base(r: Results, i: int) -> tuple:
    mine, theirs = r.load("fineo", "ingest", i)["rss_mb"], r.load("duckdb", "jsoncol", i)["rss_mb"]
    return mine / theirs, f"{mine:.0f} against {theirs:.0f} MB, at the size of this run"


def row_15(r: Results, i: int) -> tuple:
    mine, theirs = r.geo_mean("fineo", "uncompacted", i), r.geo_mean("duckdb", "raw", i)
    return mine / theirs, f"geo-mean {mine:.1f} against {theirs:.1f} ms CPU"


def growth_of_ingest(big: str, small: str):
    def figure(r: Results, i: int) -> tuple:
        a, b = r.us(big, "ingest", i), r.us(small, "ingest", i)
        return a / b, f"{a:.2f} against {b:.2f} us/event"

    return figure


def growth_of_memory(big: str, small: str):
    def figure(r: Results, i: int) -> tuple:
        a, b = r.load(big, "ingest", i)["rss_mb"], r.load(small, "ingest", i)["rss_mb"]
        return a / b, f"{a:.0f} against {b:.0f} MB"

    return figure


def growth_of_query(big: str, small: str, query: str):
    def figure(r: Results, i: int) -> tuple:
        if query:
            a, b = (r.cpu_ms(x, "uncompacted", query, i) for x in (big, small))
        else:
            a, b = (r.geo_mean(x, "uncompacted", i) for x in (big, small))
        return a / b, f"{a:.1f} against {b:.1f} ms CPU"

    return figure


def query_ratio(query: str, name: str, job: str):
    def figure(r: Results, i: int) -> tuple:
        mine, theirs = r.cpu_ms("fineo", "uncompacted", query, i), r.cpu_ms(name, job, query, i)
        return mine / theirs, f"{mine:.2f} against {theirs:.2f} ms CPU"

    return figure


def row_19(what: str):
    def figure(r: Results, i: int) -> tuple:
        mine = r.query("fineo", "uncompacted", "q10", i)["ms"][what]
        theirs = r.query("sqlite", "raw", "q10", i)["ms"][what]
        return mine / theirs, f"{mine:.2f} against {theirs:.2f} ms wall"

    return figure


def row_22(r: Results, i: int) -> tuple:
    f = r.get("freshness", i)
    mine, floor = f["fineo"]["visible_ms"]["p99"], f["floor"]["visible_ms"]["p99"]
    note = f"p99 {mine:.1f} against {floor:.1f} ms; p50 {f['fineo']['visible_ms']['p50']:.1f} against {f['floor']['visible_ms']['p50']:.1f}"
    if f["fineo"]["achieved_events_per_s"] < 0.99 * f["rate"]:
        note += f"; only {f['fineo']['achieved_events_per_s']:.0f} ev/s of {f['rate']}"
    try:
        note += f"; SQLite p99 {r.get('freshness_peers', i)['sqlite']['visible_ms']['p99']:.1f}"
    except Missing:
        pass
    return mine / floor, note


def row_25(r: Results, i: int) -> tuple:
    small, large = (r.cpu_ms("fineo", "uncompacted", q, i) for q in ("q12", "x12"))
    return small / large - share(r), f"{small:.2f} against {large:.2f} ms CPU, share of the data {share(r):.2f}"


def share(r: Results) -> float:
    """The small tenant's events over those of the large one."""
    with open(os.path.join(r.folder, "run.json")) as f:
        c = Conf(json.load(f)["config_path"])
    weight = {t["id"]: t["w"] for t in c.c["tenants"]}
    return weight[c.roles["small_tenant"]] / weight[c.roles["tenant"]]


ROWS = [
    Row("1", "ingest CPU/event, durable and queryable", "floor f4", 2.5, 1.4, False, row_1),
    Row("2", "ingest events/CPU-s, durable", "DuckDB JSON column", 1.5, 3, True, times_better("duckdb", "jsoncol")),
    Row("3", "ingest and nearline, events/CPU-s", "SQLite json, indexed", 2, 4, True, times_better("sqlite", "raw")),
    Row("4", "ingest, schema-flexible column store", "chDB JSON type", 8, 15, True, times_better("chdb", "raw")),
    Row("5a", "truck ingest events/CPU-s", "VictoriaMetrics", 3, 6, True, row_5("victoriametrics_line_protocol")),
    Row("5b", "truck ingest events/CPU-s", "InfluxDB 1.6", 5, 10, True, row_5("influxdb16_line_protocol")),
    Row("6", "archive bytes/event", "zstd-1 of the raw lines", 0.9, 0.6, False, row_6),
    Row("7a", "ingest peak RSS, ten times the events", "DuckDB JSON column", 0.1, 0.05, False, row_7_peer),
    Row("7b", "ingest peak RSS, ten times the events", "own RSS", 1.1, 1.02, False, row_7_growth),
    Row("7c", "ingest peak RSS", "DuckDB JSON column", 0.1, 0.05, False, row_7_base),
    Row("15", "late-bound reads, uncompacted, geo-mean", "DuckDB raw wide table", 0.6, 0.3, False, row_15),
    Row(
        "16a",
        "16 names per field: ingest CPU",
        "own with 1 name",
        1.2,
        1.05,
        False,
        growth_of_ingest("aliases_16", "aliases_1"),
    ),
    Row(
        "16b",
        "16 names per field: uncompacted reads",
        "own with 1 name",
        1.3,
        1.1,
        False,
        growth_of_query("aliases_16", "aliases_1", ""),
    ),
    Row(
        "18", "q01 last point per device", "DuckDB on its Parquet", 0.5, 0.1, False, query_ratio("q01", "duckdb", "etl")
    ),
    Row("19a", "q10 point look-up, p50 wall", "SQLite b-tree", 5, 1.5, False, row_19("median")),
    Row("19b", "q10 point look-up, p99 wall", "SQLite b-tree", 5, 1.5, False, row_19("p99")),
    Row("22", "freshness: visible p99 at 2,000 ev/s", "append + fdatasync floor", 1.5, 1.1, False, row_22),
    Row(
        "23a",
        "10k never-declared names: ingest CPU",
        "own with 10 names",
        1.3,
        1.1,
        False,
        growth_of_ingest("names_10k", "names_10"),
    ),
    Row(
        "23b",
        "10k never-declared names: peak RSS",
        "own with 10 names",
        1.3,
        1.1,
        False,
        growth_of_memory("names_10k", "names_10"),
    ),
    Row(
        "23c",
        "10k never-declared names: q09",
        "own with 10 names",
        1.3,
        1.1,
        False,
        growth_of_query("names_10k", "names_10", "q09"),
    ),
    Row("25", "small tenant's day, over its share", "same query, large tenant", 0.1, 0.03, False, row_25),
    Row("26", "q11 error records", "DuckDB on its error Parquet", 3, 1, False, query_ratio("q11", "duckdb", "etl")),
]
# The subject whose rounds a row follows.
LEADS = {
    "5": "truck_fineo",
    "7a": "large_fineo",
    "7b": "large_fineo",
    "16": "aliases_16",
    "22": "freshness",
    "23": "names_10k",
}


def lead(row: Row) -> str:
    return LEADS.get(row.id) or LEADS.get(row.id.rstrip("abc")) or "fineo"


def measure(row: Row, r: Results) -> dict:
    """Median, extremes and a note over all rounds that have the figure."""
    values, notes, why = [], [], "not run"
    for i in r.rounds(lead(row)):
        try:
            value, note = row.figure(r, i)
            values.append(value)
            notes.append(note)
        except Missing as e:
            why = str(e)
    if not values:
        return {"missing": why}
    median = statistics.median(values)
    middle = min(range(len(values)), key=lambda i: abs(values[i] - median))
    return {"value": median, "min": min(values), "max": max(values), "rounds": len(values), "note": notes[middle]}


def verdict(row: Row, m: dict) -> str:
    if "missing" in m:
        return "not measured"
    reaches = (lambda t: m["value"] >= t) if row.higher else (lambda t: m["value"] <= t)
    return "stretch" if reaches(row.stretch) else "pass" if reaches(row.must) else "miss"
