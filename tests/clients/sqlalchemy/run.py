"""SQLAlchemy: reflection, and a query made of what it reflected, over both drivers."""
import os

from sqlalchemy import MetaData, Table, create_engine, func, inspect, select

for driver in ("psycopg", "psycopg2"):
    engine = create_engine(os.environ["FINEO_PG_URL"].replace("postgresql://", f"postgresql+{driver}://"))
    inspector = inspect(engine)
    assert "public" in inspector.get_schema_names()
    assert "thermostat" in inspector.get_table_names(), inspector.get_table_names()
    names = [column["name"] for column in inspector.get_columns("thermostat")]
    assert {"timestamp", "temp", "on", "device"} <= set(names), names
    assert inspector.get_foreign_keys("thermostat") == [] and inspector.get_indexes("thermostat") == []
    table = Table("thermostat", MetaData(), autoload_with=engine)
    day = func.date_trunc("day", table.c.timestamp)
    with engine.connect() as connection:
        rows = connection.execute(select(day.label("day"), func.count().label("n")).group_by(day).order_by("n")).fetchall()
        assert sum(row.n for row in rows) == 2000, rows
