//! What to do about an error, where nobody who met it knew better.

/// What usually helps against errors of this SQLSTATE.
pub(super) fn hint(state: &str) -> &'static str {
    match state {
        "22012" => "NULLIF(divisor, 0) gives null instead",
        "22003" => "a wider type may hold it: CAST(x AS DOUBLE), CAST(x AS DECIMAL(38, 2))",
        "22008" => "times run from the year 0001 to the year 9999",
        "22021" => "texts are UTF-8, without zero bytes",
        "22023" => "the value that the message names has no meaning here; SHOW ALL lists settings",
        "22P02" => "write the value as its type is written; TRY_CAST gives null for stored values that do not fit",
        "25P02" => "ROLLBACK ends the transaction; then ask again",
        "26000" => "prepare it again: statements belong to one session and end with it",
        "28000" | "28P01" => {
            "the user is the tenant, the password one of its tokens that counts: fineo token create --tenant T"
        }
        "34000" => "cursors and portals end with their transaction: BEGIN, then declare it again",
        "3D000" => "connect to the database fineo",
        "42601" => "one statement at a time; names with capitals or signs stand in \"quotes\", texts in 'quotes'",
        "42501" => {
            "here one can only read what is the tenant's: events come in over HTTP and Flight, fineo schema changes the schema"
        }
        "42702" | "42P09" => "say which one is meant: table.column, schema.table",
        "42703" => "information_schema.columns lists the columns; in \"quotes\" a name counts with its capitals",
        "42704" => "SHOW ALL lists the settings, pg_type the types",
        "42883" => "no such function takes these types: CAST(x AS …) changes a type",
        "42P01" => "information_schema.tables lists the tables; a metric has one once an event of it came",
        "42P03" | "42P05" => "choose another name, or give the one that has it up: CLOSE, DEALLOCATE",
        "53000" | "53300" | "53400" | "57P03" => {
            "try again later, or close sessions, statements and cursors that are not needed"
        }
        "53100" => "the server's disk is full: its operator has to make room",
        "53200" => "ask for fewer rows, groups or columns at once",
        "54000" => "ask for less at once: fewer columns, LIMIT, a narrower WHERE",
        "54001" => "split the statement, or give a long list as one parameter: x = ANY($1)",
        "57014" => {
            "if nobody cancelled it: SET statement_timeout TO 0, a narrower WHERE, or limits.query_seconds_max of the server"
        }
        "57P01" | "57P05" => "connect again",
        "0A000" => "another wording may do: docs/sql.md and docs/tools of the server say what there is",
        "08P01" | "22P03" => {
            "client and server do not understand each other: a newer driver may, else tell the server's operator"
        }
        _ => "tell the server's operator, together with the statement",
    }
}
