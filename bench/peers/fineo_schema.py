"""Fineo's schema files, one per tenant, derived from a generator config: what an operator would declare once he has seen
what the fleet sends. Numbers are double, tags and enumerations string, names ranked as the config lists them.
usage: fineo_schema.py --config C.json --out DIR"""

import argparse
import json
import os

from common import Conf


def timestamp_of(cf: Conf) -> dict:
    """The time key is an alias unless it already has the name that Fineo expects."""
    key = cf.k["time"]
    return {"aliases": [] if key == "timestamp" else [key], "formats": ["epoch_ms"]}


def metric_of(cf: Conf, metric: dict) -> dict:
    """One metric of the declarative file; the device key is a field like any other."""
    fields = {cf.k["device"]: {"type": "string", "aliases": []}}
    for f in metric["fields"]:
        fields[f["id"]] = {
            "type": "double" if cf.is_num(f) else "string",
            "aliases": [n for n in f["names"] if n != f["id"]],
        }
    return {
        "aliases": [n for n in metric["aliases"] if n != metric["id"]],
        "identity": "content",
        "timestamp": timestamp_of(cf),
        "fields": fields,
    }


def schema(cf: Conf) -> dict:
    """The whole file; every tenant of a config sends the same metrics."""
    return {
        "metric_keys": [cf.k["metric"]],
        "timestamp_formats": [],
        "unknown_metric": "discover",
        "metrics": {m["id"]: metric_of(cf, m) for m in cf.c["metrics"]},
    }


def tenants(cf: Conf) -> list:
    """Every tenant the generator can draw, the numbered ones of a tenant-count run included."""
    return [t["id"] for t in cf.c["tenants"]] + [f"t{i:05}" for i in range(cf.c.get("extra_tenants", 0))]


def write(cf: Conf, folder: str) -> dict:
    """Writes the files and says which tenant has which."""
    os.makedirs(folder, exist_ok=True)
    out = {}
    for tenant in tenants(cf):
        out[tenant] = os.path.join(folder, f"{tenant}.json")
        with open(out[tenant], "w") as f:
            json.dump(schema(cf), f, indent=1)
    return out


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--config", required=True)
    p.add_argument("--out", required=True)
    a = p.parse_args()
    for path in write(Conf(a.config), a.out).values():
        print(path)
