//! Roles and what they may read, through the store.

use std::{sync::Arc, time::Duration};

use super::{Desk, add, alias, create, metric_alias, rename, undeclare};
use crate::{Change, Found, Grant, SeenNames, TenantSchema};

fn role(name: &str) -> Change {
    Change::CreateRole { role: name.to_owned() }
}

fn grant(metric: &str, fields: &[&str], later: Option<bool>) -> Change {
    let fields = fields.iter().map(|field| (*field).to_owned()).collect();
    Change::GrantRead { role: "analyst".to_owned(), metric: metric.to_owned(), fields, later }
}

fn revoke(metric: &str, fields: &[&str]) -> Change {
    let fields = fields.iter().map(|field| (*field).to_owned()).collect();
    Change::RevokeRead { role: "analyst".to_owned(), metric: metric.to_owned(), fields }
}

/// A desk with `pump(pressure, owner)` and `room(temp)`, and the role `analyst`.
async fn desk() -> Desk {
    let mut desk = Desk::new();
    desk.apply(create("pump", &["pmp"])).await;
    desk.apply(add("pump", "pressure", "double", &["press", "psi"])).await;
    desk.apply(add("pump", "owner", "string", &[])).await;
    desk.apply(create("room", &[])).await;
    desk.apply(add("room", "temp", "double", &[])).await;
    desk.apply(role("analyst")).await;
    desk
}

fn seen() -> SeenNames {
    SeenNames::of_names(["pressure", "psi", "owner", "temp", "note"])
}

/// The columns that the role sees: `pump.pressure`.
fn columns(schema: &TenantSchema) -> Vec<String> {
    let view = schema.seen_in("analyst").unwrap();
    let of = |metric: &Arc<crate::Metric>| {
        let columns = metric.columns(&seen()).into_iter();
        columns.map(|column| format!("{}.{}", metric.name(), column.name)).collect::<Vec<_>>()
    };
    view.metrics().flat_map(of).collect()
}

// S17
#[tokio::test]
async fn a_grant_by_alias_is_of_the_field_whatever_it_is_called_later() {
    let mut desk = desk().await;
    assert!(columns(&desk.now()).is_empty(), "a role may read nothing until something is granted");
    let applied = desk.apply(grant("pmp", &["psi"], None)).await;
    assert_eq!(applied.summary, ["role analyst: may read pump.pressure (n1.f1)"]);
    assert_eq!(columns(&desk.now()), ["pump.pressure"]);
    desk.apply(rename("pump", "pressure", "p")).await;
    desk.apply(Change::RemoveFieldAlias { metric: "pump".into(), field: "p".into(), alias: "psi".into() }).await;
    // The alias by which it was granted means another field by now.
    desk.apply(alias("pump", "owner", "psi")).await;
    desk.apply(Change::RenameMetric { metric: "pump".into(), to: "machine".into() }).await;
    assert_eq!(columns(&desk.now()), ["machine.p"]);
    let schema = desk.now();
    let grants: Vec<_> = schema.role("analyst").unwrap().grants().collect();
    assert_eq!(grants, [(fineo_core::MetricId::numbered(1), Grant::Fields(vec![crate::FieldId(1)]))]);
}

// S17
#[tokio::test]
async fn a_grant_of_what_does_not_exist_is_refused_with_what_is_like_it() {
    let mut desk = desk().await;
    let refused = desk.refuses(grant("pumpp", &["psi"], None)).await.to_string();
    assert!(refused.contains("no such metric") && refused.contains("pump"), "{refused}");
    let refused = desk.refuses(grant("pump", &["presure"], None)).await.to_string();
    assert!(refused.contains("no such declared field") && refused.contains("pressure"), "{refused}");
    assert!(refused.contains("declare it first"), "{refused}");
    let unknown =
        Change::GrantRead { role: "analist".into(), metric: "pump".into(), fields: vec!["psi".into()], later: None };
    let refused = desk.refuses(unknown).await.to_string();
    assert!(refused.contains("no such role") && refused.contains("analyst"), "{refused}");
    desk.refuses(grant("pump", &[], None)).await;
    desk.refuses(grant("pump", &["*", "psi"], Some(true))).await;
    desk.refuses(grant("pump", &["psi"], Some(true))).await;
    desk.refuses(grant("*", &["psi"], Some(true))).await;
    desk.refuses(grant("errors.stream", &["raw"], None)).await;
    desk.refuses(role("analyst")).await;
    desk.refuses(role("an analyst")).await;
    assert!(columns(&desk.now()).is_empty());
}

// S17
#[tokio::test]
async fn a_star_is_granted_only_with_a_choice_about_what_comes_later() {
    let mut desk = desk().await;
    for metric in ["pump", "*"] {
        let refused = desk.refuses(grant(metric, &["*"], None)).await;
        assert!(refused.context().iter().any(|(_, value)| value == "later_unsaid"), "{refused}");
    }
    desk.apply(grant("pump", &["*"], Some(false))).await;
    desk.apply(add("pump", "later", "long", &[])).await;
    assert_eq!(columns(&desk.now()), ["pump.pressure", "pump.owner"], "only what was declared by then");
    desk.apply(grant("pump", &["*"], Some(true))).await;
    let of_pump = ["pump.pressure", "pump.owner", "pump.later", "pump.temp", "pump.note"];
    assert_eq!(columns(&desk.now()), of_pump, "undeclared ones too");
    let refused = desk.refuses(revoke("pump", &["owner"])).await.to_string();
    assert!(refused.contains("revoke the metric"), "{refused}");
    desk.apply(revoke("pump", &[])).await;
    desk.apply(grant("*", &[], Some(false))).await;
    desk.apply(create("fan", &[])).await;
    desk.apply(add("fan", "speed", "long", &[])).await;
    assert_eq!(columns(&desk.now()), ["pump.pressure", "pump.owner", "pump.later", "room.temp"]);
    desk.apply(grant("*", &["*"], Some(true))).await;
    assert!(columns(&desk.now()).contains(&"fan.speed".to_owned()));
    desk.refuses(revoke("pump", &["owner"])).await;
    desk.apply(revoke("*", &[])).await;
    assert!(columns(&desk.now()).is_empty());
}

#[tokio::test]
async fn a_role_learns_nothing_of_what_it_may_not_read() {
    let mut desk = desk().await;
    desk.apply(grant("pump", &["pressure"], None)).await;
    let schema = desk.now();
    let view = schema.seen_in("analyst").unwrap();
    assert!(matches!(view.find_metric("room", false), Found::None { near } if near.is_empty()));
    assert!(view.metric(&fineo_core::MetricId::numbered(2)).is_none());
    let pump = view.metric_named("pmp").unwrap();
    // Undeclared, declared, and one that differs in case.
    for name in ["note", "owner", "OWNER", "owne"] {
        assert!(matches!(pump.column(name, false, &seen()), Found::None { near } if near.is_empty()), "{name}");
    }
    assert!(pump.field_named("owner").is_none() && pump.is_closed());
    assert_eq!(pump.undeclared(&seen()).count(), 0);
    assert!(!view.has_errors() && view.roles().count() == 0 && schema.has_errors());
    desk.apply(grant("errors.stream", &[], None)).await;
    assert!(desk.now().seen_in("analyst").unwrap().has_errors());
    desk.apply(revoke("errors.stream", &[])).await;
    assert!(!desk.now().seen_in("analyst").unwrap().has_errors());
}

#[tokio::test]
async fn a_field_that_is_declared_anew_or_merged_away_has_to_be_granted_anew() {
    let mut desk = desk().await;
    desk.apply(grant("room", &["temp"], None)).await;
    desk.apply(grant("pump", &["owner"], None)).await;
    desk.apply(undeclare("pump", "owner")).await;
    assert_eq!(columns(&desk.now()), ["room.temp"]);
    desk.apply(add("pump", "owner", "string", &[])).await;
    assert_eq!(columns(&desk.now()), ["room.temp"], "it is another field of the same name");
    desk.apply(undeclare("room", "temp")).await;
    desk.apply(Change::MergeMetric { from: "room".into(), into: "pump".into() }).await;
    assert!(columns(&desk.now()).is_empty());
}

#[tokio::test]
async fn grants_are_in_the_history_and_undone_like_any_change() {
    let mut desk = desk().await;
    let granted = desk.apply(grant("pump", &["pressure"], None)).await;
    let before = desk.now();
    desk.apply(metric_alias("pump", "p")).await;
    desk.undo(&granted).await.unwrap();
    assert!(columns(&desk.now()).is_empty());
    let granted_anew = desk.apply(grant("pump", &["*"], Some(true))).await;
    desk.apply(revoke("pump", &[])).await;
    // Whoever came under an earlier version was promised no more than that version grants.
    assert!(before.role("analyst").unwrap().covers(before.role("analyst").unwrap()));
    assert!(!desk.now().role("analyst").unwrap().covers(before.role("analyst").unwrap()));
    assert!(before.role("analyst").unwrap().covers(desk.now().role("analyst").unwrap()));
    assert!(desk.undo(&granted_anew).await.is_err(), "it was revoked since");
    desk.apply(Change::DeleteRole { role: "analyst".into() }).await;
    let gone = desk.now().seen_in("analyst").unwrap_err();
    assert!(gone.context().iter().any(|(_, value)| value == "role_missing"), "{gone}");
    // Another process reads it as it was written.
    let other = desk.other().refresh(&desk.tenant).await.unwrap();
    assert_eq!(other.roles().count(), 0);
    desk.apply(role("analyst")).await;
    desk.apply(grant("pump", &["pressure"], None)).await;
    let other = desk.other().refresh(&desk.tenant).await.unwrap();
    assert_eq!(columns(&other), ["pump.pressure"]);
}

// P4
#[tokio::test]
async fn a_grant_that_another_process_took_back_counts_no_longer_than_was_said() {
    let mut desk = desk().await;
    desk.apply(grant("pump", &["pressure"], None)).await;
    let other = desk.other();
    let within = Duration::from_secs(10);
    assert_eq!(columns(&other.snapshot_within(&desk.tenant, within).await.unwrap()), ["pump.pressure"]);
    desk.apply(revoke("pump", &[])).await;
    assert_eq!(columns(&other.snapshot_within(&desk.tenant, within).await.unwrap()), ["pump.pressure"]);
    desk.clock.advance(within);
    assert!(columns(&other.snapshot_within(&desk.tenant, within).await.unwrap()).is_empty());
}

#[tokio::test]
async fn a_grant_falls_with_its_field_and_no_undo_of_a_modeller_brings_it_back() {
    let mut desk = desk().await;
    desk.apply(grant("pump", &["owner", "pressure"], None)).await;
    let undeclared = desk.apply(undeclare("pump", "owner")).await;
    assert!(undeclared.summary.iter().any(|line| line.contains("role analyst")), "{:?}", undeclared.summary);
    desk.undo(&undeclared).await.unwrap();
    assert_eq!(columns(&desk.now()), ["pump.pressure"]);
    // Nor does the undo of an undo, but where it is about grants alone.
    let declared = desk.apply(add("pump", "flow", "long", &[])).await;
    let granted = desk.apply(grant("pump", &["flow"], None)).await;
    let undone = desk.undo(&granted).await.unwrap();
    desk.undo(&undone).await.unwrap();
    assert_eq!(columns(&desk.now()), ["pump.pressure", "pump.flow"]);
    let undone = desk.undo(&declared).await.unwrap();
    desk.undo(&undone).await.unwrap();
    assert_eq!(columns(&desk.now()), ["pump.pressure"]);
    let merged = desk.apply(Change::MergeMetric { from: "pump".into(), into: "room".into() }).await;
    assert!(desk.refuses(revoke("pump", &["pressure"])).await.to_string().contains("no such grant"));
    desk.undo(&merged).await.unwrap();
    assert!(columns(&desk.now()).is_empty());
}

#[tokio::test]
async fn names_that_events_choose_do_not_get_between_a_role_and_its_grants() {
    let mut desk = desk().await;
    desk.discover(&["errors.stream"]).await;
    desk.apply(grant("errors.stream", &[], None)).await;
    assert!(desk.now().seen_in("analyst").unwrap().has_errors());
    desk.apply(revoke("errors.stream", &[])).await;
    assert!(!desk.now().seen_in("analyst").unwrap().has_errors());
    // A role may be called like a part of a document.
    for name in ["deletions", "deleted"] {
        let made = desk.apply(role(name)).await;
        let fields = vec!["psi".to_owned()];
        let granted = Change::GrantRead { role: name.into(), metric: "pump".into(), fields, later: None };
        let granted = desk.apply(granted).await;
        desk.undo(&granted).await.unwrap();
        desk.undo(&made).await.unwrap();
        assert!(desk.now().role(name).is_none());
    }
}
