"""Whoever cancels a query, or goes without a word, frees all that it held within two seconds: CPU, files, memory, its connection."""
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
import urllib.request

import adbc_driver_flightsql.dbapi as flightsql
import psycopg

FREED_WITHIN = 2.0
COMPUTES = "SELECT count(*) FROM generate_series(1, 100000) a CROSS JOIN generate_series(1, 100000) b WHERE (a.value * b.value) % 7 = 1"
SPILLS = "SELECT value, repeat(CAST(value AS VARCHAR), 40) AS text FROM generate_series(1, 20000000) ORDER BY text DESC"
SERVER = pathlib.Path("/proc") / os.environ["FINEO_PID"]
SPILL = pathlib.Path(os.environ["FINEO_STORE"]) / "spill"


def over_http(sql):
    request = urllib.request.Request(
        os.environ["FINEO_HTTP_URL"] + "/v1/query",
        json.dumps({"sql": sql}).encode(),
        {"Authorization": f"Bearer {os.environ['FINEO_TOKEN']}", "Content-Type": "application/json"},
    )
    urllib.request.urlopen(request).read()


def over_postgres(sql, cancelled_by=None):
    with psycopg.connect(os.environ["FINEO_PG_URL"]) as connection:
        if cancelled_by:
            threading.Thread(target=lambda: cancelled_by.wait() and connection.cancel()).start()
        connection.execute(sql)


def over_flight(sql, cancelled_by=None):
    headers = {"adbc.flight.sql.authorization_header": f"Bearer {os.environ['FINEO_TOKEN']}"}
    with flightsql.connect(os.environ["FINEO_FLIGHT_URL"], db_kwargs=headers, autocommit=True) as connection:
        with connection.cursor() as cursor:
            if cancelled_by:
                threading.Thread(target=lambda: cancelled_by.wait() and cursor.adbc_cancel()).start()
            cursor.execute(sql)
            cursor.fetch_arrow_table()


DOORS = {"http": over_http, "postgres": over_postgres, "flight": over_flight}


def busy():
    """CPU seconds of the server."""
    fields = (SERVER / "stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def files():
    return len(list((SERVER / "fd").iterdir()))


def spilled():
    return [path for path in SPILL.rglob("*") if path.is_file()]


def until(holds, seconds, what):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, what()
        time.sleep(0.02)


def is_freed(before):
    """Whether the server does nothing in a fifth of a second, and has no more files and connections than before."""
    if files() > before or spilled():
        return False
    began = busy()
    time.sleep(0.2)
    return busy() - began <= 0.04


def leaves(what, sql, begin, leave):
    before, began = files(), busy()
    begin()
    until(lambda: spilled() if sql == SPILLS else busy() - began > 0.5, 60, lambda: f"{what}: the query does not work")
    leave()
    left = time.monotonic()
    until(lambda: is_freed(before), FREED_WITHIN, lambda: f"{what}: {files() - before} files more, {len(spilled())} spilled, and busy")
    print(f"{what}: all was free {time.monotonic() - left:.1f} s later")


def killed(door, sql):
    """A client that ends in the midst of it."""
    child = []
    begin = lambda: child.append(subprocess.Popen([sys.executable, __file__, door, sql], stderr=subprocess.DEVNULL))
    leaves(f"{door}, killed", sql, begin, lambda: child[0].send_signal(signal.SIGKILL))
    child[0].wait()


def cancelled(door, sql):
    """A client that asks to stop, and stays."""
    asked, refused = threading.Event(), []

    def ask():
        try:
            DOORS[door](sql, asked)
        except Exception as error:  # each driver has its own
            refused.append(error)

    thread = threading.Thread(target=ask)
    leaves(f"{door}, cancelled", sql, thread.start, asked.set)
    thread.join()
    assert refused, f"{door}: a query that was cancelled has an answer"


if len(sys.argv) == 3:
    DOORS[sys.argv[1]](sys.argv[2])
    sys.exit()
until(lambda: is_freed(files()), 20, lambda: "the server is busy before anybody asks")
for sql in (COMPUTES, SPILLS):
    for door in DOORS:
        killed(door, sql)
    for door in ("postgres", "flight"):
        cancelled(door, sql)
