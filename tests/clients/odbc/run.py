"""psqlodbc through pyodbc: metadata, parameters."""
import os
from urllib.parse import urlsplit

import pyodbc

url = urlsplit(os.environ["FINEO_PG_URL"])
connection = pyodbc.connect(
    f"DRIVER={os.environ['FINEO_PSQLODBC']};SERVER={url.hostname};PORT={url.port};DATABASE=fineo;UID={url.username};PWD={url.password}",
    autocommit=True,
)
cursor = connection.cursor()
assert cursor.execute("SELECT count(*) FROM thermostat WHERE temp > ?", 22.5).fetchone()[0] > 0
assert "thermostat" in [row.table_name for row in cursor.tables()]
assert "temp" in [row.column_name for row in cursor.columns(table="thermostat")]
