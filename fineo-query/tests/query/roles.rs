//! What a role may read, as other processes change it.

use std::time::Duration;

use fineo_core::TenantId;
use fineo_schema::Change;

use crate::desk::{Cell, Desk};

// P4
#[tokio::test]
async fn a_query_ends_within_ten_seconds_of_a_grant_that_another_process_took_back() {
    let mut desk = Desk::new();
    let row: &[Cell] = &[("v", "1")];
    desk.rows("acme", "pump", &[row; 20]).await;
    let (role, metric, fields) = (|| "analyst".to_owned(), || "pump".to_owned(), || vec!["v".to_owned()]);
    let field = Change::AddField {
        metric: metric(),
        name: "v".to_owned(),
        field_type: "long".to_owned(),
        aliases: Vec::new(),
        unit: None,
    };
    let grant = Change::GrantRead { role: role(), metric: metric(), fields: fields(), later: None };
    desk.apply("acme", vec![field, Change::CreateRole { role: role() }, grant]).await;
    let session = desk.engine.session(&TenantId::new("acme").unwrap()).in_role("analyst");
    let mut rows = session.query("SELECT a.v FROM pump a, pump b, pump c, pump d, pump e", &[]).await.unwrap();
    assert!(rows.next_batch().await.unwrap().is_some());
    desk.apply_elsewhere("acme", vec![Change::RevokeRead { role: role(), metric: metric(), fields: fields() }]).await;
    assert!(rows.next_batch().await.unwrap().is_some(), "nobody has told this process yet");
    desk.clock.advance(Duration::from_secs(10));
    let error = rows.next_batch().await.unwrap_err();
    assert!(format!("{error:?}").contains("permission_revoked"), "{error:?}");
}
