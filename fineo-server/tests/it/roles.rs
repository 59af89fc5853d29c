//! Tokens that read in a role, at every door.

use arrow_flight::sql::{
    CommandGetTables, CommandStatementIngest, TableDefinitionOptions, TableExistsOption, TableNotExistOption,
};
use fineo::{TenantId, schema::Change};
use fineo_server::{Scope, auth::TokenRequest};
use hyper::Method;
use tokio_postgres::error::SqlState;

use crate::{
    desk::Desk,
    flight,
    pg::{ask, connect, state},
    rig::Rig,
};

fn request(tenant: &str, role: &str, scopes: &[Scope]) -> TokenRequest {
    TokenRequest {
        tenant: TenantId::new(tenant).unwrap(),
        scopes: scopes.iter().copied().collect(),
        role: Some(role.into()),
        expires_at: None,
        note: String::new(),
    }
}

fn grant(fields: &[&str]) -> serde_json::Value {
    serde_json::json!({"changes": [
        {"op": "create_role", "role": "analyst"},
        {"op": "grant_read", "role": "analyst", "metric": "m", "fields": fields, "later": null},
    ]})
}

// S17, P2
#[tokio::test]
async fn a_token_with_a_role_reads_what_is_granted_and_looks_at_nothing_else() {
    let rig = Rig::new().await;
    let admin = rig.caller("acme").await;
    admin.ingest(r#"{"metrictype":"m","timestamp":1,"v":"1","secret":"s"}"#).await;
    let fields = serde_json::json!({"changes": [
        {"op": "add_field", "metric": "m", "name": "v", "field_type": "long", "aliases": [], "unit": null},
        {"op": "add_field", "metric": "m", "name": "secret", "field_type": "string", "aliases": [], "unit": null},
    ]});
    assert_eq!(admin.post("/v1/schema/changes", fields.to_string()).await.status, 200);
    // Who may change the schema does not change who may read what.
    let token = rig.token("acme", &[Scope::Schema]).await;
    let modeller = rig.caller_with(&[("authorization", &format!("Bearer {}", token.reveal()))]);
    assert_eq!(modeller.post("/v1/schema/changes", grant(&["v"]).to_string()).await.problem().0, 403);
    let granted = admin.post("/v1/schema/changes", grant(&["v"]).to_string()).await.json();
    let undo = format!("/v1/schema/history/{}/undo", granted["change"].as_str().unwrap());
    assert_eq!(modeller.post(&undo, "").await.problem().0, 403);
    let roles = modeller.get("/v1/schema/roles").await.json();
    assert_eq!(roles[0]["grants"], serde_json::json!([{"metric": "m", "is_for_all": false, "fields": ["v"]}]));

    let token = rig.credentials.create(request("acme", "analyst", &[Scope::Query])).await.unwrap().0;
    let analyst = rig.caller_with(&[("authorization", &format!("Bearer {}", token.reveal()))]);
    assert_eq!(analyst.ask("SELECT * FROM m").await, "timestamp,v\n1970-01-01T00:00:00.001Z,1\n");
    let other = analyst.and("fineo-role", "nonesuch");
    assert_eq!(other.ask("SELECT v FROM m").await, "v\n1\n", "the role is the token's, whatever else is said");
    let asked = |sql: &str| serde_json::json!({"sql": sql}).to_string();
    let answer = analyst.post("/v1/query", asked("SELECT secret FROM m")).await;
    assert_eq!(answer.problem(), (400, "unknown_column".to_owned()));
    assert!(!answer.text().contains("did you mean"));
    assert_eq!(analyst.get("/v1/errors").await.problem(), (400, "unknown_table".to_owned()));
    for path in ["/v1/tenant", "/v1/metrics", "/v1/metrics/m", "/v1/metrics/m/fields", "/v1/schema", "/v1/schema/roles"]
        .into_iter()
        .chain(["/v1/schema/history", "/v1/schema/discovered", "/v1/schema/suggestions"])
    {
        assert_eq!(analyst.get(path).await.problem().0, 403, "{path}");
    }
    assert_eq!(analyst.send(Method::POST, "/v1/schema/plan", "{}").await.problem().0, 403);
    let gone = serde_json::json!({"changes": [{"op": "delete_role", "role": "analyst"}]});
    assert_eq!(admin.post("/v1/schema/changes", gone.to_string()).await.status, 200);
    let answer = analyst.post("/v1/query", asked("SELECT 1")).await;
    assert_eq!(answer.problem(), (403, "role_missing".to_owned()));
    rig.stop().await;
}

#[tokio::test]
async fn a_role_does_not_go_with_scopes_that_see_everything() {
    let rig = Rig::new().await;
    for scopes in [&[Scope::Admin][..], &[Scope::Query, Scope::Schema], &[Scope::Ingest]] {
        let refused = rig.credentials.create(request("acme", "analyst", scopes)).await.unwrap_err();
        assert!(refused.to_string().contains("a token with a role"), "{refused}");
    }
    let info = rig.credentials.create(request("acme", "analyst", &[Scope::Query, Scope::Ingest])).await.unwrap().1;
    assert_eq!(info.role.as_deref(), Some("analyst"));
    rig.stop().await;
}

// T3
#[tokio::test]
async fn catalogs_list_what_the_role_may_read() {
    let desk = Desk::open().await;
    let acme = TenantId::new("acme").unwrap();
    let grant = Change::GrantRead {
        role: "analyst".to_owned(),
        metric: "thermostat".to_owned(),
        fields: vec!["temp".to_owned()],
        later: None,
    };
    let changes = vec![Change::CreateRole { role: "analyst".to_owned() }, grant];
    desk.shared.fineo.schema(&acme).apply(changes).await.unwrap();
    let token = desk.shared.credentials.create(request("acme", "analyst", &[Scope::Query])).await.unwrap().0;
    let client = connect(&desk, "acme", token.reveal()).await;
    let attributes = "SELECT attname FROM pg_attribute a JOIN pg_class c ON a.attrelid = c.oid \
                      WHERE c.relname = 'thermostat' AND attnum > 0 ORDER BY attnum";
    assert_eq!(ask(&client, attributes).await, ["timestamp", "temp"]);
    let columns = "SELECT column_name FROM information_schema.columns WHERE table_name = 'thermostat' ORDER BY 1";
    assert_eq!(ask(&client, columns).await, ["temp", "timestamp"]);
    let errors = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'errors'";
    assert_eq!(ask(&client, errors).await, ["0"]);
    assert_eq!(ask(&client, "SELECT * FROM thermostat WHERE temp > 21").await, ["2026-01-05 08:30:00.123456+00|21.5"]);
    assert_eq!(state(&client, "SELECT device FROM thermostat").await, SqlState::UNDEFINED_COLUMN);
    assert_eq!(state(&client, "SELECT * FROM errors.stream").await, SqlState::UNDEFINED_TABLE);
    let mut client = flight::acme(&desk).await;
    client.set_token(token.reveal().to_owned());
    let info =
        client.get_tables(CommandGetTables { include_schema: true, ..CommandGetTables::default() }).await.unwrap();
    let tables = flight::shown(&mut client, info).await;
    assert!(tables.contains("thermostat") && !tables.contains("stream") && !tables.contains("device"), "{tables}");
    let error = client.execute("SELECT device FROM thermostat".to_owned(), None).await.unwrap_err().to_string();
    assert!(error.contains("unknown_column"), "{error}");
}

// S17, P4
#[tokio::test]
async fn rows_that_wait_in_a_portal_are_not_shown_after_the_grant_was_taken_back() {
    let desk = Desk::open().await;
    let acme = TenantId::new("acme").unwrap();
    let (role, metric, fields) = ("analyst".to_owned(), "thermostat".to_owned(), vec!["temp".to_owned()]);
    let grant = Change::GrantRead { role: role.clone(), metric: metric.clone(), fields: fields.clone(), later: None };
    let schema = desk.shared.fineo.schema(&acme);
    schema.apply(vec![Change::CreateRole { role: role.clone() }, grant]).await.unwrap();
    let token = desk.shared.credentials.create(request("acme", "analyst", &[Scope::Query])).await.unwrap().0;
    let mut client = connect(&desk, "acme", token.reveal()).await;
    let transaction = client.transaction().await.unwrap();
    let portal = transaction.bind("SELECT temp FROM thermostat", &[]).await.unwrap();
    assert_eq!(transaction.query_portal(&portal, 1).await.unwrap().len(), 1);
    assert_eq!(transaction.query_portal(&portal, 1).await.unwrap().len(), 1, "the first batch has them all");
    schema.apply(vec![Change::RevokeRead { role, metric, fields }]).await.unwrap();
    let refused = transaction.query_portal(&portal, 1).await.unwrap_err();
    assert_eq!(refused.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{refused}");
}

// P2, T4
#[tokio::test]
async fn a_bulk_ingest_does_not_tell_which_metrics_there_are_beside_those_of_the_role() {
    let desk = Desk::open().await;
    let acme = TenantId::new("acme").unwrap();
    let tank = desk.shared.fineo.ingest(&acme, r#"{"metrictype":"tank","timestamp":1,"v":1}"#).await.unwrap();
    desk.shared.fineo.wait_until_queryable(&tank).await.unwrap();
    let grant = Change::GrantRead {
        role: "analyst".to_owned(),
        metric: "thermostat".to_owned(),
        fields: vec!["temp".to_owned()],
        later: None,
    };
    let changes = vec![Change::CreateRole { role: "analyst".to_owned() }, grant];
    desk.shared.fineo.schema(&acme).apply(changes).await.unwrap();
    let scopes = [Scope::Query, Scope::Ingest];
    let token = desk.shared.credentials.create(request("acme", "analyst", &scopes)).await.unwrap().0;
    let mut client = flight::acme(&desk).await;
    client.set_token(token.reveal().to_owned());
    let mut told = Vec::new();
    for table in ["tank", "nonesuch", "thermostat"] {
        let options = TableDefinitionOptions {
            if_not_exist: TableNotExistOption::Fail.into(),
            if_exists: TableExistsOption::Fail.into(),
        };
        let command = CommandStatementIngest {
            table_definition_options: Some(options),
            table: table.to_owned(),
            ..CommandStatementIngest::default()
        };
        let rows = futures::stream::iter([Ok(flight::texts(1, 1))]);
        told.push(client.execute_ingest(command, rows).await.unwrap_err().to_string());
    }
    assert!(told[0].contains("there is no such metric") && told[0] == told[1], "{told:?}");
    assert!(told[2].contains("there is such a metric"), "{told:?}");
}
