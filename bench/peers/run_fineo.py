"""Fineo: declare the config's names per tenant, ingest with the program, query what is not yet compacted with the driver.

Needs the released `fineo` program (--fineo) and the benchmark driver (--driver), which links the library so that the
start of a process does not count as query time. --library also loads once through the library alone."""

import json
import os
import re

from common import Conf, args, count_lines, du, fresh, metered, point_params, save, spread
from fineo_queries import catalogue
from fineo_schema import write

OPTIONS = [
    (("--fineo",), {"required": True}),
    (("--driver",), {"required": True}),
    (("--library",), {"action": "store_true"}),
]


def refusal(run: dict) -> str:
    """The last words of a program that failed."""
    return (run["err"].strip() or run["out"].strip() or "no output")[-400:]


def folders(data_dir: str) -> dict:
    """Bytes by the first two levels of the data folder: which part of Fineo keeps how much."""
    out: dict = {}
    for root, _, files in os.walk(data_dir):
        place = "/".join(os.path.relpath(root, data_dir).split(os.sep)[:2])
        for f in files:
            out[place] = out.get(place, 0) + os.path.getsize(os.path.join(root, f))
    return out


def row(job: str, run: dict, events: int, raw_bytes: int, data_dir: str, counts: dict) -> dict:
    """A load as the other peers report it."""
    cpu = run["cpu_s"]
    return {
        "job": job,
        "wall_s": spread([run["wall_s"]]),
        "cpu_s": spread([cpu]),
        "rss_mb": run["rss_mb"],
        "events_per_s": events / run["wall_s"],
        "events_per_cpu_s": events / cpu,
        "mb_per_cpu_s": raw_bytes / 1e6 / cpu,
        "us_cpu_per_event": cpu / events * 1e6,
        "disk_bytes": du(data_dir),
        "value": {
            **counts,
            "folders": folders(data_dir),
        },
    }


def last_json(text: str) -> dict:
    """The last line that is a JSON object."""
    for line in reversed(text.splitlines()):
        if line.startswith("{"):
            return json.loads(line)
    return {}


def declare(a, cf: Conf, data_dir: str) -> str:
    """Applies each tenant's schema file; the first refusal, or nothing."""
    for tenant, path in write(cf, os.path.join(a.work, "schema")).items():
        run = metered([a.fineo, "schema", "--data-dir", data_dir, "--tenant", tenant, "apply", path])
        if not run["ok"]:
            return refusal(run)
    return ""


def ingest(a, cf: Conf, events: int) -> tuple:
    """One load by the program: its row, and the folder it filled."""
    data_dir, raw_bytes = fresh(os.path.join(a.work, "data")), os.path.getsize(a.data)
    failed = declare(a, cf, data_dir)
    if failed:
        return {"job": "ingest", "error": "schema apply: " + failed}, data_dir
    tenant = ["--tenant-field", cf.k["tenant"]]
    run = metered([a.fineo, "ingest", "--data-dir", data_dir, *tenant, "--output", "json", a.data])
    if not run["ok"]:
        return {"job": "ingest", "error": refusal(run), "rss_mb": run["rss_mb"]}, data_dir
    return row("ingest", run, events, raw_bytes, data_dir, last_json(run["out"])), data_dir


def library(a, cf: Conf, events: int) -> dict:
    """The same load through the driver, without the program around it."""
    data_dir, raw_bytes = fresh(os.path.join(a.work, "library")), os.path.getsize(a.data)
    failed = declare(a, cf, data_dir)
    if failed:
        return {"job": "library_ingest", "error": "schema apply: " + failed}
    run = metered([a.driver, "ingest", "--data-dir", data_dir, "--tenant-field", cf.k["tenant"], a.data])
    if not run["ok"]:
        return {"job": "library_ingest", "error": refusal(run)}
    return row("library_ingest", run, events, raw_bytes, data_dir, last_json(run["out"]))


def queries(a, cf: Conf, data_dir: str) -> dict:
    """Times the catalogue in one process of the driver."""
    path = os.path.join(a.work, "queries.json")
    with open(path, "w") as f:
        json.dump(catalogue(cf, point_params(cf, a.data)), f, indent=1)
    run = metered([a.driver, "queries", "--data-dir", data_dir, "--queries", path, "--runs", str(a.query_runs)])
    if not run["ok"]:
        return {"_": {"error": refusal(run)}}
    return last_json(run["out"]) or {"_": {"error": "the driver said nothing"}}


def main() -> None:
    a = args(OPTIONS)
    cf = Conf(a.config)
    events = count_lines(a.data)
    load, data_dir = ingest(a, cf, events)
    loads, answers = [load], {}
    if "error" in load:
        print("ingest FAILED", load["error"], flush=True)
    else:
        print(
            f"ingest: {load['us_cpu_per_event']:.2f} us cpu/event  rss {load['rss_mb']:.0f} MB  {load['value']}",
            flush=True,
        )
    if "error" not in load and a.query_runs:
        answers["uncompacted"] = queries(a, cf, data_dir)
        for name, q in sorted(answers["uncompacted"].items()):
            said = q.get("error") or f"{q['ms']['median']:.1f} ms (cpu {q['cpu_ms']['median']:.1f}) {q['digest']}"
            print(f"  {name}: {said}", flush=True)
    if a.library:
        loads.append(library(a, cf, events))
    version = metered([a.fineo, "--version"])["out"]
    save(a, "fineo", (re.findall(r"[0-9][0-9A-Za-z.+-]*", version) or ["unknown"])[0], loads, answers)


if __name__ == "__main__":
    main()
