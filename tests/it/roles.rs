//! A reader in a role: what is not granted to it is as if it had never been sent.

use fineo::{Fineo, TenantId, query::Session, schema::Change};

use crate::support::{ingest, instances, tenant, try_rows};

/// A word that only what is not granted contains.
const CANARY: &str = "kanarienvogel";

/// Statements that seek what the role `analyst` may not read, and some that ask what it may.
fn attacks() -> Vec<String> {
    let mut attacks: Vec<String> = Vec::new();
    for column in
        ["owner", "OWNER", "\"owner\"", "own", "holder", "note", "\"note\"", "secret", "timestamps", "unknown['owner']"]
    {
        for statement in [
            "SELECT {} FROM pump",
            "SELECT CAST({} AS INT) FROM pump",
            "SELECT 1 / (CAST({} AS INT) - 100) FROM pump",
            "SELECT pressure FROM pump WHERE {} = 'ada'",
            "SELECT pressure FROM pump ORDER BY {}",
            "SELECT {}, count(*) FROM pump GROUP BY 1",
            "SELECT min({}), max({}) FROM pump",
            "SELECT x.{} FROM (SELECT * FROM pump) x",
            "SELECT p.{} FROM pump p JOIN pump q ON p.{} = q.{}",
            "WITH x AS (TABLE pump) SELECT {} FROM x",
            "EXPLAIN SELECT {} FROM pump",
            "EXPLAIN VERBOSE SELECT pressure FROM pump WHERE {} > '1'",
        ] {
            attacks.push(statement.replace("{}", column));
        }
    }
    for table in [
        "room",
        "rooom",
        "\"room\"",
        "chamber",
        "public.room",
        "fineo.public.room",
        "errors.stream",
        "fineo.errors.stream",
    ] {
        for statement in [
            "SELECT * FROM {}",
            "SELECT count(*) FROM {}",
            "DESCRIBE {}",
            "SHOW COLUMNS FROM {}",
            "EXPLAIN SELECT * FROM {}",
        ] {
            attacks.push(statement.replace("{}", table));
        }
    }
    attacks.extend(
        [
            "SELECT * FROM pump ORDER BY timestamp",
            "SELECT p.* FROM pump p ORDER BY timestamp",
            "SELECT pressure, psi, \"PSI\" FROM pump ORDER BY timestamp",
            "SELECT count(*) FROM pump",
            "SELECT count(DISTINCT p) FROM pump p",
            "SELECT ROW(p) FROM pump p",
            "SELECT to_json(p) FROM pump p",
            "SELECT * FROM pump a NATURAL JOIN pump b ORDER BY timestamp",
            "SELECT * FROM pump NATURAL JOIN room",
            "SELECT * FROM pump UNION ALL SELECT * FROM room",
            "SELECT _fineo_alias FROM pump ORDER BY timestamp",
            "SELECT * FROM fineo_discovered",
            "SELECT metric, field, alias, count, sample FROM fineo_conflicts",
            "SELECT * FROM information_schema.tables ORDER BY 1, 2, 3",
            "SELECT * FROM information_schema.columns ORDER BY 1, 2, 3, 4",
            "SHOW TABLES",
            "SHOW COLUMNS FROM pump",
            "DESCRIBE pump",
            "EXPLAIN SELECT * FROM pump",
        ]
        .map(str::to_owned),
    );
    attacks
}

async fn apply(fineo: &Fineo, tenant: &TenantId, changes: Vec<Change>) {
    fineo.schema(tenant).apply(changes).await.unwrap();
}

fn field(metric: &str, name: &str, field_type: &str, aliases: &[&str]) -> Change {
    Change::AddField {
        metric: metric.to_owned(),
        name: name.to_owned(),
        field_type: field_type.to_owned(),
        aliases: aliases.iter().map(|alias| (*alias).to_owned()).collect(),
        unit: None,
    }
}

fn grant(role: &str, metric: &str, fields: &[&str], later: Option<bool>) -> Change {
    let fields = fields.iter().map(|field| (*field).to_owned()).collect();
    Change::GrantRead { role: role.to_owned(), metric: metric.to_owned(), fields, later }
}

fn revoke(role: &str, metric: &str) -> Change {
    Change::RevokeRead { role: role.to_owned(), metric: metric.to_owned(), fields: Vec::new() }
}

/// Sends what `analyst` may read and, where it `is_whole`, what it may not. The session is of who may read just that.
async fn filled(fineo: &Fineo, is_whole: bool) -> Session {
    let acme = tenant("acme");
    for n in 0..20 {
        let (pressure, more) = (format!("{n}.5"), format!(r#","owner":"{CANARY}{n}","note":"{CANARY}","Secret":{n}"#));
        let name = if n % 2 == 0 { "psi" } else { "pressure" };
        let pressure = if n == 7 { "high".to_owned() } else { pressure };
        let more = if is_whole { more.as_str() } else { "" };
        ingest(fineo, &acme, format!(r#"{{"metrictype":"pump","timestamp":{n},"{name}":"{pressure}"{more}}}"#)).await;
    }
    let mut changes = vec![field("pump", "pressure", "double", &["psi"])];
    if is_whole {
        let room = format!(
            r#"{{"metrictype":"room","timestamp":1,"temp":"{CANARY}"}} {{"metrictype":"pump","x":"{CANARY}"}}"#
        );
        ingest(fineo, &acme, room).await;
        changes.push(field("pump", "owner", "string", &["holder"]));
        changes.push(field("room", "temp", "double", &[CANARY]));
        changes.push(Change::AddMetricAlias { metric: "room".to_owned(), alias: "chamber".to_owned() });
    }
    changes.push(Change::CreateRole { role: "analyst".to_owned() });
    // On the twin whoever may read everything sees the same, but for its errors, which hold the events as sent.
    changes.push(if is_whole {
        grant("analyst", "pump", &["psi"], None)
    } else {
        grant("analyst", "*", &[], Some(true))
    });
    apply(fineo, &acme, changes).await;
    fineo.session(&acme).in_role("analyst")
}

/// What comes back, errors too, without what differs between two instances.
async fn told(session: &Session, sql: &str) -> String {
    match try_rows(session, sql).await {
        Ok(lines) => lines.join("\n"),
        Err(error) => format!("{error:?}"),
    }
}

// S17, Q12, Q17, Q19, T3, T4
#[tokio::test]
async fn what_a_role_may_not_read_is_told_like_what_was_never_sent() {
    for (mut instance, mut twin) in instances().await.into_iter().zip(instances().await) {
        let mut analyst = filled(&instance.fineo, true).await;
        let mut other = filled(&twin.fineo, false).await;
        for is_compacted in [false, true] {
            if is_compacted {
                let acme = tenant("acme");
                (instance, twin) = (instance.compacted(&acme).await, twin.compacted(&acme).await);
                analyst = instance.fineo.session(&acme).in_role("analyst");
                other = twin.fineo.session(&acme).in_role("analyst");
            }
            for attack in attacks() {
                let answer = told(&analyst, &attack).await;
                assert!(!answer.contains(CANARY), "{} {is_compacted}: {attack}: {answer}", instance.backend);
                // The plan tells how many files there are and how far the stream is, which is more where more was sent.
                if !(is_compacted && attack.starts_with("EXPLAIN")) {
                    let expected = told(&other, &attack).await;
                    assert_eq!(answer, expected, "{} {is_compacted}: {attack}", instance.backend);
                }
            }
        }
        for column in ["_fineo_event_id", "_fineo_sent_timestamp"] {
            let answer = told(&analyst, &format!("SELECT {column} FROM pump")).await;
            assert!(
                answer.contains("unknown_column"),
                "{}: {column} tells of all that was sent: {answer}",
                instance.backend
            );
        }
        let tables: Vec<String> = analyst.tables().await.unwrap().into_iter().map(|table| table.name).collect();
        assert_eq!(tables, ["pump", "fineo_conflicts", "fineo_discovered"]);
        let columns: Vec<String> = analyst
            .columns("pmp")
            .await
            .map_or_else(|_| Vec::new(), |all| all.into_iter().map(|column| column.name).collect());
        assert!(columns.is_empty());
        assert_eq!(analyst.columns("pump").await.unwrap().len(), 2);
        assert!(analyst.columns("errors.stream").await.is_err() && analyst.columns("room").await.is_err());
    }
}

// S17, T5, Q26
#[tokio::test]
async fn what_is_kept_for_one_reader_is_of_no_use_to_another_and_grants_count_at_once() {
    for instance in instances().await {
        let (fineo, acme) = (&instance.fineo, tenant("acme"));
        let analyst = filled(fineo, true).await;
        let whole = fineo.session(&acme);
        let owner = "SELECT owner FROM pump WHERE timestamp < '1970-01-01T00:00:00.000002Z' ORDER BY timestamp";
        let pressure = "SELECT pressure FROM pump WHERE psi = 2.5";
        // The third time a plan is used again.
        for _ in 0..3 {
            assert_eq!(try_rows(&whole, owner).await.unwrap().len(), 1, "{}", instance.backend);
            assert!(told(&analyst, owner).await.contains("unknown_column"), "{}", instance.backend);
            assert_eq!(try_rows(&whole, pressure).await.unwrap(), ["2.5"]);
            assert_eq!(try_rows(&analyst, pressure).await.unwrap(), ["2.5"]);
        }
        apply(fineo, &acme, vec![grant("analyst", "pump", &["owner"], None)]).await;
        assert_eq!(try_rows(&analyst, owner).await.unwrap(), [format!("{CANARY}0")]);
        apply(fineo, &acme, vec![revoke("analyst", "pump")]).await;
        for sql in [owner, pressure] {
            assert!(told(&analyst, sql).await.contains("unknown_table"), "{}", instance.backend);
        }
        apply(fineo, &acme, vec![grant("analyst", "errors.stream", &[], None)]).await;
        assert_eq!(try_rows(&analyst, "SELECT code FROM errors.stream").await.unwrap(), ["timestamp_missing"]);
        apply(fineo, &acme, vec![Change::DeleteRole { role: "analyst".to_owned() }]).await;
        for session in [analyst, whole.in_role("nonesuch")] {
            assert!(told(&session, "SELECT 1").await.contains("role_missing"), "{}", instance.backend);
            assert!(session.tables().await.is_err() && session.describe(owner, &[]).await.is_err());
        }
    }
}

// S19, P4
#[tokio::test]
async fn a_query_ends_when_what_its_role_may_read_is_taken_back() {
    for instance in instances().await {
        let (fineo, acme) = (&instance.fineo, tenant("acme"));
        let analyst = filled(fineo, true).await;
        let many = "SELECT a.pressure FROM pump a, pump b, pump c, pump d, pump e";
        let [mut first, mut second] =
            [analyst.query(many, &[]).await.unwrap(), analyst.query(many, &[]).await.unwrap()];
        for rows in [&mut first, &mut second] {
            assert!(rows.next_batch().await.unwrap().is_some(), "{}", instance.backend);
        }
        // More rights, or other changes, end nothing.
        apply(fineo, &acme, vec![grant("analyst", "room", &["temp"], None), field("pump", "flow", "long", &[])]).await;
        assert!(first.next_batch().await.unwrap().is_some());
        apply(fineo, &acme, vec![revoke("analyst", "room")]).await;
        assert!(first.next_batch().await.unwrap().is_some(), "it was begun without that");
        apply(fineo, &acme, vec![revoke("analyst", "pump")]).await;
        for mut rows in [first, second] {
            let error = rows.next_batch().await.unwrap_err();
            assert!(format!("{error:?}").contains("permission_revoked"), "{}: {error:?}", instance.backend);
            assert!(rows.next_batch().await.unwrap().is_none(), "nothing follows");
        }
    }
}
