"""Turns the result files of one run into the table of ratios: report.py WORK/r -> stdout, report.md, summary.json.

A ratio is taken within one round and the median of the rounds is what counts. `must` and `stretch` are the targets; a row
whose subject or peer is missing says why. Exit code 1 when a measured row misses its `must` or a gate fails."""

import json
import math
import os
import re
import statistics
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "peers"))
from ratios.gates import gates  # noqa: E402
from ratios.results import Results  # noqa: E402
from ratios.rows import ROWS, measure, verdict  # noqa: E402


def table(lines: list) -> str:
    out = [
        "| row | what | against | must | stretch | measured [min-max] | verdict | figures |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for l in lines:
        got = "-" if "missing" in l else f"{l['value']:.3g} [{l['min']:.3g}-{l['max']:.3g}]"
        note = (l.get("note") or l["missing"]).replace("|", "/").replace("\n", " ")
        out.append(
            f"| {l['row']} | {l['what']} | {l['against']} | {l['must']} | {l['stretch']} | {got} | {l['verdict']} | {note} |"
        )
    return "\n".join(out)


def loads_table(r: Results) -> str:
    """Every load of every subject, medians over the rounds."""
    out = ["| subject | job | CPU us/event | wall s | peak RSS MB | disk B/event |", "|---|---|---|---|---|---|"]
    names = sorted({n for n, _ in r.files})
    for name in names:
        found = [r.files[name, i] for n, i in sorted(r.files) if n == name and "loads" in r.files[name, i]]
        for job in dict.fromkeys(l["job"] for f in found for l in f["loads"]):
            rows = [(l, f["events"]) for f in found for l in f["loads"] if l["job"] == job]
            bad = next((l["error"] for l, _ in rows if "error" in l), None)
            if bad:
                out.append(f"| {name} | {job} | fails: {bad[:120].replace('|', '/')} ||||")
                continue
            mid = lambda g, rows=rows: statistics.median(g(l, n) for l, n in rows)
            out.append(
                f"| {name} | {job} | {mid(lambda l, n: l['us_cpu_per_event']):.2f} | {mid(lambda l, n: l['wall_s']['median']):.2f} "
                f"| {mid(lambda l, n: l['rss_mb']):.0f} | {mid(lambda l, n: (l.get('disk_bytes') or 0) / n):.1f} |"
            )
    return "\n".join(out)


def queries_table(r: Results) -> str:
    """CPU milliseconds per query, medians over the rounds."""
    cells: dict = {}
    for (name, _), f in sorted(r.files.items()):
        for job, queries in f.get("queries", {}).items():
            for q, x in queries.items():
                if "cpu_ms" in x:
                    cells.setdefault(f"{name}/{job}", {}).setdefault(q, []).append(x["cpu_ms"]["median"])
    columns = sorted(c for c in cells if not re.match("names_|aliases_|other_", c))
    out = ["| query | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for q in sorted({q for c in columns for q in cells[c]}):
        mid = [f"{statistics.median(cells[c][q]):.2f}" if q in cells[c] else "-" for c in columns]
        out.append(f"| {q} | " + " | ".join(mid) + " |")
    return "\n".join(out)


def main() -> None:
    folder = sys.argv[1]
    r = Results(folder)
    with open(os.path.join(folder, "run.json")) as f:
        run = json.load(f)
    asked = run["rows"]
    lines = []
    for row in ROWS:
        if row.id in asked or row.id.rstrip("abcd") in asked:
            m = measure(row, r)
            sign = ">=" if row.higher else "<="
            goals = {"must": row.must, "stretch": row.stretch}
            goal = {name: "-" if math.isinf(at) else f"{sign} {at:g}" for name, at in goals.items()}
            lines.append(
                {"row": row.id, "what": row.what, "against": row.against, **goal, **m, "verdict": verdict(row, m)}
            )
    lines += [g for g in gates(r) if g["row"] in asked]
    head = f"{run['config']}, {run['events']:,} events, seed {run['seed']}, {run['rounds']} rounds. CPU seconds unless it says wall.\n"
    text = f"{head}\n{table(lines)}\n\n## Loads\n\n{loads_table(r)}\n\n## Queries, CPU ms\n\n{queries_table(r)}\n"
    with open(os.path.join(folder, "report.md"), "w") as f:
        f.write("# Side by side\n\n" + text)
    with open(os.path.join(folder, "summary.json"), "w") as f:
        json.dump({"run": run, "rows": lines}, f, indent=1)
    print(f"{head}\n{table(lines)}\n\n{os.path.join(folder, 'report.md')}")
    sys.exit(any(l["verdict"] == "miss" for l in lines))


if __name__ == "__main__":
    main()
