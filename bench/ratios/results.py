"""The result files of one run, by subject and round."""

import glob
import json
import math
import os
import re

# The queries that read typed columns over time or all of it; look-ups, last points and casts have rows of their own.
TYPED = ["q02", "q03", "q04", "q05", "q07", "q08", "q09", "q12", "q13"]


def last_line(text: str) -> str:
    """What a program said last is why it failed."""
    return (text.strip().splitlines() or ["no reason given"])[-1].strip()[-160:]


class Missing(Exception):
    """A figure is not there, and why."""


class Results:
    """All result files of one run, by subject and round; `tag` picks a side run, such as that of the other config."""

    def __init__(self, folder: str, tag: str = ""):
        self.folder, self.tag = folder, tag
        self.files: dict = {}
        for path in glob.glob(os.path.join(folder, "*.*.json")):
            name, i = re.fullmatch(r"(.+)\.(\d+)\.json", os.path.basename(path)).groups()
            try:
                with open(path) as f:
                    self.files[name, int(i)] = json.load(f)
            except ValueError:
                self.files[name, int(i)] = {"peer": name, "missing": "its result file cannot be read"}

    def rounds(self, name: str) -> list:
        return sorted(i for n, i in self.files if n == self.tag + name)

    def get(self, name: str, i: int) -> dict:
        found = self.files.get((self.tag + name, i))
        if found is None:
            raise Missing(f"{name} was not run")
        if "missing" in found:
            raise Missing(f"{found['peer']}: {last_line(found['missing'])}")
        return found

    def load(self, name: str, job: str, i: int) -> dict:
        for row in self.get(name, i)["loads"]:
            if row["job"] == job:
                if "error" in row:
                    raise Missing(f"{name} {job}: {last_line(row['error'])}")
                return row
        raise Missing(f"{name} {job} was not run")

    def query(self, name: str, job: str, query: str, i: int) -> dict:
        queries = self.get(name, i)["queries"].get(job, {})
        full = next((q for q in queries if q.startswith(query)), None)
        if full is None:
            raise Missing(f"{name} {job} {query}: " + str(queries.get("_", {}).get("error", "was not run"))[:160])
        if "error" in queries[full]:
            raise Missing(f"{name} {job} {query}: {queries[full]['error'][:160]}")
        return queries[full]

    def cpu_ms(self, name: str, job: str, query: str, i: int) -> float:
        return max(self.query(name, job, query, i)["cpu_ms"]["median"], 1e-3)

    def geo_mean(self, name: str, job: str, i: int) -> float:
        logs = [math.log(self.cpu_ms(name, job, q, i)) for q in TYPED]
        return math.exp(sum(logs) / len(logs))

    def us(self, name: str, job: str, i: int) -> float:
        return self.load(name, job, i)["us_cpu_per_event"]
