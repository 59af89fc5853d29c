import java.sql.*;

/** pgjdbc: DatabaseMetaData, prepared statements, fetch size. */
public class Smoke {
    static void check(boolean holds, String what) {
        if (!holds) throw new AssertionError(what);
    }

    public static void main(String[] arguments) throws Exception {
        try (Connection connection = DriverManager.getConnection(arguments[0], arguments[1], arguments[2])) {
            DatabaseMetaData metadata = connection.getMetaData();
            boolean found = false;
            try (ResultSet tables = metadata.getTables(null, "public", "%", new String[] {"TABLE"})) {
                while (tables.next()) found |= tables.getString("TABLE_NAME").equals("thermostat");
            }
            check(found, "getTables");
            int columns = 0;
            try (ResultSet rows = metadata.getColumns(null, "public", "thermostat", "%")) {
                while (rows.next()) columns++;
            }
            check(columns == 4, "getColumns " + columns);
            try (ResultSet rows = metadata.getSchemas()) { check(rows.next(), "getSchemas"); }
            try (ResultSet rows = metadata.getPrimaryKeys(null, "public", "thermostat")) { check(!rows.next(), "getPrimaryKeys"); }
            String sql = "SELECT device, temp, timestamp FROM thermostat WHERE temp > ? AND device <> ? AND timestamp >= ?";
            try (PreparedStatement statement = connection.prepareStatement(sql)) {
                for (int round = 0; round < 7; round++) {
                    statement.setDouble(1, 22.5);
                    statement.setString(2, "d0");
                    statement.setTimestamp(3, Timestamp.valueOf("2026-01-01 00:00:00"));
                    try (ResultSet rows = statement.executeQuery()) { check(rows.next() && rows.getDouble(2) > 22.5, "prepared"); }
                }
            }
            for (Object[] list : new Object[][] {{"text", "d1", "d3"}, {"text"}}) {
                Object[] items = java.util.Arrays.copyOfRange(list, 1, list.length);
                try (PreparedStatement statement = connection.prepareStatement("SELECT count(*) FROM thermostat WHERE device = ANY(?)")) {
                    statement.setArray(1, connection.createArrayOf((String) list[0], items));
                    try (ResultSet rows = statement.executeQuery()) {
                        check(rows.next() && (rows.getInt(1) > 0) == (items.length > 0), "a list");
                    }
                }
            }
            try (ResultSet rows = metadata.getTypeInfo()) { check(rows.next(), "getTypeInfo"); }
            try (ResultSet rows = metadata.getIndexInfo(null, "public", "thermostat", false, true)) { check(!rows.next(), "getIndexInfo"); }
            try (ResultSet rows = metadata.getImportedKeys(null, "public", "thermostat")) { check(!rows.next(), "getImportedKeys"); }
            try (ResultSet rows = metadata.getCatalogs()) { check(rows.next() && rows.getString(1).equals("fineo"), "getCatalogs"); }
            try (ResultSet rows = metadata.getTableTypes()) { check(rows.next(), "getTableTypes"); }
            try (ResultSet rows = metadata.getFunctions(null, null, "nothing")) { check(!rows.next(), "getFunctions"); }
            connection.setAutoCommit(false);
            try (Statement statement = connection.createStatement()) {
                statement.setFetchSize(300);
                int count = 0;
                try (ResultSet rows = statement.executeQuery("SELECT device FROM thermostat")) { while (rows.next()) count++; }
                check(count == 2000, "fetch size " + count);
            }
            connection.commit();
        }
    }
}
