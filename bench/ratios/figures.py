"""Figures of ingest and of what is not compacted yet: each gives a ratio and a note for one round."""

import json
import os

from common import Conf

from ratios.results import Missing, Results


def floor_us(r: Results, i: int) -> float:
    return 1 / r.get("limits", i)["floor_f4_+zstd1_archive"]["median"]


def fineo_us(r: Results, i: int) -> float:
    return r.us("fineo", "ingest", i)


def times_better(name: str, job: str, mine: str = "ingest"):
    """How many times more events per CPU second than a peer's load."""

    def figure(r: Results, i: int) -> tuple:
        ours, theirs = r.us("fineo", mine, i), r.us(name, job, i)
        return theirs / ours, f"{ours:.2f} against {theirs:.2f} us/event"

    return figure


def row_1(r: Results, i: int) -> tuple:
    mine, floor = r.us("fineo", "first_stage", i), floor_us(r, i)
    return mine / floor, f"{mine:.2f} against {floor:.2f} us/event; {fineo_us(r, i):.2f} until queryable"


def row_5(job: str, flag: str):
    """Fineo's own figure is told also where the server is missing: no registry of programs has it ready to install."""

    def figure(r: Results, i: int) -> tuple:
        mine = r.us("truck_fineo", "ingest", i)
        try:
            theirs = r.us("truck", job, i)
        except Missing as e:
            raise Missing(f"Fineo {mine:.2f} us/event; {e}: give its program with {flag}") from e
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


def growth_of_load(big: str, small: str, *jobs: str):
    """The CPU of one or more jobs together."""

    def figure(r: Results, i: int) -> tuple:
        a, b = (sum(r.us(name, job, i) for job in jobs) for name in (big, small))
        return a / b, f"{a:.2f} against {b:.2f} us/event"

    return figure


def growth_of_memory(big: str, small: str):
    def figure(r: Results, i: int) -> tuple:
        a, b = r.load(big, "ingest", i)["rss_mb"], r.load(small, "ingest", i)["rss_mb"]
        return a / b, f"{a:.0f} against {b:.0f} MB"

    return figure


def growth_of_query(big: str, small: str, query: str, job: str = "uncompacted"):
    """One query, or without a name the typed queries."""

    def figure(r: Results, i: int) -> tuple:
        if query:
            a, b = (r.cpu_ms(x, job, query, i) for x in (big, small))
        else:
            a, b = (r.geo_mean(x, job, i) for x in (big, small))
        return a / b, f"{a:.2f} against {b:.2f} ms CPU"

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


def row_27(r: Results, i: int) -> tuple:
    f = r.get("doors", i)
    http, library, client = (f[key]["median"] for key in ("http_us", "library_us", "client_us"))
    note = f"{http:.2f} against {library:.2f} us/event; its clients took {client:.2f}"
    return f["ratio"]["median"], f"{note}; {f['connections']} connections, {f['body_events']} events a body"


def row_28(what: str):
    """Latencies of the HTTP door over the floor's of the same minute."""

    def figure(r: Results, i: int) -> tuple:
        f = r.get("doors_freshness", i)
        mine, floor = f["fineo"][what], f["floor"][what]
        note = f"p99 {mine['p99']:.1f} against {floor['p99']:.1f} ms; p50 {mine['p50']:.1f} against {floor['p50']:.1f}"
        achieved = f["fineo"]["achieved_events_per_s"]
        return mine["p99"] / floor["p99"], f"{note}; {achieved:.0f} ev/s, {f['lost']} lost"

    return figure


def row_25(r: Results, i: int) -> tuple:
    small, large = (r.cpu_ms("fineo", "uncompacted", q, i) for q in ("q12", "x12"))
    return small / large - share(r), f"{small:.2f} against {large:.2f} ms CPU, share of the data {share(r):.2f}"


def share(r: Results) -> float:
    """The small tenant's events over those of the large one."""
    with open(os.path.join(r.folder, "run.json")) as f:
        c = Conf(json.load(f)["config_path"])
    weight = {t["id"]: t["w"] for t in c.c["tenants"]}
    return weight[c.roles["small_tenant"]] / weight[c.roles["tenant"]]
