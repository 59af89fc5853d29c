"""Figures of compaction and of what is compacted: each gives a ratio and a note for one round."""

from ratios.results import TYPED, Missing, Results

# Where a peer may have answered a query, at its best.
PEERS = [("duckdb", "etl"), ("duckdb", "raw"), ("datafusion", "etl"), ("chdb", "etl"), ("chdb", "raw")]


def total_us(r: Results, i: int) -> float:
    """JSON to compacted files."""
    return r.us("fineo", "ingest", i) + r.us("fineo", "compact", i)


def row_8(name: str, job: str):
    def figure(r: Results, i: int) -> tuple:
        mine, theirs = total_us(r, i), r.us(name, job, i)
        parts = f"{r.us('fineo', 'ingest', i):.2f} + {r.us('fineo', 'compact', i):.2f}"
        return theirs / mine, f"{parts} against {theirs:.2f} us/event"

    return figure


def row_9(r: Results, i: int) -> tuple:
    mine, theirs = r.us("fineo", "compact", i), r.us("pyarrow", "plain_write", i)
    return mine / theirs, f"{mine:.2f} us/event against {theirs:.2f} us/row"


def row_10(r: Results, i: int) -> tuple:
    mine = compacted(r, "fineo", i)["bytes"] / compacted(r, "fineo", i)["rows"]
    peer = r.load("duckdb", "etl", i)
    theirs = peer["disk_bytes"] / peer["value"]["rows"]
    return mine / theirs, f"{mine:.1f} against {theirs:.1f} B/row, of which 16 are the event's id"


def row_11(mine: str, theirs: str):
    def figure(r: Results, i: int) -> tuple:
        a, b = r.load(mine, "compact", i)["rss_mb"], r.load(theirs, "etl", i)["rss_mb"]
        return a / b, f"{a:.0f} against {b:.0f} MB"

    return figure


def compacted(r: Results, name: str, i: int) -> dict:
    """What the driver said of a compaction."""
    return r.load(name, "compact", i)["value"]


def typed_against(name: str):
    def figure(r: Results, i: int) -> tuple:
        mine, theirs = r.geo_mean("fineo", "compacted", i), r.geo_mean(name, "etl", i)
        return mine / theirs, f"geo-mean {mine:.2f} against {theirs:.2f} ms CPU"

    return figure


def best_peer(r: Results, query: str, i: int) -> tuple:
    """The peer that was fastest at a query in this round, or in the first where it ran only then."""
    found = []
    for name, job in PEERS:
        for round_ in dict.fromkeys((i, 0)):
            try:
                found.append((r.cpu_ms(name, job, query, round_), f"{name} {job}"))
                break
            except Missing:
                continue
    if not found:
        raise Missing(f"no peer answered {query}")
    return min(found)


def row_14(r: Results, i: int) -> tuple:
    worst = (0.0, "")
    for query in TYPED:
        mine, (theirs, who) = r.cpu_ms("fineo", "compacted", query, i), best_peer(r, query, i)
        worst = max(worst, (mine / theirs, f"{query}: {mine:.2f} against {theirs:.2f} ms CPU of {who}"))
    return worst


def row_17(r: Results, i: int) -> tuple:
    mine, (theirs, who) = r.cpu_ms("fineo", "compacted", "q06", i), best_peer(r, "q06", i)
    return mine / theirs, f"{mine:.2f} against {theirs:.2f} ms CPU of {who}"


def row_20(name: str, peers: tuple):
    """One hour over everything; beside it the peers' own ratios."""

    def ratio(r: Results, subject: str, job: str, i: int) -> float:
        return r.cpu_ms(subject, job, "q08", i) / r.cpu_ms(subject, job, "q09", i)

    def figure(r: Results, i: int) -> tuple:
        hour, full = (r.cpu_ms(name, "compacted", q, i) for q in ("q08", "q09"))
        note = f"{hour:.2f} against {full:.2f} ms CPU"
        for peer in peers:
            try:
                note += f"; {peer} {ratio(r, peer, 'etl', i):.2f}"
            except Missing:
                continue
        return hour / full, note

    return figure


def row_21(r: Results, i: int) -> tuple:
    mine, files = r.geo_mean("fineo", "union", i), r.geo_mean("fineo", "compacted", i)
    return mine / files, f"geo-mean {mine:.2f} against {files:.2f} ms CPU"


def row_24_compaction(r: Results, i: int) -> tuple:
    a, b = r.us("tenants_10k", "compact", i), r.us("tenants_1", "compact", i)
    files = [compacted(r, name, i)["files"] for name in ("tenants_10k", "tenants_1")]
    waiting = compacted(r, "tenants_10k", i)["waiting"]
    note = f"{a:.1f} against {b:.1f} us/event; {files[0]:,} against {files[1]:,} files"
    return a / b, f"{note}; {waiting:,} tenants with little wait for more"
