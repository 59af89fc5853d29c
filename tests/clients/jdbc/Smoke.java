import java.sql.*;
import java.util.*;

/** pgjdbc: DatabaseMetaData, prepared statements, fetch size. */
public class Smoke {
    static void check(boolean holds, String what) {
        if (!holds) throw new AssertionError(what);
    }

    /** One column of all rows, in order. */
    static List<String> column(ResultSet rows, String name) throws SQLException {
        List<String> values = new ArrayList<>();
        try (rows) { while (rows.next()) values.add(rows.getString(name)); }
        return values;
    }

    static void expect(List<String> found, String... expected) {
        check(found.equals(List.of(expected)), found + ", not " + List.of(expected));
    }

    public static void main(String[] arguments) throws Exception {
        try (Connection connection = DriverManager.getConnection(arguments[0], arguments[1], arguments[2])) {
            names(connection.getMetaData());
            nothing(connection.getMetaData());
            for (int threshold : new int[] {5, -1}) prepared(connection, threshold);
            lists(connection);
            fetched(connection);
        }
        try (Connection connection = DriverManager.getConnection(arguments[0] + "?preferQueryMode=simple", arguments[1], arguments[2])) {
            names(connection.getMetaData());
            prepared(connection, 0);
        }
    }

    static void names(DatabaseMetaData metadata) throws SQLException {
        expect(column(metadata.getCatalogs(), "TABLE_CAT"), "fineo");
        expect(column(metadata.getSchemas(), "TABLE_SCHEM"), "errors", "information_schema", "pg_catalog", "public");
        expect(column(metadata.getTables(null, "public", "%", new String[] {"TABLE"}), "TABLE_NAME"), "thermostat");
        List<String> views = column(metadata.getTables(null, null, "fineo\\_%", new String[] {"VIEW"}), "TABLE_NAME");
        check(views.contains("fineo_conflicts") && !views.contains("thermostat"), "views: " + views);
        check(column(metadata.getTables(null, null, null, null), "TABLE_NAME").contains("stream"), "errors.stream");
        expect(column(metadata.getColumns(null, "public", "thermostat", null), "COLUMN_NAME"), "timestamp", "temp", "on", "device");
        try (ResultSet rows = metadata.getColumns("fineo", "public", "thermo%", "t_mp")) {
            check(rows.next() && rows.getInt("DATA_TYPE") == Types.DOUBLE && rows.getString("TYPE_NAME").equals("float8"), "type of temp");
            check(rows.getInt("NULLABLE") == DatabaseMetaData.columnNullable && rows.getInt("ORDINAL_POSITION") == 2, "temp");
            check(rows.getString("COLUMN_DEF") == null && rows.getString("IS_AUTOINCREMENT").equals("NO") && !rows.next(), "only temp");
        }
        List<String> types = column(metadata.getTypeInfo(), "TYPE_NAME");
        check(types.containsAll(List.of("bool", "int4", "int8", "float8", "numeric", "text", "timestamptz", "date", "bytea", "json")), "types: " + types);
        try (ResultSet rows = metadata.getTypeInfo()) {
            while (rows.next()) {
                if (rows.getString("TYPE_NAME").equals("timestamptz")) check(rows.getInt("DATA_TYPE") == Types.TIMESTAMP, "timestamptz");
                if (rows.getString("TYPE_NAME").equals("_int4")) check(rows.getInt("DATA_TYPE") == Types.ARRAY, "_int4");
            }
        }
        check(column(metadata.getTableTypes(), "TABLE_TYPE").contains("TABLE"), "getTableTypes");
        check(metadata.getMaxColumnNameLength() > 0 && metadata.getSQLKeywords() != null, "limits and keywords");
    }

    /** What no tenant has. */
    static void nothing(DatabaseMetaData metadata) throws SQLException {
        String schema = "public", table = "thermostat";
        expect(column(metadata.getPrimaryKeys(null, schema, table), "COLUMN_NAME"));
        expect(column(metadata.getIndexInfo(null, schema, table, false, true), "INDEX_NAME"));
        expect(column(metadata.getImportedKeys(null, schema, table), "FK_NAME"));
        expect(column(metadata.getExportedKeys(null, schema, table), "FK_NAME"));
        expect(column(metadata.getCrossReference(null, schema, table, null, schema, table), "FK_NAME"));
        expect(column(metadata.getBestRowIdentifier(null, schema, table, DatabaseMetaData.bestRowSession, true), "COLUMN_NAME"));
        expect(column(metadata.getUDTs(null, schema, "%", null), "TYPE_NAME"));
        expect(column(metadata.getFunctions(null, null, "%"), "FUNCTION_NAME"));
        expect(column(metadata.getFunctionColumns(null, null, "%", null), "COLUMN_NAME"));
        expect(column(metadata.getProcedures(null, null, "%"), "PROCEDURE_NAME"));
        expect(column(metadata.getProcedureColumns(null, null, "%", null), "COLUMN_NAME"));
        expect(column(metadata.getTablePrivileges(null, schema, "nothing"), "PRIVILEGE"));
        expect(column(metadata.getColumnPrivileges(null, schema, "nothing", "%"), "PRIVILEGE"));
    }

    /** The driver keeps a statement on the server after so many executions, at once where it is negative. */
    static void prepared(Connection connection, int threshold) throws SQLException {
        String sql = "SELECT device, temp, timestamp, \"on\" FROM thermostat WHERE temp > ? AND device <> ? AND timestamp >= ? AND \"on\" = ?";
        try (PreparedStatement statement = connection.prepareStatement(sql)) {
            if (threshold != 0) statement.unwrap(org.postgresql.PGStatement.class).setPrepareThreshold(threshold);
            for (int round = 0; round < 7; round++) {
                statement.setDouble(1, 22.5);
                statement.setString(2, "d0");
                statement.setObject(3, java.time.OffsetDateTime.parse("2026-01-01T00:00:00Z"));
                statement.setBoolean(4, true);
                try (ResultSet rows = statement.executeQuery()) {
                    check(rows.next() && rows.getDouble("temp") > 22.5 && rows.getBoolean("on") && rows.getTimestamp("timestamp") != null, "prepared");
                }
            }
            if (threshold != 0) {
                check(statement.getParameterMetaData().getParameterCount() == 4, "getParameterMetaData");
                ResultSetMetaData columns = statement.getMetaData();
                check(columns.getColumnCount() == 4 && columns.getColumnTypeName(2).equals("float8"), "getMetaData");
            }
        }
    }

    static void lists(Connection connection) throws SQLException {
        for (String[] items : new String[][] {{"d1", "d3"}, {}}) {
            try (PreparedStatement statement = connection.prepareStatement("SELECT count(*) FROM thermostat WHERE device = ANY(?)")) {
                statement.setArray(1, connection.createArrayOf("text", items));
                try (ResultSet rows = statement.executeQuery()) {
                    check(rows.next() && (rows.getInt(1) > 0) == (items.length > 0), "a list");
                }
            }
        }
    }

    /** A fetch size counts within a transaction: the driver then takes the rows in parts. */
    static void fetched(Connection connection) throws SQLException {
        connection.setAutoCommit(false);
        try (Statement statement = connection.createStatement()) {
            statement.setFetchSize(300);
            int count = 0;
            try (ResultSet rows = statement.executeQuery("SELECT device FROM thermostat")) { while (rows.next()) count++; }
            check(count == 2000, "fetch size " + count);
            try (ResultSet rows = statement.executeQuery("SELECT device FROM thermostat")) { check(rows.next(), "left before its end"); }
            statement.setMaxRows(10);
            try (ResultSet rows = statement.executeQuery("SELECT device FROM thermostat")) { for (count = 0; rows.next(); ) count++; }
            check(count == 10, "at most " + count);
        }
        connection.commit();
        connection.setAutoCommit(true);
    }
}
