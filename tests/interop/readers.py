"""Reads a table with one of other people's engines and prints what it saw as JSON: columns with types, and rows.

    readers.py READER LOCATION

Values are printed in one form whatever the engine: instants as microseconds since 1970, days as text, bytes as
hexadecimal digits, numbers as numbers, decimals as text. Rows come in order of event ids.
"""
import datetime
import decimal
import json
import os
import pathlib
import sys
import urllib.parse
import urllib.request

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


def plain(value):
    """The one form of a value."""
    if isinstance(value, datetime.datetime):
        return (value.astimezone(datetime.timezone.utc) - EPOCH) // datetime.timedelta(microseconds=1)
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).hex()
    if isinstance(value, decimal.Decimal):
        return str(value)
    return value


def arrow_type(kind) -> str:
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return arrow_type(kind.value_type)
    if pa.types.is_timestamp(kind):
        return "timestamp" if kind.tz else "timestamp without zone"
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    names = {"large_string": "string", "string_view": "string", "large_binary": "binary", "binary_view": "binary",
             "double": "double", "int64": "long", "int32": "integer", "bool": "boolean", "date32[day]": "date",
             "float": "float"}
    text = str(kind)
    return "binary" if text.startswith("fixed_size_binary") else names.get(text, text)


def of_arrow(table):
    columns = {field.name: arrow_type(field.type) for field in table.schema}
    return columns, table.to_pylist()


def deltalake(location):
    import deltalake

    return of_arrow(deltalake.DeltaTable(location).to_pyarrow_table())


def polars(location):
    import polars

    return of_arrow(polars.read_delta(location).to_arrow())


def duckdb(location):
    import duckdb
    import duckdb_ext

    with duckdb.connect(config={"autoinstall_known_extensions": "false"}) as connection:
        duckdb_ext.init(connection)
        connection.load_extension("delta")
        connection.execute("SET TimeZone = 'UTC'")
        return of_arrow(connection.sql(f"SELECT * FROM delta_scan('{location}')").to_arrow_table())


def chdb(location):
    import chdb

    path = urllib.request.url2pathname(urllib.parse.urlparse(location).path)
    os.chdir("/")  # it reads nothing outside of the working directory
    engine = f"deltaLakeLocal('{path}')"
    described = json.loads(str(chdb.query(f"DESCRIBE TABLE {engine}", "JSON")))["data"]
    columns = {row["name"]: clickhouse_type(row["type"]) for row in described}
    chosen = []
    for row in described:
        name = f"`{row['name']}`"
        if row["name"] in BINARY:
            columns[row["name"]] = "binary"
            # Arrow has no text that is not UTF-8: bytes come as digits.
            chosen.append(f"lower(hex({name})) AS {name}")
        else:
            chosen.append(name)
    rows = chdb.query(f"SELECT {', '.join(chosen)} FROM {engine}", "ArrowTable").to_pylist()
    texts = [name for name, kind in columns.items() if kind == "string"]
    for row in rows:
        for name in texts:
            if isinstance(row[name], bytes):
                row[name] = row[name].decode()
    return columns, rows


# ClickHouse's String is bytes and text alike.
BINARY = {"_fineo_event_id", "_fineo_content", "payload"}


def clickhouse_type(text: str) -> str:
    if text.startswith("Nullable("):
        return clickhouse_type(text[len("Nullable("):-1])
    if text.startswith("DateTime64(6"):
        return "timestamp"
    if text.startswith("Decimal("):
        return "decimal(" + text[len("Decimal("):].replace(" ", "")
    return {"String": "string", "Float64": "double", "Float32": "float", "Int64": "long", "Int32": "integer",
            "Bool": "boolean", "Date32": "date", "Date": "date"}.get(text, text)


def manifest(location):
    """As an engine without a Delta reader does it: the plain list of files, the day from their paths."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    root = pathlib.Path(urllib.request.url2pathname(urllib.parse.urlparse(location).path))
    tables = []
    for url in (root / "_fineo/manifest.txt").read_text().splitlines():
        path = pathlib.Path(urllib.request.url2pathname(urllib.parse.urlparse(url).path))
        table = parquet.ParquetFile(path).read()
        flat = [column.cast(kind.value_type) if pa.types.is_dictionary(kind := column.type) else column
                for column in table.columns]
        table = pa.table(dict(zip(table.column_names, flat)))
        day = datetime.date.fromisoformat(path.parent.name.removeprefix("day="))
        tables.append(table.append_column("day", pa.array([day] * len(table), pa.date32())))
    return of_arrow(pa.concat_tables(tables, promote_options="permissive"))


def spark(location):
    """Spark reads the files that the manifest lists; it needs Java."""
    from pyspark.sql import SparkSession

    root = urllib.request.url2pathname(urllib.parse.urlparse(location).path)
    session = SparkSession.builder.master("local[1]").config("spark.sql.session.timeZone", "UTC").getOrCreate()
    files = pathlib.Path(root, "_fineo/manifest.txt").read_text().splitlines()
    frame = session.read.option("basePath", location).option("mergeSchema", "true").parquet(*files)
    names = {"bigint": "long", "int": "integer"}
    columns = {name: names.get(kind, kind) for name, kind in frame.dtypes}
    return columns, [row.asDict() for row in frame.collect()]


READERS = {"deltalake": deltalake, "polars": polars, "duckdb": duckdb, "chdb": chdb, "manifest": manifest, "spark": spark}


def main():
    columns, rows = READERS[sys.argv[1]](sys.argv[2])
    rows = [{name: plain(value) for name, value in row.items()} for row in rows]
    rows.sort(key=lambda row: row["_fineo_event_id"])
    json.dump({"columns": columns, "rows": rows}, sys.stdout)


if __name__ == "__main__":
    main()
