//! What a merge makes of the fields of two metrics.

use super::{Desk, add, create};
use crate::{Change, SeenNames};

fn merge(from: &str, into: &str) -> Change {
    Change::MergeMetric { from: from.into(), into: into.into() }
}

fn hide(metric: &str, field: &str) -> Change {
    Change::HideField { metric: metric.into(), field: field.into() }
}

#[tokio::test]
async fn what_either_side_of_a_merge_hides_is_hidden_until_somebody_unhides_it() {
    let told = "is hidden, because one of the two was";
    // Who declares and who hides, and whether the merge has something to tell.
    for (hidden_in, declared_in, is_told) in [
        ("A", &["A", "B"][..], true),
        ("B", &["A", "B"], true),
        ("A B", &["A", "B"], false),
        ("A", &["A"], false),
        ("B", &["B"], false),
    ] {
        let mut desk = Desk::new();
        for metric in ["A", "B"] {
            desk.apply(create(metric, &[])).await;
            if declared_in.contains(&metric) {
                // By another name in each, with one in common.
                let (name, alias) = (format!("of{metric}"), "secret");
                desk.apply(add(metric, &name, "string", &[alias])).await;
            }
        }
        for metric in hidden_in.split(' ') {
            desk.apply(hide(metric, "secret")).await;
        }
        let merged = desk.apply(merge("A", "B")).await;
        assert_eq!(merged.summary.iter().any(|line| line.contains(told)), is_told, "{hidden_in} {:?}", merged.summary);
        let seen = SeenNames::of_names(["secret", "ofA", "ofB"]);
        let is_read =
            |desk: &Desk, name: &str| desk.now().metric_named("B").unwrap().column(name, false, &seen).one().is_some();
        assert!(!is_read(&desk, "secret"), "{hidden_in} of {declared_in:?}");
        for metric in declared_in {
            assert!(!is_read(&desk, &format!("of{metric}")), "{hidden_in} of {declared_in:?}");
        }
        desk.apply(Change::UnhideField { metric: "B".into(), field: "secret".into() }).await;
        assert!(is_read(&desk, "secret"));
        desk.apply(hide("B", "secret")).await;
    }
    // An undo gives each its own back.
    let mut desk = Desk::new();
    for metric in ["A", "B"] {
        desk.apply(create(metric, &[])).await;
        desk.apply(add(metric, "secret", "string", &[])).await;
    }
    desk.apply(hide("A", "secret")).await;
    let merged = desk.apply(merge("A", "B")).await;
    desk.undo(&merged).await.unwrap();
    let is_hidden =
        |metric: &str| desk.now().metric_named(metric).unwrap().field_named("secret").unwrap().hidden_since.is_some();
    assert_eq!((is_hidden("A"), is_hidden("B")), (true, false));
}
