"""SQLAlchemy: all that it reflects, and queries made of what it reflected, over both drivers."""
import os
import warnings

from sqlalchemy import MetaData, Table, create_engine, func, inspect, select, text

warnings.simplefilter("error")
for driver in ("psycopg", "psycopg2"):
    engine = create_engine(os.environ["FINEO_PG_URL"].replace("postgresql://", f"postgresql+{driver}://"))
    inspector = inspect(engine)
    assert "public" in inspector.get_schema_names() and inspector.default_schema_name == "public"
    assert "thermostat" in inspector.get_table_names(), inspector.get_table_names()
    assert "fineo_conflicts" in inspector.get_view_names(), inspector.get_view_names()
    assert inspector.get_view_definition("fineo_conflicts")
    assert inspector.has_table("thermostat") and not inspector.has_table("nothing")
    columns = {column["name"]: column for column in inspector.get_columns("thermostat")}
    assert set(columns) == {"timestamp", "temp", "on", "device"}, columns
    assert str(columns["temp"]["type"]) == "DOUBLE PRECISION" and str(columns["on"]["type"]) == "BOOLEAN", columns
    assert columns["timestamp"]["type"].timezone and not columns["timestamp"]["nullable"], columns
    assert inspector.get_pk_constraint("thermostat")["constrained_columns"] == []
    for of_table in ("foreign_keys", "indexes", "unique_constraints", "check_constraints"):
        assert getattr(inspector, f"get_{of_table}")("thermostat") == [], of_table
    assert inspector.get_table_comment("thermostat") == {"text": None}
    assert inspector.get_table_options("thermostat") == {}
    assert inspector.get_sequence_names() == [] and inspector.get_enums() == [] and inspector.get_domains() == []
    assert inspector.get_materialized_view_names() == [] and inspector.get_foreign_table_names() == []

    everything = MetaData()
    everything.reflect(engine, views=True)
    assert {"thermostat", "fineo_conflicts", "fineo_discovered"} <= set(everything.tables), set(everything.tables)
    assert list(everything.tables["fineo_conflicts"].columns), "a view has columns"
    errors = Table("stream", MetaData(), schema="errors", autoload_with=engine)
    assert "code" in errors.columns

    table = everything.tables["thermostat"]
    day = func.date_trunc("day", table.c.timestamp)
    with engine.connect() as connection:
        rows = connection.execute(select(day.label("day"), func.count().label("n")).group_by(day).order_by("n")).fetchall()
        assert sum(row.n for row in rows) == 2000, rows
        warm = select(table.c.device, table.c.temp).where(table.c.temp > 22.5, table.c.on, table.c.device.in_(["d1", "d2"]))
        found = connection.execute(warm.order_by(table.c.timestamp.desc()).limit(5)).mappings().all()
        assert len(found) == 5 and all(row["temp"] > 22.5 and row["device"] in ("d1", "d2") for row in found), found
        other = table.alias("other")
        pairs = select(func.count()).select_from(table.join(other, table.c.timestamp == other.c.timestamp))
        assert connection.execute(pairs).scalar() == 2000
        assert connection.execute(text("SELECT count(*) FROM thermostat WHERE device = :d"), {"d": "d0"}).scalar() == 286
    with engine.connect().execution_options(stream_results=True, max_row_buffer=100) as connection:
        assert sum(1 for _ in connection.execute(select(table.c.temp))) == 2000, "a cursor on the server"
