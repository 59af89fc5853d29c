"""The base config with one thing changed: what cost growth is measured on."""

import json

# What is changed, and to what. A pair is compared with each other, so both have everything else in common.
VARIANTS = {
    "names_10": ("names", 10),
    "names_10k": ("names", 10_000),
    "aliases_1": ("aliases", 1),
    "aliases_16": ("aliases", 16),
    "tenants_1": ("tenants", 1),
    "tenants_10k": ("tenants", 10_000),
}
# The small tenant's weight in both tenant variants; those beside it weigh as much again, whether one or ten thousand.
SMALL_WEIGHT = 400


def config_of(name: str, base: dict) -> dict:
    """The config of a variant."""
    sort, size = VARIANTS[name]
    c = json.loads(json.dumps(base))
    if sort == "names":
        c["undeclared"].update(vocab=size, mean=1.5)
    elif sort == "aliases":
        for m in c["metrics"]:
            for field in m["fields"]:
                first = field["names"][0]
                field["names"] = [first] + [f"{first}_n{i}" for i in range(1, size)]
    else:
        large, small = c["tenants"][0], c["tenants"][-1]
        beside = SMALL_WEIGHT if size == 1 else 0
        c["tenants"] = [{**large, "w": 60 + beside}, {**small, "w": SMALL_WEIGHT}]
        c["extra_tenants"] = size if size > 1 else 0
        c["events_per_device"] = 5
    return c
