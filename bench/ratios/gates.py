"""The gates: right answers on this config, the same ratios on another one, and clients that still work."""

import json
import math
import os

from common import Conf, distinct_errors
from oracle import same

from ratios.results import Missing, Results
from ratios.rows import ROWS, measure

HERE = os.path.dirname(os.path.abspath(__file__))
# Rows that G2 compares between the two configs.
GATE_ROWS = ["1", "2", "3", "6", "8", "9", "10", "12", "13", "15", "18", "19"]
# Where Fineo's rows may be when it is asked: all nearline, all in files, the last tenth nearline.
PLACES = ["uncompacted", "compacted", "union"]


def errors_of(r: Results) -> dict:
    """Distinct error events per tenant of the run's file, counted once and kept."""
    kept = os.path.join(r.folder, "errors.json")
    if not os.path.exists(kept):
        with open(os.path.join(r.folder, "run.json")) as f:
            run = json.load(f)
        with open(kept, "w") as f:
            json.dump(distinct_errors(Conf(run["config_path"]), run["data"]), f)
    with open(kept) as f:
        return json.load(f)


def tables(r: Results) -> int:
    """Tenants times metrics: the parts of the count of everything."""
    with open(os.path.join(r.folder, "run.json")) as f:
        c = Conf(json.load(f)["config_path"]).c
    return len(c["tenants"]) * len(c["metrics"])


def oracle(r: Results) -> dict:
    """The saved answers, where this is the run they were saved from."""
    with open(os.path.join(r.folder, "run.json")) as f:
        run = json.load(f)
    name = f"{run['config'].removesuffix('.json')}_{run['events'] // 1_000_000}m_seed{run['seed']}.json"
    path = os.path.join(os.path.dirname(HERE), "expected", name)
    if r.tag or run["events"] % 1_000_000 or not os.path.exists(path):
        return {}
    with open(path) as f:
        return json.load(f)["digests"]["etl"]


def expected(r: Results) -> dict:
    """Per query the digest of the etl peers; the error rows by the rule of exactly-once stores."""
    out = {}
    for name in ("duckdb", "datafusion", "chdb"):
        try:
            for q, x in r.get(name, 0)["queries"].get("etl", {}).items():
                if "digest" in x:
                    out.setdefault(q, []).append((name, x["digest"]))
        except Missing:
            continue
    for q, digest in oracle(r).items():
        out.setdefault(q, []).append(("the oracle", digest))
    if not r.tag:
        counts = errors_of(r)
        try:
            out["x00_rows"] = [("duckdb's load", [tables(r), float(r.load("duckdb", "etl", 0)["value"]["rows"])])]
        except Missing:
            pass
        out["q11_error_records"] = [("the file itself", [len(counts), float(sum(counts.values()))])]
    else:
        out.pop("q11_error_records", None)
    return out


def compared(r: Results, peers: dict, job: str, i: int) -> tuple:
    """How many digests of one round's job agree with all peers, and what is wrong with the others."""
    right, wrong = 0, []
    for q in sorted(peers):
        try:
            mine = r.query("fineo", job, q, i)["digest"]
        except Missing as e:
            wrong.append(str(e))
            continue
        others = [f"{job} {q} {mine} against {n} {d}" for n, d in peers[q] if not same(mine, d)]
        wrong += others
        right += not others
    return right, wrong


def gate_1(r: Results) -> dict:
    """Every digest of every round against every peer that does the whole job, wherever the rows are."""
    peers, wrong, right, total = expected(r), [], 0, 0
    if not peers:
        return {"missing": "no peer to compare with"}
    if not r.rounds("fineo"):
        return {"missing": "fineo was not run"}
    for i in r.rounds("fineo"):
        try:
            r.load("fineo", "ingest", i)
        except Missing as e:
            return {"missing": str(e)}
        jobs = [job for job in PLACES if job == "uncompacted" or job in r.get("fineo", i)["queries"]]
        for job in jobs:
            agree, others = compared(r, peers, job, i)
            right, wrong, total = right + agree, wrong + others, total + len(peers)
    places = ", ".join(jobs)
    return {
        "value": right / total,
        "min": right / total,
        "max": 1,
        "rounds": len(r.rounds("fineo")),
        "note": "; ".join(wrong[:4]) or f"{len(peers)} queries agree: {places}",
        "ok": not wrong,
    }


def gate_2(r: Results) -> dict:
    """The same ratios on a config with other names and another drift, and its digests."""
    other, worst, notes = Results(r.folder, "other_"), 0.0, []
    for row in ROWS:
        if row.id.rstrip("abcd") not in GATE_ROWS:
            continue
        here, there = measure(row, r), measure(row, other)
        if "missing" in here or "missing" in there:
            continue
        off = there["value"] / here["value"] if here["value"] else math.inf
        worse = (1 / off if row.higher else off) - 1  # better on the other config is no fault
        notes.append(f"{row.id} {worse:+.0%}")
        worst = max(worst, worse)
    digests = gate_1(other)
    if not notes:
        return {"missing": digests.get("missing", "no row could be compared")}
    said = "digests " + (
        "agree" if digests.get("ok") else "differ: " + str(digests.get("note", digests.get("missing")))
    )
    return {
        "value": worst,
        "min": 0,
        "max": worst,
        "rounds": 1,
        "note": ", ".join(notes) + "; " + said,
        "ok": digests.get("ok", False),
    }


def gate_3(r: Results) -> dict:
    """The clients' own scripts, against the program that was measured."""
    try:
        clients = r.get("clients", 0)["clients"]
    except Missing as e:
        return {"missing": str(e)}
    tried = {name: said for name, said in clients.items() if not said.startswith("ignored")}
    passed = sum(said.startswith("ok") for said in tried.values())
    return {
        "value": passed,
        "min": passed,
        "max": len(tried),
        "rounds": 1,
        "note": ", ".join(f"{name} {said}" for name, said in clients.items()),
        "ok": passed == len(tried),
    }


def gates(r: Results) -> list:
    g3 = gate_3(r)
    g1, g2 = gate_1(r), gate_2(r)
    first = "not measured" if "missing" in g1 else "pass" if g1["ok"] else "miss"
    second = (
        "not measured"
        if "missing" in g2
        else "miss"
        if not g2["ok"] or g2["value"] > 0.2
        else "stretch"
        if g2["value"] <= 0.1
        else "pass"
    )
    return [
        {
            "row": "G1",
            "what": "digests of all queries",
            "against": "peers that do the whole job",
            "must": "all",
            "stretch": "all",
            **g1,
            "verdict": first,
        },
        {
            "row": "G2",
            "what": "worst ratio on another config",
            "against": "this config",
            "must": "0.2",
            "stretch": "0.1",
            **g2,
            "verdict": second,
        },
        {
            "row": "G3",
            "what": "clients whose own scripts pass",
            "against": "the released program",
            "must": "all",
            "stretch": "all",
            **g3,
            "verdict": "not measured" if "missing" in g3 else "pass" if g3["ok"] else "miss",
        },
    ]
