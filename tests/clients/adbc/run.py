"""ADBC Flight SQL: queries, parameters, metadata, bulk ingest."""
import os
import time

import adbc_driver_flightsql.dbapi as flightsql
import pyarrow

headers = {"adbc.flight.sql.authorization_header": f"Bearer {os.environ['FINEO_TOKEN']}"}
with flightsql.connect(os.environ["FINEO_FLIGHT_URL"], db_kwargs=headers, autocommit=True) as connection:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) AS n FROM thermostat")
        assert cursor.fetch_arrow_table().column("n").to_pylist() == [2000]
        cursor.execute("SELECT device FROM thermostat WHERE temp > ? LIMIT 1".replace("?", "$1"), (22.5,))
        assert cursor.fetchone()
        schema = pyarrow.schema([("timestamp", pyarrow.timestamp("us", "UTC")), ("level", pyarrow.float64())])
        rows = pyarrow.table([[1_767_600_000_000_000 + i for i in range(3000)], [float(i) for i in range(3000)]], schema=schema)
        cursor.adbc_ingest("adbc_tank", rows, mode="create_append")
    assert connection.adbc_get_table_types() == ["TABLE", "VIEW"]
    assert "temp" in connection.adbc_get_table_schema("thermostat").names
    for _ in range(50):
        with connection.cursor() as cursor:
            try:
                cursor.execute("SELECT count(*) FROM adbc_tank")
                if cursor.fetchone()[0] == 3000:
                    break
            except flightsql.ProgrammingError:
                pass
        time.sleep(0.2)
    else:
        raise AssertionError("the events did not show")
