//! What a merge makes of the fields of two metrics.

use super::{Desk, add, create, metric_alias};
use crate::{Change, SeenNames, StatedConversion};

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

fn unit(metric: &str, field: &str, unit: &str) -> Change {
    Change::SetUnit { metric: metric.into(), field: field.into(), unit: Some(unit.into()) }
}

fn convert(metric: &str, field: &str, conversion: StatedConversion) -> Change {
    Change::AddConversion { metric: metric.into(), field: field.into(), conversion }
}

fn scale(scale: f64) -> StatedConversion {
    StatedConversion { scale, ..StatedConversion::default() }
}

fn stated_in(unit: &str) -> StatedConversion {
    StatedConversion { unit: Some(unit.into()), ..StatedConversion::default() }
}

/// What `B` answers for 50 that came under `name` in an event of the metric's name `sent`, in thousandths.
fn read(desk: &Desk, name: &str, sent: &str) -> i64 {
    let schema = desk.now();
    let column = schema.metric_named("B").unwrap().column(name, false, &SeenNames::default()).one().unwrap();
    let source = column.sources.iter().find(|source| &*source.name == name).unwrap();
    let holds = |wanted: &Option<std::sync::Arc<str>>| wanted.as_deref().is_none_or(|wanted| wanted == sent);
    let first = source.conversions.iter().find(|conversion| holds(&conversion.metric_name));
    let value = first.map_or(50.0, |conversion| 50.0 * conversion.scale + conversion.offset);
    (value * 1000.0).round() as i64
}

/// `A` with the names `A` and `AA`, and `B`, each with a field `t`, after these changes.
async fn pair(changes: Vec<Change>) -> Desk {
    let mut desk = Desk::new();
    desk.apply(create("A", &["AA"])).await;
    desk.apply(create("B", &[])).await;
    for metric in ["A", "B"] {
        desk.apply(add(metric, "t", "double", &[])).await;
    }
    desk.try_apply(changes).await.unwrap();
    desk
}

#[tokio::test]
async fn the_values_of_both_sides_of_a_merge_stay_what_they_were() {
    // What is stated before, and what 50 is then in events of A, of its alias, of B, and of a later alias of B.
    let of = |changes: Vec<Change>, expected: [i64; 4]| (changes, expected);
    let cases = [
        of(vec![convert("A", "t", scale(2.0))], [100_000, 100_000, 50_000, 50_000]),
        of(vec![convert("B", "t", scale(2.0))], [50_000, 50_000, 100_000, 100_000]),
        of(vec![convert("A", "t", scale(2.0)), convert("B", "t", scale(3.0))], [100_000, 100_000, 150_000, 150_000]),
        of(vec![convert("A", "t", scale(2.0)), convert("B", "t", scale(2.0))], [100_000; 4]),
        of(vec![unit("A", "t", "F"), unit("B", "t", "C")], [10_000, 10_000, 50_000, 50_000]),
        of(vec![unit("A", "t", "C"), unit("B", "t", "C")], [50_000; 4]),
        // In A 50 is 90 F, which is 32.222 C.
        of(
            vec![
                unit("A", "t", "F"),
                unit("B", "t", "C"),
                convert("A", "t", StatedConversion { offset: 40.0, ..scale(1.0) }),
                convert("B", "t", stated_in("K")),
            ],
            [32_222, 32_222, -223_150, -223_150],
        ),
        // Kelvin into Fahrenheit, and Fahrenheit into Celsius, is Kelvin into Celsius; for the alias alone.
        of(
            vec![
                unit("A", "t", "F"),
                unit("B", "t", "C"),
                convert("A", "t", StatedConversion { metric_name: Some("AA".into()), ..stated_in("K") }),
            ],
            [10_000, -223_150, 50_000, 50_000],
        ),
        // Where B has no unit the values of A stay the numbers that they were.
        of(vec![unit("A", "t", "C"), convert("A", "t", stated_in("F"))], [10_000, 10_000, 50_000, 50_000]),
    ];
    for (changes, expected) in cases {
        let context = format!("{changes:?}");
        let mut desk = pair(changes).await;
        let before = desk.now();
        let merged = desk.apply(merge("A", "B")).await;
        desk.apply(metric_alias("B", "BB")).await;
        assert_eq!(["A", "AA", "B", "BB"].map(|sent| read(&desk, "t", sent)), expected, "{context}");
        desk.undo(&merged).await.unwrap();
        let field = |schema: &crate::TenantSchema, metric: &str| {
            format!("{:?}", schema.metric_named(metric).unwrap().field_named("t").unwrap())
        };
        for metric in ["A", "B"] {
            assert_eq!(field(&desk.now(), metric), field(&before, metric), "{context}, undone");
        }
    }
    // B has the name undeclared.
    let mut desk = pair(vec![convert("A", "t", scale(2.0)), super::undeclare("B", "t")]).await;
    desk.apply(merge("A", "B")).await;
    assert_eq!(["A", "AA", "B"].map(|sent| read(&desk, "t", sent)), [100_000, 100_000, 50_000]);
}

/// What a merge of the two says, or why it is refused.
async fn told(desk: &mut Desk) -> fineo_core::Result<String> {
    Ok(desk.try_apply(vec![merge("A", "B")]).await?.summary.join("; "))
}

#[tokio::test]
async fn a_merge_that_cannot_keep_units_is_refused_or_says_what_it_does_not_keep() {
    let mut desk = pair(vec![unit("A", "t", "bar"), unit("B", "t", "C")]).await;
    let refused = told(&mut desk).await.unwrap_err().to_string();
    for part in ["set the unit of one of them first", "bar", "from=", "to=C"] {
        assert!(refused.contains(part), "{refused}");
    }
    // One name of both: a conversion cannot tell whose an event is.
    let mut desk = pair(vec![convert("A", "t", scale(2.0))]).await;
    desk.apply(Change::RemoveMetricAlias { metric: "A".into(), alias: "AA".into() }).await;
    desk.apply(metric_alias("B", "AA")).await;
    let refused = told(&mut desk).await.unwrap_err().to_string();
    assert!(refused.contains("under one name") && refused.contains("AA"), "{refused}");
    desk.apply(convert("B", "t", scale(2.0))).await;
    told(&mut desk).await.unwrap();
    // Two fields of one, and one of the other.
    let mut desk = pair(vec![add("A", "u", "double", &[]), convert("A", "u", scale(2.0))]).await;
    desk.apply(super::alias("B", "t", "u")).await;
    let refused = told(&mut desk).await.unwrap_err().to_string();
    assert!(refused.contains("two fields of the metric would become one"), "{refused}");
    // What is told.
    let retype = Change::RetypeField { metric: "B".into(), field: "t".into(), field_type: "string".into() };
    for (changes, expected) in [
        (vec![unit("A", "t", "C")], "the unit C of t is not kept: it has none in B"),
        (vec![unit("B", "t", "C")], "values of t have no unit and count as C"),
        (vec![convert("A", "t", scale(2.0)), retype], "unit and conversions of t are not kept: it is no number in B"),
        (vec![convert("A", "t", scale(2.0))], "values of events of A are converted as before"),
    ] {
        let mut desk = pair(changes).await;
        let summary = told(&mut desk).await.unwrap();
        assert!(summary.contains(expected), "{summary}");
    }
    let mut desk = pair(Vec::new()).await;
    assert_eq!(told(&mut desk).await.unwrap(), "merge metric A (n1) into B");
    let keep = |metric: &str, days: &str| Change::SetRetainDays {
        metric: Some(metric.into()),
        days: Some(days.parse().unwrap()),
    };
    let mut desk = pair(vec![keep("A", "forever"), keep("B", "30")]).await;
    let summary = told(&mut desk).await.unwrap();
    assert!(summary.contains("the retain-days of A, forever, holds no more: that of B does, 30"), "{summary}");
}
