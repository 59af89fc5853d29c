"""Apache Superset: a connection, its schemas and tables, SQL Lab, a dataset, a chart with a time grain."""
import os
import sys
import time

import requests

base = sys.argv[1]
browser = requests.Session()


def call(method, path, **body):
    answer = browser.request(method, f"{base}/api/v1{path}", timeout=120, **body)
    assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text[:2000]}"
    return answer.json()


for _ in range(300):
    try:
        if browser.get(f"{base}/health", timeout=5).ok:
            break
    except requests.ConnectionError:
        pass
    time.sleep(0.5)
who = {"username": "admin", "password": "admin", "provider": "db", "refresh": False}
browser.headers["Authorization"] = "Bearer " + call("POST", "/security/login", json=who)["access_token"]

connection = {"database_name": "fineo", "sqlalchemy_uri": os.environ["FINEO_PG_URL"].replace("postgresql:", "postgresql+psycopg2:")}
call("POST", "/database/test_connection/", json=connection)
database = call("POST", "/database/", json=connection | {"expose_in_sqllab": True})["id"]
assert "public" in call("GET", f"/database/{database}/schemas/")["result"]
tables = call("GET", f"/database/{database}/tables/?q=(schema_name:public)")["result"]
assert {"thermostat", "fineo_conflicts"} <= {table["value"] for table in tables}, tables
shown = call("GET", f"/database/{database}/table_metadata/?name=thermostat&schema=public")
assert {"timestamp", "temp", "on", "device"} == {column["name"] for column in shown["columns"]}, shown

sql = "SELECT device, avg(temp) AS temp FROM thermostat WHERE temp > 20 GROUP BY 1 ORDER BY 1"
asked = {"database_id": database, "schema": "public", "sql": sql, "runAsync": False, "queryLimit": 1000, "select_as_cta": False}
answered = call("POST", "/sqllab/execute/", json=asked)
assert [row["device"] for row in answered["data"]] == [f"d{device}" for device in range(7)], answered["data"]

dataset = call("POST", "/dataset/", json={"database": database, "schema": "public", "table_name": "thermostat"})["id"]
columns = call("GET", f"/dataset/{dataset}")["result"]["columns"]
assert [column["is_dttm"] for column in columns if column["column_name"] == "timestamp"] == [True], columns
for grain, points in (("PT1H", 34), ("P1D", 2), ("P1W", 1)):
    mean = {"expressionType": "SIMPLE", "column": {"column_name": "temp"}, "aggregate": "AVG", "label": "mean"}
    hour = {"expressionType": "SQL", "sqlExpression": "timestamp", "label": "timestamp", "columnType": "BASE_AXIS", "timeGrain": grain}
    chart = {
        "datasource": {"id": dataset, "type": "table"},
        "force": True,
        "queries": [{
            "columns": [hour], "metrics": [mean], "row_limit": 1000, "orderby": [],
            "filters": [{"col": "timestamp", "op": "TEMPORAL_RANGE", "val": "2026-01-01 : 2026-02-01"}],
        }],
    }
    [drawn] = call("POST", "/chart/data", json=chart)["result"]
    assert drawn["rowcount"] == points, (grain, drawn["rowcount"], drawn["query"])
    assert all(20 <= row["mean"] <= 23 for row in drawn["data"]), drawn["data"]
saved = {"slice_name": "temperature", "viz_type": "echarts_timeseries_line", "datasource_id": dataset, "datasource_type": "table"}
assert call("POST", "/chart/", json=saved)["id"]
