"""Checks that the peers agree query by query and saves what they agree on as the expected answers of a workload.
usage: oracle.py --config C.json --data F.ndjson --out E.json R1.json R2.json ..."""

import argparse
import hashlib
import json
import math
import sys

from common import Conf, distinct_errors

# What a load keeps decides which peers must agree: raw loads keep re-sends, the whole job removes them.
GROUPS = {"raw": "raw", "jsoncol": "raw", "etl": "etl"}


def same(a: list, b: list) -> bool:
    """Equal row counts, and sums equal but for the order of addition."""
    return a[0] == b[0] and math.isclose(a[1], b[1], rel_tol=5e-6, abs_tol=1e-9)


def agreed(results: list) -> tuple:
    """Per group and query the common digest, and a list of every disagreement."""
    out, quarrels, witnesses = {}, [], {}
    for r in results:
        for job, queries in r["queries"].items():
            group = GROUPS.get(job)
            for name, q in queries.items():
                if group is None or "digest" not in q:
                    quarrels.append(f"{r['peer']}/{job} {name}: {q.get('error', 'no group')}")
                    continue
                first = out.setdefault(group, {}).setdefault(name, q["digest"])
                witnesses.setdefault(group, set()).add(f"{r['peer']}/{job}")
                if not same(first, q["digest"]):
                    quarrels.append(f"{r['peer']}/{job} {name}: {q['digest']} against {first}")
    return out, quarrels, {k: sorted(v) for k, v in witnesses.items()}


def sha256(path: str) -> str:
    h = hashlib.sha256()
    with open(path, "rb") as f:
        while block := f.read(1 << 22):
            h.update(block)
    return h.hexdigest()


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__)
    for k in ("config", "data", "out"):
        p.add_argument("--" + k, required=True)
    p.add_argument("results", nargs="+")
    a = p.parse_args()
    results = []
    for path in a.results:
        with open(path) as f:
            results.append(json.load(f))
    digests, quarrels, witnesses = agreed(results)
    rows = {l["value"]["rows"] for r in results for l in r["loads"] if l["job"].startswith("etl") and "value" in l}
    errors = distinct_errors(Conf(a.config), a.data)
    answer = {
        "data_sha256": sha256(a.data),
        "events": results[0]["events"],
        "distinct_events": sorted(rows),
        "distinct_errors": errors,
        "witnesses": witnesses,
        "digests": digests,
    }
    with open(a.out, "w") as f:
        json.dump(answer, f, indent=1)
        f.write("\n")
    print("\n".join(quarrels) or "all peers agree")
    sys.exit(bool(quarrels))
