//! Every operation through the store, and back again by undo.

use std::time::Duration;

use fineo_core::{Clock, MetricId, repo::Version};

use super::{Desk, add, alias, cover, create, metric_alias, rename, sources};
use crate::{Change, Identity, MissingTimestamp, SeenNames, StatedConversion, TenantSchema, UnknownMetric};

#[tokio::test]
async fn undo_takes_back_what_nothing_later_depends_on() {
    let mut desk = Desk::new();
    desk.apply(create("pump", &[])).await;
    let declared = desk.apply(add("pump", "a", "long", &[])).await;
    let first = desk.apply(alias("pump", "a", "x")).await;
    let renamed = desk.apply(rename("pump", "a", "n")).await;
    let second = desk.apply(alias("pump", "a", "y")).await;
    assert_eq!(sources(&desk.now(), "pump", "a"), ["n", "a", "x", "y"]);
    let error = desk.undo(&declared).await.unwrap_err();
    assert!(error.to_string().contains(&second.id.to_string()), "{error}");
    desk.undo(&first).await.unwrap();
    assert_eq!(sources(&desk.now(), "pump", "a"), ["n", "a", "y"]);
    desk.undo(&renamed).await.unwrap();
    assert_eq!(sources(&desk.now(), "pump", "a"), ["a", "y"]);
    desk.undo(&second).await.unwrap();
    desk.undo(&declared).await.unwrap();
    assert!(desk.now().metric_named("pump").unwrap().fields().is_empty());
    desk.apply(add("pump", "a", "long", &[])).await;
    assert_eq!(desk.now().metric_named("pump").unwrap().fields()[0].id.to_string(), "f2", "ids are never used again");
}

#[tokio::test]
async fn undo_gives_back_the_order_of_names_or_says_that_it_cannot() {
    let mut desk = Desk::new();
    desk.apply(create("pump", &[])).await;
    desk.apply(add("pump", "p", "long", &["a", "b"])).await;
    let rank = Change::RankFieldAliases {
        metric: "pump".into(),
        field: "p".into(),
        aliases: vec!["b".into(), "n".into(), "a".into()],
    };
    let ranked = desk.try_apply(vec![alias("pump", "p", "n"), rank]).await.unwrap();
    assert_eq!(sources(&desk.now(), "pump", "p"), ["p", "b", "n", "a"]);
    let later = desk.apply(alias("pump", "p", "x")).await;
    desk.undo(&ranked).await.unwrap_err();
    desk.undo(&later).await.unwrap();
    desk.undo(&ranked).await.unwrap();
    assert_eq!(sources(&desk.now(), "pump", "p"), ["p", "a", "b"]);
}

#[tokio::test]
async fn undo_of_an_undo_brings_the_change_back() {
    let mut desk = Desk::new();
    desk.apply(create("pump", &[])).await;
    desk.apply(add("pump", "a", "long", &[])).await;
    let retyped =
        desk.apply(Change::RetypeField { metric: "pump".into(), field: "a".into(), field_type: "double".into() }).await;
    let type_now = |desk: &Desk| desk.now().metric_named("pump").unwrap().fields()[0].field_type.to_string();
    let undone = desk.undo(&retyped).await.unwrap();
    assert_eq!(type_now(&desk), "long");
    desk.undo(&undone).await.unwrap();
    assert_eq!(type_now(&desk), "double");
    assert_eq!(desk.now().version(), Version(5));
}

#[tokio::test]
async fn undoing_a_creation_leaves_the_events_readable() {
    let mut desk = Desk::new();
    let created = desk.apply(create("pump", &["pmp"])).await;
    let field = desk.apply(add("pump", "a", "long", &[])).await;
    assert!(desk.undo(&created).await.unwrap_err().to_string().contains(&field.id.to_string()));
    desk.undo(&field).await.unwrap();
    desk.undo(&created).await.unwrap();
    let schema = desk.now();
    assert!(!schema.metric_named("pump").unwrap().is_declared());
    assert!(schema.metric_named("pmp").is_none());
}

#[tokio::test]
async fn deleted_values_are_gone_up_to_a_position_and_the_name_begins_anew() {
    let mut desk = Desk::new();
    desk.apply(create("pump", &[])).await;
    desk.apply(add("pump", "a", "long", &["b"])).await;
    let delete = Change::DeleteField { metric: "pump".into(), field: "a".into(), through: cover(20) };
    let deleted = desk.apply(delete).await;
    let schema = desk.now();
    let metric = schema.metric_named("pump").unwrap();
    let seen = SeenNames::of_names(["a", "b"]);
    assert!(metric.columns(&seen).is_empty());
    assert!(metric.column("b", false, &seen).one().is_none());
    assert!(desk.undo(&deleted).await.unwrap_err().to_string().contains("for ever"));
    desk.apply(add("pump", "a", "long", &[])).await;
    let schema = desk.now();
    let field = schema.metric_named("pump").unwrap().column("a", false, &seen).one().unwrap();
    assert_eq!(field.field.unwrap().to_string(), "f2");
    assert_eq!(field.sources[0].unreadable_through, Some(cover(20)));
}

#[tokio::test]
async fn a_deleted_metric_is_created_again_under_another_id() {
    let mut desk = Desk::new();
    desk.apply(create("pump", &[])).await;
    desk.apply(Change::DeleteMetric { metric: "pump".into(), through: cover(5) }).await;
    assert!(desk.now().metric_named("pump").is_none());
    desk.apply(create("pump", &[])).await;
    let schema = desk.now();
    assert_eq!(schema.metric_named("pump").unwrap().id(), &MetricId::numbered(2));
    assert_eq!(schema.deleted_metrics()[0].id, MetricId::numbered(1));
}

#[tokio::test]
async fn what_is_ruled_out_is_undeclared_and_not_readable() {
    let mut desk = Desk::new();
    desk.discover(&["junk"]).await;
    desk.apply(create("pump", &[])).await;
    desk.apply(Change::RuleOutMetric { metric: "junk".into() }).await;
    desk.refuses(Change::RuleOutMetric { metric: "pump".into() }).await;
    desk.apply(Change::RuleOutField { metric: "pump".into(), field: "bad".into() }).await;
    let schema = desk.now();
    assert!(schema.metric_named("junk").unwrap().is_ruled_out());
    let pump = schema.metric_named("pump").unwrap();
    assert!(pump.is_field_ruled_out("bad"));
    assert!(pump.column("bad", false, &SeenNames::of_names(["bad"])).one().is_none());
    desk.refuses(add("pump", "bad", "long", &[])).await;
    desk.apply(Change::RuleInField { metric: "pump".into(), field: "bad".into() }).await;
    desk.apply(add("pump", "bad", "long", &[])).await;
}

#[tokio::test]
async fn identity_holds_by_arrival_and_its_undo_does_not_rewrite_the_past() {
    let mut desk = Desk::new();
    desk.apply(create("pump", &[])).await;
    let early = desk.clock.now();
    let set = desk.apply(Change::SetIdentity { metric: Some("pump".into()), identity: Some(Identity::Arrival) }).await;
    let during = desk.clock.now();
    desk.clock.advance(Duration::from_secs(1));
    desk.undo(&set).await.unwrap();
    let late = desk.clock.now();
    let schema = desk.now();
    let identity = |at| schema.metric_named("pump").unwrap().identity_at(&schema, at);
    assert_eq!(
        [identity(early), identity(during), identity(late)],
        [Identity::Content, Identity::Arrival, Identity::Content]
    );
}

#[tokio::test]
async fn units_and_conversions_are_scoped() {
    let mut desk = Desk::new();
    desk.apply(create("pump", &[])).await;
    desk.apply(add("pump", "temp", "double", &["tempF"])).await;
    let state = |conversion| Change::AddConversion { metric: "pump".into(), field: "temp".into(), conversion };
    let fahrenheit =
        StatedConversion { unit: Some("F".into()), name: Some("tempF".into()), ..StatedConversion::default() };
    desk.refuses(state(fahrenheit.clone())).await;
    desk.apply(Change::SetUnit { metric: "pump".into(), field: "temp".into(), unit: Some("C".into()) }).await;
    desk.apply(state(fahrenheit)).await;
    desk.apply(state(StatedConversion { scale: 2.0, offset: 1.0, ..StatedConversion::default() })).await;
    let schema = desk.now();
    let column = schema.metric_named("pump").unwrap().column("temp", false, &SeenNames::default()).one().unwrap();
    assert_eq!(column.sources[0].conversions.len(), 1);
    assert_eq!(column.sources[1].conversions.len(), 2);
    assert!((column.sources[1].conversions[1].scale - 5.0 / 9.0).abs() < 1e-12);
    desk.refuses(Change::SetUnit { metric: "pump".into(), field: "temp".into(), unit: Some("bar".into()) }).await;
    let alias = Change::RemoveFieldAlias { metric: "pump".into(), field: "temp".into(), alias: "tempF".into() };
    desk.refuses(alias).await;
}

#[tokio::test]
async fn settings_are_kept_and_checked() {
    let mut desk = Desk::new();
    desk.apply(Change::SetMetricKeys { keys: vec!["kind".into(), "kind".into()] }).await;
    desk.apply(Change::SetUnknownMetric { policy: UnknownMetric::Reject }).await;
    desk.apply(Change::SetMissingTimestamp { metric: None, policy: Some(MissingTimestamp::Arrival) }).await;
    desk.apply(Change::SetTimestampFormats { metric: None, formats: vec!["epoch_s".into()] }).await;
    desk.refuses(Change::SetTimestampFormats { metric: None, formats: vec!["uuuu-MM".into()] }).await;
    let schema = desk.other().snapshot(&desk.tenant).await.unwrap();
    let settings = schema.settings();
    assert_eq!(settings.metric_keys, ["kind".into()]);
    assert_eq!(settings.unknown_metric, UnknownMetric::Reject);
    assert_eq!(settings.timestamp_formats[0].to_string(), "epoch_s");
    let nothing = desk.apply(Change::SetUnknownMetric { policy: UnknownMetric::Reject }).await;
    assert_eq!(nothing.version, Version(4), "a change that changes nothing makes no version");
}

#[tokio::test]
async fn merged_metrics_share_fields_and_unmerge_by_undo() {
    let mut desk = Desk::new();
    desk.apply(create("a", &[])).await;
    desk.apply(create("b", &["bb"])).await;
    desk.apply(add("a", "temp", "double", &[])).await;
    desk.apply(add("b", "temp", "long", &["t"])).await;
    desk.apply(add("b", "only", "string", &[])).await;
    let merged = desk.apply(Change::MergeMetric { from: "bb".into(), into: "a".into() }).await;
    let schema = desk.now();
    assert_eq!(sources(&schema, "bb", "t"), ["temp", "t"]);
    assert_eq!(schema.metric_named("b").unwrap().fields().len(), 2);
    assert_eq!(&**schema.metric_named("bb").unwrap().name(), "a");
    desk.undo(&merged).await.unwrap();
    let schema = desk.now();
    assert_eq!(schema.metric_named("a").unwrap().fields().len(), 1);
    assert_eq!(schema.metric_named("bb").unwrap().fields().len(), 2);
    assert_eq!(sources(&schema, "a", "temp"), ["temp"]);
}

// SC1, SC2
#[tokio::test]
async fn days_that_rows_are_kept_are_the_metrics_own_or_the_tenants_and_can_be_undone() {
    use crate::RetainDays;
    let days = |text: &str| Some(text.parse::<RetainDays>().unwrap());
    let set = |metric: Option<&str>, days| Change::SetRetainDays { metric: metric.map(str::to_owned), days };
    let mut desk = Desk::new();
    desk.apply(Change::CreateMetric { name: "m".into(), aliases: Vec::new() }).await;
    let kept = |desk: &Desk| {
        let schema = desk.now();
        let metric = schema.metric_named("m").unwrap().clone();
        (metric.retain_days(&schema).to_string(), schema.has_retention())
    };
    assert_eq!(kept(&desk), ("forever".to_owned(), false));
    let of_tenant = desk.apply(set(None, days("30"))).await;
    assert_eq!(kept(&desk), ("30".to_owned(), true));
    let of_metric = desk.apply(set(Some("m"), days("forever"))).await;
    assert_eq!(kept(&desk), ("forever".to_owned(), false));
    let taken_away = desk.apply(set(Some("m"), None)).await;
    assert_eq!(kept(&desk).0, "30");
    desk.undo(&taken_away).await.unwrap();
    assert_eq!(kept(&desk).0, "forever");
    desk.undo(&of_metric).await.unwrap();
    assert_eq!(kept(&desk).0, "30");
    desk.undo(&of_tenant).await.unwrap();
    assert_eq!(kept(&desk).0, "forever");
    desk.refuses(set(Some("nobody"), days("3"))).await;
}

// SC1, SC2
#[tokio::test]
async fn a_setting_that_is_taken_away_comes_back_by_undo() {
    let mut desk = Desk::new();
    desk.apply(create("m", &[])).await;
    desk.apply(add("m", "f", "double", &[])).await;
    let metric = || Some("m".to_owned());
    let policy = |policy| Change::SetMissingTimestamp { metric: metric(), policy };
    let identity = |identity| Change::SetIdentity { metric: metric(), identity };
    let unit = |unit: Option<&str>| {
        let unit = unit.map(str::to_owned);
        Change::SetUnit { metric: "m".to_owned(), field: "f".to_owned(), unit }
    };
    let seen = |desk: &Desk| {
        let schema = desk.now();
        let metric = schema.metric_named("m").unwrap().clone();
        format!("{:?} {:?} {:?}", metric.missing_timestamp(), metric.identity(), metric.fields()[0].unit)
    };
    let settings = [
        (policy(Some(MissingTimestamp::Arrival)), policy(None)),
        (identity(Some(Identity::Key)), identity(None)),
        (unit(Some("C")), unit(None)),
    ];
    for (set, take_away) in settings {
        let unset = seen(&desk);
        let first = desk.apply(set).await;
        let was_set = seen(&desk);
        assert_ne!(was_set, unset);
        let taken_away = desk.apply(take_away).await;
        assert_eq!(seen(&desk), unset);
        desk.undo(&taken_away).await.unwrap();
        assert_eq!(seen(&desk), was_set);
        if !was_set.contains("Key") {
            desk.undo(&first).await.unwrap();
            assert_eq!(seen(&desk), unset);
        }
    }
}

// U6
#[tokio::test]
async fn a_merge_does_not_change_under_which_id_events_of_a_name_are_stored() {
    let mut desk = Desk::new();
    desk.apply(create("pump", &["p"])).await;
    desk.discover(&["fan", "vane"]).await;
    let merge = |from: &str, into: &str| Change::MergeMetric { from: from.into(), into: into.into() };
    let stored = |desk: &Desk| ["pump", "p", "fan", "vane"].map(|name| desk.now().row_metric(name).cloned());
    let apart = [1, 1, 2, 3].map(|number| Some(MetricId::numbered(number)));
    assert_eq!(stored(&desk), apart);
    let first = desk.apply(merge("vane", "fan")).await;
    desk.apply(metric_alias("fan", "ventilator")).await;
    desk.apply(merge("fan", "pump")).await;
    assert_eq!(stored(&desk), apart);
    assert_eq!(desk.now().row_metric("ventilator"), Some(&MetricId::numbered(2)));
    assert_eq!(desk.other().refresh(&desk.tenant).await.unwrap().row_metric("vane"), Some(&MetricId::numbered(3)));
    // A name that was taken away and sent anew is another metric.
    desk.apply(Change::RemoveMetricAlias { metric: "pump".into(), alias: "vane".into() }).await;
    assert_eq!(desk.now().row_metric("vane"), None);
    desk.discover(&["vane"]).await;
    assert_eq!(desk.now().row_metric("vane"), Some(&MetricId::numbered(4)));
    assert!(desk.undo(&first).await.is_err());
    desk.apply(merge("vane", "pump")).await;
    assert_eq!(desk.now().row_metric("vane"), Some(&MetricId::numbered(4)), "where its latest events are");
}

// U6
#[tokio::test]
async fn every_metric_that_had_a_name_is_known_however_the_name_was_moved() {
    let merge = |from: &str, into: &str| Change::MergeMetric { from: from.into(), into: into.into() };
    let unalias = |metric: &str, alias: &str| Change::RemoveMetricAlias { metric: metric.into(), alias: alias.into() };
    let ids = |schema: &TenantSchema, name: &str| {
        let ids: Vec<String> = schema.moved_from(name).iter().map(ToString::to_string).collect();
        ids.join(" ")
    };

    // Taken away, discovered anew, taken back.
    let mut desk = Desk::new();
    let created = desk.apply(create("B", &["p"])).await;
    assert_eq!(ids(&desk.now(), "p"), "", "one metric alone ever had it");
    let taken_away = desk.apply(unalias("B", "p")).await;
    assert_eq!(ids(&desk.now(), "p"), "", "nobody has it");
    desk.discover(&["p"]).await;
    assert_eq!(ids(&desk.now(), "p"), "n1 n2");
    let taken_back = desk.apply(metric_alias("B", "p")).await;
    assert_eq!((ids(&desk.now(), "p"), desk.now().row_metric("p")), ("n1 n2".into(), Some(&MetricId::numbered(2))));
    assert_eq!(ids(&desk.now(), "B"), "");
    assert_eq!(ids(&desk.other().refresh(&desk.tenant).await.unwrap(), "p"), "n1 n2", "it is kept");
    desk.undo(&taken_back).await.unwrap();
    assert_eq!(ids(&desk.now(), "p"), "n1 n2");
    assert!(desk.undo(&taken_away).await.is_err(), "somebody has the name by now");
    desk.undo(&created).await.unwrap_err();

    // Through metrics with lower and higher numbers.
    let mut desk = Desk::new();
    desk.discover(&["D", "A", "B"]).await;
    for change in [metric_alias("A", "p"), merge("A", "B"), unalias("B", "p"), metric_alias("D", "p")] {
        desk.apply(change).await;
    }
    assert_eq!((ids(&desk.now(), "p"), desk.now().row_metric("p")), ("n1 n2".into(), Some(&MetricId::numbered(1))));
    desk.apply(merge("D", "B")).await;
    assert_eq!((ids(&desk.now(), "p"), desk.now().row_metric("p")), ("n1 n2".into(), Some(&MetricId::numbered(2))));
    assert_eq!(["A", "B", "D"].map(|name| ids(&desk.now(), name)), [""; 3], "these were never moved");

    // Undone, and moved on.
    let mut desk = Desk::new();
    desk.discover(&["A", "B"]).await;
    let given = desk.apply(metric_alias("A", "p")).await;
    desk.undo(&given).await.unwrap();
    desk.apply(metric_alias("B", "p")).await;
    assert_eq!(ids(&desk.now(), "p"), "n1 n2");
    // What was deleted is newly discovered.
    desk.apply(Change::DeleteMetric { metric: "A".into(), through: cover(20) }).await;
    assert_eq!(ids(&desk.now(), "p"), "");

    // A merge alone, and one that is undone, moves no name.
    let mut desk = Desk::new();
    desk.discover(&["A", "B"]).await;
    let merged = desk.apply(merge("A", "B")).await;
    assert_eq!(["A", "B"].map(|name| ids(&desk.now(), name)), [""; 2]);
    desk.undo(&merged).await.unwrap();
    assert_eq!(["A", "B"].map(|name| ids(&desk.now(), name)), [""; 2]);
}

#[tokio::test]
async fn undoing_a_merge_does_not_bring_back_what_was_deleted_since() {
    for is_of_field in [true, false] {
        let mut desk = Desk::new();
        desk.apply(create("pump", &[])).await;
        desk.discover(&["fan", "vane"]).await;
        let merge = |from: &str, into: &str| Change::MergeMetric { from: from.into(), into: into.into() };
        let merged = desk.apply(merge("vane", "fan")).await;
        desk.apply(merge("fan", "pump")).await;
        desk.apply(match is_of_field {
            true => Change::DeleteField { metric: "pump".into(), field: "note".into(), through: cover(20) },
            false => Change::DeleteMetric { metric: "pump".into(), through: cover(20) },
        })
        .await;
        let refused = desk.undo(&merged).await.unwrap_err().to_string();
        assert!(refused.contains("for ever") && refused.contains("pump"), "{refused}");
    }
}
