"""Fineo: declare the config's names per tenant, ingest with the program, query what is not yet compacted with the driver,
and, as asked for, compact (--compact) and query again, or query while the last tenth is not in files yet (--union).

Needs the released `fineo` program (--fineo) and the benchmark driver (--driver), which links the library so that the
start of a process does not count as query time. --first-stage also loads up to the staged stream, --library once through
the library alone. A step that fails has a row that says so, and the other steps go on."""

import json
import os
import re

from common import Conf, args, count_lines, du, fresh, metered, only, point_params, save, spread
from fineo_queries import catalogue
from fineo_schema import write

OPTIONS = [
    (("--fineo",), {"required": True}),
    (("--driver",), {"required": True}),
    (("--first-stage",), {"action": "store_true"}),
    (("--library",), {"action": "store_true"}),
    (("--compact",), {"action": "store_true"}),
    (("--union",), {"action": "store_true"}),
    (("--skip-uncompacted",), {"action": "store_true"}),
]
# The share of the file's lines that the union run has in files.
FILES_SHARE = 0.9


class Failed(Exception):
    """A step did not end well, and what its program said last."""


def folders(data_dir: str) -> dict:
    """Bytes by the first two levels of the data folder: which part of Fineo keeps how much."""
    out: dict = {}
    for root, _, files in os.walk(data_dir):
        place = "/".join(os.path.relpath(root, data_dir).split(os.sep)[:2])
        for f in files:
            out[place] = out.get(place, 0) + os.path.getsize(os.path.join(root, f))
    return out


def last_json(text: str) -> dict:
    """The last line that is a JSON object."""
    for line in reversed(text.splitlines()):
        if line.startswith("{"):
            return json.loads(line)
    return {}


class Fineo:
    """The programs, and the workload they are run on."""

    def __init__(self, a):
        self.a, self.cf = a, Conf(a.config)
        self.events, self.raw_bytes = count_lines(a.data), os.path.getsize(a.data)
        self.schemas = os.path.join(a.work, "schema")
        write(self.cf, fresh(self.schemas))
        self.queries_path = os.path.join(a.work, "queries.json")
        if a.query_runs:
            queries = catalogue(self.cf, point_params(self.cf, a.data))
            with open(self.queries_path, "w") as f:
                json.dump(only(a, queries), f, indent=1)

    def run(self, command: list) -> dict:
        run = metered(command)
        if not run["ok"]:
            raise Failed((run["err"].strip() or run["out"].strip() or "no output")[-400:])
        return {**run, "said": last_json(run["out"])}

    def drive(self, verb: str, data_dir: str, *extra: str) -> dict:
        return self.run([self.a.driver, verb, "--data-dir", data_dir, *extra])

    def folder(self, name: str) -> str:
        """An empty store whose tenants have their schemas."""
        data_dir = fresh(os.path.join(self.a.work, name))
        self.drive("declare", data_dir, "--schemas", self.schemas)
        return data_dir

    def ingest(self, data_dir: str, file: str) -> dict:
        tenant = ["--tenant-field", self.cf.k["tenant"]]
        return self.run([self.a.fineo, "ingest", "--data-dir", data_dir, *tenant, "--output", "json", file])

    def queries(self, data_dir: str) -> dict:
        """Times the catalogue in one process of the driver."""
        flags = ["--queries", self.queries_path, "--runs", str(self.a.query_runs)]
        return self.drive("queries", data_dir, *flags)["said"]

    def row(self, job: str, run: dict, disk_bytes: int, value: dict) -> dict:
        """A load as the other peers report it."""
        cpu = run["cpu_s"]
        return {
            "job": job,
            "wall_s": spread([run["wall_s"]]),
            "cpu_s": spread([cpu]),
            "rss_mb": run["rss_mb"],
            "events_per_s": self.events / run["wall_s"],
            "events_per_cpu_s": self.events / cpu,
            "mb_per_cpu_s": self.raw_bytes / 1e6 / cpu,
            "us_cpu_per_event": cpu / self.events * 1e6,
            "disk_bytes": disk_bytes,
            "value": value,
        }

    def load(self, data_dir: str) -> dict:
        run = self.ingest(data_dir, self.a.data)
        return self.row("ingest", run, du(data_dir), {**run["said"], "folders": folders(data_dir)})

    def library(self) -> dict:
        """The same load through the driver, without the program around it."""
        data_dir = self.folder("library")
        run = self.drive("ingest", data_dir, "--tenant-field", self.cf.k["tenant"], self.a.data)
        fresh(data_dir)
        return self.row("library_ingest", run, 0, run["said"])

    def first_stage(self) -> dict:
        """The same events, durable in the staged stream and archived, before anything is made of them."""
        data_dir = self.folder("first-stage")
        run = self.drive("first-stage", data_dir, "--tenant-field", self.cf.k["tenant"], self.a.data)
        fresh(data_dir)
        return self.row("first_stage", run, 0, run["said"])

    def compact(self, data_dir: str) -> dict:
        """Compacts all there is, in a process of its own."""
        run = self.drive("compact", data_dir)
        return self.row("compact", run, run["said"]["bytes"], run["said"])

    def union(self) -> tuple:
        """The catalogue on the same events, of which the last tenth came after the files were made."""
        data_dir = self.folder("union")
        parts = split(self.a.data, os.path.join(self.a.work, "part"), int(self.events * FILES_SHARE))
        self.ingest(data_dir, parts[0])
        self.drive("compact", data_dir)
        self.ingest(data_dir, parts[1])
        answers = self.queries(data_dir)
        for path in (*parts, data_dir):
            fresh(path)
        return answers


def split(path: str, to: str, lines: int) -> list:
    """The first `lines` lines of a file, and the others."""
    with open(path, "rb") as f, open(to + ".0", "wb") as first, open(to + ".1", "wb") as second:
        for number, line in enumerate(f):
            (first if number < lines else second).write(line)
    return [to + ".0", to + ".1"]


def show(job: str, answers: dict) -> None:
    print("queries on", job, flush=True)
    for name, q in sorted(answers.items()):
        said = q.get("error") or f"{q['ms']['median']:.1f} ms (cpu {q['cpu_ms']['median']:.1f}) {q['digest']}"
        print(f"  {name}: {said}", flush=True)


def main() -> None:
    a = args(OPTIONS)
    loads, answers = [], {}

    def loaded(job: str, step) -> bool:
        try:
            row = step()
        except Failed as e:
            row = {"job": job, "error": str(e)}
        loads.append(row)
        said = row.get("error") or f"{row['us_cpu_per_event']:.2f} us cpu/event  rss {row['rss_mb']:.0f} MB"
        print(f"{job}: {said} {row.get('value', '')}", flush=True)
        return "error" not in row

    def answered(job: str, step) -> None:
        try:
            answers[job] = step() or {"_": {"error": "the driver said nothing"}}
        except Failed as e:
            answers[job] = {"_": {"error": str(e)}}
        show(job, answers[job])

    fineo = Fineo(a)
    data_dir = os.path.join(a.work, "data")
    if loaded("ingest", lambda: fineo.load(fineo.folder("data"))):
        if a.query_runs and not a.skip_uncompacted:
            answered("uncompacted", lambda: fineo.queries(data_dir))
        if a.compact and loaded("compact", lambda: fineo.compact(data_dir)) and a.query_runs:
            answered("compacted", lambda: fineo.queries(data_dir))
        if a.union and a.query_runs:
            answered("union", fineo.union)
    if a.first_stage:
        loaded("first_stage", fineo.first_stage)
    if a.library:
        loaded("library_ingest", fineo.library)
    version = metered([a.fineo, "--version"])["out"]
    save(a, "fineo", (re.findall(r"[0-9][0-9A-Za-z.+-]*", version) or ["unknown"])[0], loads, answers)


if __name__ == "__main__":
    main()
