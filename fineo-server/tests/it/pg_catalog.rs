//! What clients ask about the names that there are.

use std::time::Duration;

use fineo::{Fineo, QueryLimits, TenantId, schema::Change};
use fineo_server::{DoorLimits, Scope, auth::TokenRequest};
use tokio_postgres::{NoTls, error::SqlState};

use crate::{
    desk::Desk,
    pg::{acme, ask, connect, state},
};

#[tokio::test]
async fn the_catalog_has_the_tenants_names_and_no_others() {
    // T3
    let desk = Desk::open().await;
    let [acme, rival] = [acme(&desk).await, connect(&desk, "rival", &desk.rival).await];
    let tables = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1";
    assert_eq!(ask(&acme, tables).await, ["fineo_conflicts", "fineo_discovered", "thermostat"]);
    assert_eq!(ask(&rival, tables).await, ["canary", "fineo_conflicts", "fineo_discovered"]);
    let classes = "SELECT relname FROM pg_catalog.pg_class WHERE relkind = 'r' ORDER BY 1";
    assert_eq!(ask(&acme, classes).await, ["thermostat"]);
    assert_eq!(ask(&acme, "SELECT current_user, current_database()").await, ["acme|fineo"]);
    let columns =
        "SELECT a.attname FROM pg_attribute a JOIN pg_class c ON a.attrelid = c.oid WHERE c.relname = 'canary'";
    assert_eq!(ask(&acme, columns).await, Vec::<String>::new());
    let missing = ["SELECT * FROM canary", "SELECT * FROM rival.public.canary", "SELECT * FROM never.public.there"];
    for sql in missing {
        assert_eq!(state(&acme, sql).await, SqlState::UNDEFINED_TABLE, "{sql}");
    }
}

#[tokio::test]
async fn the_catalog_has_the_password_of_nobody_and_no_role_but_the_tenant() {
    let desk = Desk::open().await;
    let client = acme(&desk).await;
    assert_eq!(ask(&client, "SELECT rolname, rolcanlogin, rolpassword IS NULL FROM pg_roles").await, ["acme|t|t"]);
    for table in ["pg_authid", "pg_catalog.pg_authid", "PG_AUTHID"] {
        let told = format!("SELECT rolname, rolsuper, rolcanlogin, rolpassword IS NULL FROM {table}");
        assert_eq!(ask(&client, &told).await, ["acme|f|t|t"], "{table}");
    }
    let whole = client.prepare("SELECT * FROM pg_authid").await.unwrap();
    let names: Vec<&str> = whole.columns().iter().map(|column| column.name()).collect();
    assert_eq!(names[..3], ["oid", "rolname", "rolsuper"]);
    let same = "SELECT count(*) FROM pg_authid a JOIN pg_roles r ON a.oid = r.oid AND a.rolname = r.rolname";
    assert_eq!(ask(&client, same).await, ["1"]);
}

#[tokio::test]
async fn columns_are_called_and_typed_in_the_catalog_as_in_results() {
    let desk = Desk::open().await;
    let client = acme(&desk).await;
    let asked = client.prepare("SELECT current_user, current_user::text, session_user, current_catalog").await.unwrap();
    let names: Vec<&str> = asked.columns().iter().map(|column| column.name()).collect();
    assert_eq!(names, ["current_user", "current_user_2", "session_user", "current_catalog"]);
    assert_eq!(ask(&client, "SELECT current_user AS me FROM pg_class LIMIT 1").await, ["acme"]);
    let told = "SELECT a.atttypid::oid::int, format_type(a.atttypid, NULL) FROM pg_attribute a \
                JOIN pg_class c ON c.oid = a.attrelid WHERE c.relname = 'thermostat' AND a.attname = 'raw'";
    assert_eq!(ask(&client, told).await, ["114|json"]);
    let shown = client.prepare("SELECT raw FROM thermostat").await.unwrap();
    assert_eq!(shown.columns()[0].type_().oid(), 114);
}

#[tokio::test]
async fn a_metric_called_as_a_table_of_another_schema_has_types_of_its_own() {
    let desk = Desk::open().await;
    let client = acme(&desk).await;
    let field = Change::AddField {
        metric: "stream".to_owned(),
        name: "code".to_owned(),
        field_type: "json".to_owned(),
        aliases: Vec::new(),
        unit: None,
    };
    let metric = Change::CreateMetric { name: "stream".to_owned(), aliases: Vec::new() };
    desk.shared.fineo.schema(&TenantId::new("acme").unwrap()).apply(vec![metric, field]).await.unwrap();
    let told = "SELECT n.nspname, a.atttypid::oid::int = 114 FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid \
                JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relname = 'stream' AND a.attname = 'code' ORDER BY 1";
    assert_eq!(ask(&client, told).await, ["errors|f", "public|t"]);
}

#[tokio::test]
async fn a_list_may_be_written_as_a_text() {
    // What pgcli asks to complete the names of tables, and other spellings of it.
    let desk = Desk::open().await;
    let client = acme(&desk).await;
    let tables = "SELECT n.nspname schema_name, c.relname table_name FROM pg_catalog.pg_class c \
                  LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind ";
    for (listed, expected) in [
        ("= ANY('{r,p,f}')", &["public|thermostat"][..]),
        ("= any ('{r, p, \"f\"}'::text[])", &["public|thermostat"]),
        ("= ANY(CAST('{r}' AS \"char\"[]))", &["public|thermostat"]),
        ("= ANY(ARRAY['r', 'p'])", &["public|thermostat"]),
        ("= ANY('{p,f}')", &[]),
        ("= ANY('{}')", &[]),
        ("<> ALL('{v,m,i,S,t}') AND c.relname <> ALL('{}')", &["public|thermostat"][..]),
    ] {
        let found = ask(&client, &format!("{tables}{listed} AND n.nspname = 'public' ORDER BY 1, 2")).await;
        assert_eq!(found, expected, "{listed}");
    }
    let nothing = "SELECT count(*) FROM pg_class WHERE relname = ANY('{NULL,\"null\"}') OR relname = ANY(E'{a\\\\,b}')";
    assert_eq!(ask(&client, nothing).await, ["0"]);
    let quoted = "SELECT relname FROM pg_class WHERE relname = ANY('{\"a, b\",thermostat}')";
    assert_eq!(ask(&client, quoted).await, ["thermostat"]);
    // Whose items are of a type that only the list's place tells, as psycopg sends them.
    for (sql, list) in [
        ("SELECT relname FROM pg_class WHERE relkind = ANY($1) AND relname <> ALL($2)", vec!["r", "p"]),
        ("SELECT relname FROM pg_class c WHERE (c.relkind)::text = ANY(($1)) AND NOT oid = ANY($2)", vec!["r"]),
    ] {
        let rows =
            client.query(sql, &[&list, &Vec::<&str>::new()]).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        assert_eq!(rows.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>(), ["thermostat"], "{sql}");
    }
    let numbered = "SELECT typname FROM pg_catalog.pg_type WHERE oid = ANY('{16,25}') ORDER BY oid";
    assert_eq!(ask(&client, numbered).await, ["bool", "text"]);
    for text in ["r,p", "{r,}", "{\"r\"p}", "{{r}}", "{\"r}"] {
        let malformed = format!("SELECT relname FROM pg_class WHERE relkind = ANY('{text}')");
        assert_eq!(state(&client, &malformed).await, SqlState::INVALID_TEXT_REPRESENTATION, "{text}");
    }
    let columns = "SELECT nsp.nspname, cls.relname, att.attname, att.atttypid::regtype::text, att.atthasdef, \
                   pg_catalog.pg_get_expr(def.adbin, def.adrelid, true) as default FROM pg_catalog.pg_attribute att \
                   INNER JOIN pg_catalog.pg_class cls ON att.attrelid = cls.oid \
                   INNER JOIN pg_catalog.pg_namespace nsp ON cls.relnamespace = nsp.oid \
                   LEFT OUTER JOIN pg_attrdef def ON def.adrelid = att.attrelid AND def.adnum = att.attnum \
                   WHERE cls.relkind = ANY('{r,p,f}') AND NOT att.attisdropped AND att.attnum > 0 \
                   ORDER BY 1, 2, att.attnum";
    assert!(ask(&client, columns).await.iter().any(|row| row.starts_with("public|thermostat|temp|")));
}

#[tokio::test]
async fn what_no_tenant_has_is_null_where_clients_look_it_up_for_each_column() {
    let desk = Desk::open().await;
    let client = acme(&desk).await;
    let columns = "SELECT a.attname, (SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid) FROM pg_catalog.pg_attrdef d \
                   WHERE a.atthasdef AND d.adrelid = a.attrelid AND d.adnum = a.attnum) AS \"default\", \
                   CASE WHEN a.attcollation != 0 AND (SELECT t.typcollation FROM pg_catalog.pg_type t WHERE t.oid = a.atttypid) \
                   != a.attcollation THEN (SELECT c.collname FROM pg_catalog.pg_collation c WHERE c.oid = a.attcollation) END \
                   FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid \
                   WHERE c.relname = 'thermostat' AND a.attname = 'temp'";
    assert_eq!(ask(&client, columns).await, ["temp|-|-"]);
    let keys = "SELECT result.column_name, result.key_seq FROM (SELECT a.attname AS column_name, \
                (information_schema._pg_expandarray(i.indkey)).n AS key_seq, \
                information_schema._pg_expandarray(i.indkey) AS keys, a.attnum AS a_attnum FROM pg_catalog.pg_class ct \
                JOIN pg_catalog.pg_attribute a ON (ct.oid = a.attrelid) JOIN pg_catalog.pg_index i ON (a.attrelid = i.indrelid) \
                WHERE i.indisprimary) result WHERE result.a_attnum = (result.keys).x ORDER BY result.key_seq";
    assert_eq!(ask(&client, keys).await, Vec::<String>::new());
}

#[tokio::test]
async fn what_no_tenant_has_is_asked_for_in_words_of_every_kind() {
    let desk = Desk::open().await;
    let client = acme(&desk).await;
    let rows = async |sql: &str, names: &[&str]| {
        let statement = client.prepare(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        let found: Vec<&str> = statement.columns().iter().map(|column| column.name()).collect();
        assert_eq!(found, names, "{sql}");
        ask(&client, sql).await
    };
    // What drivers ask for: indexes of a table, keys, types one by one, settings that they need to begin with.
    let indexes = "SELECT i.indrelid, c.relname, c.reloptions, array_agg(a.attname ORDER BY k.ord) FILTER (WHERE k.n > 0) \
                   FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON i.indexrelid = c.oid LEFT OUTER JOIN (SELECT \
                   indexrelid, unnest(indkey) AS n, generate_subscripts(indkey, 1) AS ord FROM pg_index) k ON true \
                   LEFT JOIN pg_attribute a ON a.attnum = k.n GROUP BY 1, 2, 3 ORDER BY i.indrelid";
    assert!(rows(indexes, &["indrelid", "relname", "reloptions", "array_agg"]).await.is_empty());
    let options = "SELECT relname, reloptions, NULL, NULL FROM pg_class WHERE relname = 'thermostat'";
    let found = rows(options, &["relname", "reloptions", "?column?", "?column?_2"]).await;
    assert_eq!(found, ["thermostat|-|-|-"]);
    let list_type =
        "SELECT typinput = 'pg_catalog.array_in'::regproc AS is_list, typname FROM pg_type WHERE oid IN (16, 1007)";
    let mut found = rows(list_type, &["is_list", "typname"]).await;
    found.sort();
    assert_eq!(found, ["f|bool", "t|_int4"]);
    let based = "SELECT typname FROM pg_type t WHERE (SELECT CASE WHEN b.oid = 23 THEN 4 ELSE 1111 END FROM pg_type b \
                 WHERE b.oid = t.typelem) = 4";
    assert_eq!(rows(based, &["typname"]).await, ["_int4"]);
    let keys = "SELECT setting FROM pg_catalog.pg_settings WHERE name = 'max_index_keys'";
    assert_eq!(rows(keys, &["setting"]).await, ["32"]);
    let views = "SELECT viewname, definition IS NULL AS u FROM pg_views ORDER BY 1";
    assert_eq!(rows(views, &["viewname", "u"]).await.first().map(String::as_str), Some("fineo_conflicts|f"));
    let defined =
        "SELECT count(*) AS n FROM pg_description d RIGHT JOIN pg_class c ON d.objoid = c.oid WHERE c.relkind = 'r'";
    assert_eq!(rows(defined, &["n"]).await, ["1"]);
    let types = (0..700).map(|oid| format!("oid = {oid}")).collect::<Vec<_>>().join(" OR ");
    assert!(!ask(&client, &format!("SELECT typname FROM pg_type WHERE {types}")).await.is_empty());
}

#[tokio::test]
async fn a_tenant_without_events_may_come_in_and_sees_no_tables() {
    let desk = Desk::open().await;
    let request = TokenRequest {
        tenant: TenantId::new("new").unwrap(),
        scopes: [Scope::Query].into_iter().collect(),
        role: None,
        expires_at: None,
        note: String::new(),
    };
    let token = desk.shared.credentials.create(request).await.unwrap().0;
    let new = connect(&desk, "new", token.reveal()).await;
    let tables = "SELECT count(*) FROM information_schema.tables WHERE table_type = 'BASE TABLE'";
    assert_eq!(ask(&new, tables).await, ["0"]);
    assert_eq!(ask(&new, "SELECT datname FROM pg_database").await, ["fineo"]);
    assert_eq!(state(&new, "SELECT * FROM thermostat").await, SqlState::UNDEFINED_TABLE);
}

#[tokio::test]
async fn nothing_that_a_client_says_of_itself_makes_it_another_tenant() {
    // W14
    let desk = Desk::open().await;
    let mut config = tokio_postgres::Config::new();
    config.host("127.0.0.1").port(desk.pg.port()).user("acme").password(&desk.token);
    config.dbname("fineo").options("-c role=rival");
    let error = config.connect(NoTls).await.err().unwrap();
    assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{error:?}");
    config.application_name("\u{1b}[31m\nrival").options("-c search_path=rival");
    for database in ["fineo", "acme", "rival"] {
        let Ok((client, connection)) = config.dbname(database).connect(NoTls).await else {
            assert_eq!(database, "rival", "only what is no database is refused");
            continue;
        };
        tokio::spawn(async move { drop(connection.await) });
        assert_eq!(ask(&client, "SELECT current_user").await, ["acme"], "{database}");
        assert_eq!(state(&client, "SELECT * FROM canary").await, SqlState::UNDEFINED_TABLE, "{database}");
        let name = ask(&client, "SHOW application_name").await;
        assert!(!name[0].contains(['\u{1b}', '\n']), "{name:?}");
    }
}

#[tokio::test]
async fn a_question_about_the_catalog_takes_no_more_memory_than_it_may() {
    // B1, B2
    let desk = Desk::open().await;
    let client = acme(&desk).await;
    for sql in [
        "SELECT cardinality(array_repeat(1, 2000000000)) FROM pg_catalog.pg_class",
        "SELECT length(repeat('x', 2000000000)) FROM pg_class",
        "SELECT length(lpad(relname, 1000000000)) FROM pg_class",
    ] {
        assert_eq!(state(&client, sql).await, SqlState::OUT_OF_MEMORY, "{sql}");
        // What is described is planned, which may compute it as well.
        let _ = client.prepare(sql).await;
    }
    assert_eq!(ask(&client, "SELECT repeat(datname, 2) || '!' FROM pg_database").await, ["fineofineo!"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_about_the_catalog_ends_in_time_and_so_does_the_work_on_it() {
    // B3
    let limits = QueryLimits::default().with_time_max(Duration::from_secs(5));
    let fineo = Fineo::memory().with_query_limits(limits).open().await.unwrap();
    let desk = Desk::over(fineo, DoorLimits::default()).await;
    let client = acme(&desk).await;
    let tables = "pg_type a, pg_type b, pg_type c, pg_type d";
    for sql in [
        format!("SELECT count(a.typlen + f.typlen) FROM {tables}, pg_type e, pg_type f"),
        format!("SELECT count(*) FROM {tables} WHERE a.typlen + b.typlen + c.typlen + d.typlen = 1000000"),
    ] {
        let asked = tokio::time::timeout(Duration::from_secs(60), client.simple_query(&sql));
        let told = asked.await.expect("it ends").unwrap_err();
        assert_eq!(told.code(), Some(&SqlState::QUERY_CANCELED), "{sql}");
        // One session has one question worked on at a time, and this one's is let go of soon.
        let answered = async { while client.simple_query("SELECT 1 FROM pg_database").await.is_err() {} };
        tokio::time::timeout(Duration::from_secs(60), answered).await.expect("its worker ends");
        assert_eq!(ask(&client, "SELECT datname FROM pg_database").await, ["fineo"], "{sql}");
    }
}
