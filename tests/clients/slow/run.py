"""An answer of ten million rows goes to a slow reader in bounded memory, and a reader that leaves ends it: all doors."""
import json
import os
import time
import urllib.request

import adbc_driver_flightsql.dbapi as flightsql
import psycopg

ROWS = int(os.environ.get("FINEO_SLOW_ROWS", "10000000"))
# What the answer itself would take is several times that.
GROWTH_BYTES_MAX = 128 << 20
SQL = f"SELECT value, repeat('x', 20) AS text FROM generate_series(1, {ROWS})"


def status(name):
    with open(f"/proc/{os.environ['FINEO_PID']}/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(name)) << 10


def over_http():
    """Yields how many bytes were read."""
    request = urllib.request.Request(
        os.environ["FINEO_HTTP_URL"] + "/v1/query",
        json.dumps({"sql": SQL}).encode(),
        {"Authorization": f"Bearer {os.environ['FINEO_TOKEN']}", "Content-Type": "application/json", "Accept": "text/csv"},
    )
    with urllib.request.urlopen(request) as answer:
        lines = -1  # the header's row
        while piece := answer.read(1 << 20):
            lines += piece.count(b"\n")
            yield lines
        assert lines == ROWS, lines


def over_postgres():
    with psycopg.connect(os.environ["FINEO_PG_URL"]) as connection, connection.cursor() as cursor:
        rows = 0
        for _ in cursor.stream(SQL, size=1_000):
            rows += 1
            if rows % 3_000 == 0:
                yield rows
        assert rows == ROWS, rows


def over_flight():
    headers = {"adbc.flight.sql.authorization_header": f"Bearer {os.environ['FINEO_TOKEN']}"}
    with flightsql.connect(os.environ["FINEO_FLIGHT_URL"], db_kwargs=headers, autocommit=True) as connection:
        with connection.cursor() as cursor:
            cursor.execute(SQL)
            rows = 0
            for batch in cursor.fetch_record_batch():
                rows += batch.num_rows
                yield rows
            assert rows == ROWS, rows


def busy():
    """CPU seconds of the server."""
    with open(f"/proc/{os.environ['FINEO_PID']}/stat") as line:
        fields = line.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


for door in (over_http, over_postgres, over_flight):
    before = status("VmRSS")
    pieces = door()
    next(pieces)
    time.sleep(2)  # the reader takes nothing for a while: what the server holds then is all it may hold
    held = status("VmRSS") - before
    for _ in pieces:
        pass
    after = status("VmRSS") - before
    print(f"{door.__name__}: {ROWS} rows, {held >> 20} MB more while nobody read, {after >> 20} MB more in the end")
    assert max(held, after) < GROWTH_BYTES_MAX, (door.__name__, held, after)

    pieces = door()
    next(pieces)
    pieces.close()
    time.sleep(2)
    began = busy()
    time.sleep(1)
    spent = busy() - began
    print(f"{door.__name__}: {spent} s of CPU in the second that began two seconds after the reader left")
    assert spent < 0.5, (door.__name__, spent)
