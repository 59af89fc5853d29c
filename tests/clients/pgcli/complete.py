"""pgcli: what it asks for to complete names, each as it asks."""
import os
from urllib.parse import urlparse

from pgcli.pgexecute import PGExecute

url = urlparse(os.environ["FINEO_PG_URL"])
asked = PGExecute(database="fineo", user=url.username, password=url.password, host=url.hostname, port=url.port, dsn="")
assert ("public", "thermostat") in list(asked.tables()), list(asked.tables())
assert ("public", "fineo_conflicts") in list(asked.views()), list(asked.views())
columns = {column.name if hasattr(column, "name") else column[2] for column in asked.table_columns()}
assert {"timestamp", "temp", "on", "device"} <= columns, columns
assert list(asked.view_columns())
assert "public" in list(asked.schemata()) and "public" in asked.search_path()
assert "fineo" in asked.databases() and list(asked.full_databases())
assert list(asked.foreignkeys()) == [] and list(asked.functions()) == [] and list(asked.datatypes()) == []
list(asked.casing())
