"""psycopg 3: parameters, binary, server-side cursors, errors, cancel."""
import datetime
import os
import threading

import psycopg

UTC = datetime.timezone.utc

with psycopg.connect(os.environ["FINEO_PG_URL"]) as connection:
    since = datetime.datetime(2026, 1, 1, tzinfo=UTC)
    sql = "SELECT device, temp, timestamp FROM thermostat WHERE temp > %s AND timestamp >= %s ORDER BY timestamp LIMIT %s"
    rows = connection.execute(sql, (22.5, since, 2)).fetchall()
    assert rows[0] == ("d4", 22.75, datetime.datetime(2026, 1, 1, 0, 11, tzinfo=UTC)), rows
    for binary in (True, False):
        row = connection.cursor(binary=binary).execute('SELECT timestamp, temp, "on", device FROM thermostat LIMIT 1').fetchone()
        assert row == (since, 20.0, True, "d0"), row
    for listed, expected in ((["d1", "d3"], 572), (["nobody"], 0), ([], 0)):
        count = connection.execute("SELECT count(*) FROM thermostat WHERE device = ANY(%s)", (listed,)).fetchone()[0]
        assert count == expected, (listed, count)
    count = connection.execute("SELECT count(*) FROM thermostat WHERE temp = ANY(%s) AND device <> ALL(%s)", ([20.0, 20.25], ["d0"])).fetchone()[0]
    assert 0 < count < 2000, count
    with connection.cursor(name="big") as cursor:
        cursor.itersize = 500
        cursor.execute("SELECT device FROM thermostat")
        assert sum(1 for _ in cursor) == 2000
    try:
        connection.execute("SELECT nothing FROM thermostat")
    except psycopg.errors.UndefinedColumn as error:
        assert error.diag.statement_position == "8", error.diag.statement_position
        connection.rollback()
    threading.Timer(0.5, connection.cancel).start()
    try:
        connection.execute("WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 100000000) SELECT count(*) FROM n")
        raise AssertionError("not cancelled")
    except psycopg.errors.QueryCanceled:
        connection.rollback()
