//! Hidden fields: silent until unhidden, whatever else is changed.

use super::{Desk, add, alias, create, rename, sources};
use crate::{Change, Found, SeenNames};

#[tokio::test]
async fn hidden_fields_answer_by_no_name_and_come_back_whole() {
    // S11
    let mut desk = Desk::new();
    desk.apply(create("pump", &[])).await;
    desk.apply(add("pump", "a", "long", &["b"])).await;
    desk.apply(Change::HideField { metric: "pump".into(), field: "b".into() }).await;
    let seen = SeenNames::of_names(["a", "b", "c"]);
    let other_case = SeenNames::of_names(["B"]);
    let schema = desk.now();
    let metric = schema.metric_named("pump").unwrap();
    assert!(metric_is_silent(&desk.now(), &other_case));
    for name in ["a", "b", "A"] {
        assert!(matches!(metric.column(name, false, &seen), Found::None { near } if near.is_empty()), "{name}");
    }
    assert_eq!(metric.columns(&seen).iter().map(|column| &*column.name).collect::<Vec<_>>(), ["c"]);
    desk.apply(Change::UnhideField { metric: "pump".into(), field: "a".into() }).await;
    assert_eq!(sources(&desk.now(), "pump", "b"), ["a", "b"]);
}

#[tokio::test]
async fn what_is_hidden_is_not_made_readable_by_taking_a_name_away() {
    // S11
    let mut desk = Desk::new();
    desk.apply(create("pump", &[])).await;
    desk.apply(add("pump", "a", "long", &["b"])).await;
    let renamed = desk.apply(rename("pump", "a", "n")).await;
    let aliased = desk.apply(alias("pump", "n", "c")).await;
    let hidden = desk.apply(Change::HideField { metric: "pump".into(), field: "n".into() }).await;
    let undeclare = || Change::UndeclareField { metric: "pump".into(), field: "n".into() };
    let unalias = || Change::RemoveFieldAlias { metric: "pump".into(), field: "n".into(), alias: "b".into() };
    desk.refuses(undeclare()).await;
    desk.refuses(unalias()).await;
    for entry in [&renamed, &aliased] {
        let refused = desk.undo(entry).await.unwrap_err().to_string();
        assert!(refused.contains("unhide it first"), "{refused}");
    }
    let seen = SeenNames::of_names(["a", "b", "c", "n"]);
    assert!(desk.now().metric_named("pump").unwrap().columns(&seen).is_empty());
    desk.undo(&hidden).await.unwrap();
    desk.undo(&aliased).await.unwrap();
    desk.apply(unalias()).await;
    desk.apply(undeclare()).await;
    let schema = desk.now();
    let columns = schema.metric_named("pump").unwrap().columns(&seen);
    assert_eq!(columns.iter().map(|column| &*column.name).collect::<Vec<_>>(), ["a", "b", "c", "n"]);
}

#[tokio::test]
async fn what_was_hidden_after_a_merge_is_not_made_readable_by_undoing_it() {
    // S11
    let mut desk = Desk::new();
    for metric in ["A", "B"] {
        desk.apply(create(metric, &[])).await;
    }
    desk.apply(add("A", "secret", "long", &[])).await;
    let merged = desk.apply(Change::MergeMetric { from: "B".into(), into: "A".into() }).await;
    let hidden = desk.apply(Change::HideField { metric: "A".into(), field: "secret".into() }).await;
    let refused = desk.undo(&merged).await.unwrap_err().to_string();
    assert!(refused.contains("unhide it first"), "{refused}");
    desk.undo(&hidden).await.unwrap();
    desk.undo(&merged).await.unwrap();
    assert!(desk.now().metric_named("B").unwrap().fields().is_empty());
}

/// Whether the hidden alias `b` stays silent though events also bore `B`.
fn metric_is_silent(schema: &crate::TenantSchema, seen: &SeenNames) -> bool {
    schema.metric_named("pump").unwrap().column("b", false, seen).one().is_none()
}
