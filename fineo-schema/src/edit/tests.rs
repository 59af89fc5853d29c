//! What each change does to a schema, and what it refuses.

use std::sync::Arc;

use fineo_core::{ErrorKind, TenantId, Timestamp, repo::Version};
use proptest::prelude::*;

use super::Edit;
use crate::{
    Change, ChangeId, HistoryEntry, LogicalColumn, SeenNames, TenantSchema,
    document::State,
    snapshot::root_of,
    undo::{deltas, undone},
};

const NAMES: [&str; 6] = ["a", "b", "c", "A", "d", "e"];

/// The rules of names, as simply as they can be said: a list of lists of names.
#[derive(Debug, Clone, Default, PartialEq)]
struct Naive(Vec<Vec<&'static str>>);

#[derive(Debug, Clone, Copy)]
enum Step {
    Add(&'static str, &'static str),
    Rename(&'static str, &'static str),
    Alias(&'static str, &'static str),
    Unalias(&'static str, &'static str),
    Undeclare(&'static str),
}

impl Naive {
    fn holder(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|names| names.contains(&name))
    }

    fn apply(&mut self, step: Step) -> Option<()> {
        match step {
            Step::Add(name, alias) => {
                let mut names = vec![name];
                if alias != name {
                    names.push(alias);
                }
                names.iter().all(|name| self.holder(name).is_none()).then(|| self.0.push(names))
            }
            Step::Alias(field, alias) => {
                let field = self.holder(field)?;
                match self.holder(alias) {
                    Some(holder) => (holder == field).then_some(()),
                    None => {
                        self.0[field].push(alias);
                        Some(())
                    }
                }
            }
            Step::Rename(field, to) => {
                self.apply(Step::Alias(field, to))?;
                let field = self.holder(to)?;
                let names = &mut self.0[field];
                names.retain(|name| *name != to);
                names.insert(0, to);
                Some(())
            }
            Step::Unalias(field, alias) => {
                let names = self.holder(field).map(|field| &mut self.0[field])?;
                let at = names.iter().position(|name| *name == alias)?;
                (at > 0).then(|| {
                    names.remove(at);
                })
            }
            Step::Undeclare(field) => self.holder(field).map(|field| {
                self.0.remove(field);
            }),
        }
    }
}

impl Step {
    fn change(self) -> Change {
        let metric = "pump".to_owned();
        match self {
            Self::Add(name, alias) => Change::AddField {
                metric,
                name: name.into(),
                field_type: "string".into(),
                aliases: vec![alias.into()],
                unit: None,
            },
            Self::Rename(field, to) => Change::RenameField { metric, field: field.into(), to: to.into() },
            Self::Alias(field, alias) => Change::AddFieldAlias { metric, field: field.into(), alias: alias.into() },
            Self::Unalias(field, alias) => {
                Change::RemoveFieldAlias { metric, field: field.into(), alias: alias.into() }
            }
            Self::Undeclare(field) => Change::UndeclareField { metric, field: field.into() },
        }
    }
}

fn any_step() -> impl Strategy<Value = Step> {
    let name = || proptest::sample::select(&NAMES[..]);
    prop_oneof![
        (name(), name()).prop_map(|(name, alias)| Step::Add(name, alias)),
        (name(), name()).prop_map(|(field, to)| Step::Rename(field, to)),
        (name(), name()).prop_map(|(field, alias)| Step::Alias(field, alias)),
        (name(), name()).prop_map(|(field, alias)| Step::Unalias(field, alias)),
        name().prop_map(Step::Undeclare),
    ]
}

fn pump() -> State {
    let mut edit = Edit::new(State::default(), Timestamp::default());
    edit.apply(&Change::CreateMetric { name: "pump".into(), aliases: vec![] }).unwrap();
    edit.state
}

fn schema(state: &State) -> TenantSchema {
    let tenant = TenantId::new("acme").unwrap();
    TenantSchema::of_state(&tenant, Version(1), Timestamp::default(), state.clone(), None).unwrap()
}

fn sources(column: &LogicalColumn) -> Vec<&str> {
    column.sources.iter().map(|source| &*source.name).collect()
}

/// The documents, without the numbers that are never used again.
fn documents(state: &State) -> (serde_json::Value, Vec<serde_json::Value>) {
    let documents = state.metrics.values().filter(|document| !document.fields.is_empty());
    let metrics = documents.map(|document| serde_json::to_value(&**document).unwrap());
    (serde_json::to_value(&state.tenant).unwrap(), metrics.collect())
}

fn entry(before: &State, after: &State) -> HistoryEntry {
    HistoryEntry {
        version: Version(2),
        id: ChangeId::of_bytes([1; 16]),
        at: Timestamp::default(),
        author: None,
        changes: Vec::new(),
        summary: Vec::new(),
        deltas: deltas(before, after).unwrap(),
    }
}

proptest! {
    // SC3, SC4
    #[test]
    fn names_resolve_as_the_simplest_rules_say(steps in proptest::collection::vec(any_step(), 0..25)) {
        let (mut naive, mut state) = (Naive::default(), pump());
        for step in steps {
            let mut edit = Edit::new(state.clone(), Timestamp::default());
            let mut expected = naive.clone();
            let is_legal = expected.apply(step).is_some();
            prop_assert_eq!(edit.apply(&step.change()).is_ok(), is_legal, "{:?}", step);
            if is_legal {
                (naive, state) = (expected, edit.state);
            }
        }
        let schema = schema(&state);
        let metric = schema.metric_named("pump").unwrap();
        let seen = SeenNames::of_names(NAMES);
        for name in NAMES {
            let column = metric.column(name, true, &seen).one().unwrap();
            let expected = naive.holder(name).map_or_else(|| vec![name], |field| naive.0[field].clone());
            prop_assert_eq!(sources(&column), expected);
            prop_assert_eq!(column.field_type.is_some(), naive.holder(name).is_some());
        }
        let shown: Vec<Vec<String>> = metric.columns(&seen).iter()
            .filter(|column| column.field.is_some())
            .map(|column| sources(column).into_iter().map(str::to_owned).collect())
            .collect();
        prop_assert_eq!(shown, naive.0);
    }

    #[test]
    fn undo_restores_the_documents_exactly(steps in proptest::collection::vec(any_step(), 1..25)) {
        let mut state = pump();
        for step in steps {
            let mut edit = Edit::new(state.clone(), Timestamp::default());
            if edit.apply(&step.change()).is_ok() {
                let back = undone(&edit.state, &entry(&state, &edit.state), &[], Timestamp::default()).unwrap();
                prop_assert_eq!(documents(&back), documents(&state));
                state = edit.state;
            }
        }
    }

    #[test]
    fn an_undo_later_on_either_takes_just_that_back_or_is_refused(
        steps in proptest::collection::vec(any_step(), 2..12),
        chosen in 0..12_usize,
    ) {
        let mut states = vec![pump()];
        for step in steps {
            let mut edit = Edit::new(states[states.len() - 1].clone(), Timestamp::default());
            if edit.apply(&step.change()).is_ok() {
                states.push(edit.state);
            }
        }
        let Some(pair) = states.windows(2).nth(chosen) else { return Ok(()) };
        let last = &states[states.len() - 1];
        if let Ok(back) = undone(last, &entry(&pair[0], &pair[1]), &[], Timestamp::default()) {
            // Whether a name has two holders by now is asked of any change, later.
            for document in back.metrics.values() {
                prop_assert!(document.fields.values().all(|field| !field.names.is_empty()));
            }
        }
    }
}

#[test]
fn a_rename_stays_where_the_former_name_was_taken_away_since() {
    let rename = Step::Rename("a", "b");
    for (steps, is_refused) in [
        (vec![Step::Unalias("b", "a")], true),
        (vec![Step::Alias("b", "c"), Step::Unalias("b", "a")], true),
        (vec![Step::Alias("b", "c")], false),
        (vec![Step::Unalias("b", "a"), Step::Alias("b", "a")], false),
    ] {
        let mut edit = Edit::new(pump(), Timestamp::default());
        edit.apply(&Step::Add("a", "a").change()).unwrap();
        let before = edit.state.clone();
        edit.apply(&rename.change()).unwrap();
        let entry = entry(&before, &edit.state);
        for step in &steps {
            edit.apply(&step.change()).unwrap();
        }
        let back = undone(&edit.state, &entry, &[], Timestamp::default());
        assert_eq!(back.is_err(), is_refused, "{steps:?}");
    }
}

#[test]
fn merges_never_form_a_ring_and_chains_answer_at_their_end() {
    let mut edit = Edit::new(State::default(), Timestamp::default());
    for name in ["a", "b", "c"] {
        edit.apply(&Change::CreateMetric { name: name.into(), aliases: vec![] }).unwrap();
    }
    let merge = |from: &str, into: &str| Change::MergeMetric { from: from.into(), into: into.into() };
    edit.apply(&merge("a", "b")).unwrap();
    edit.apply(&merge("b", "c")).unwrap();
    edit.apply(&merge("c", "a")).unwrap_err();
    assert_eq!(root_of(&edit.state, 1), 3);
    let schema = schema(&edit.state);
    let ids: Vec<String> = schema.metric_named("a").unwrap().row_metrics().iter().map(ToString::to_string).collect();
    assert_eq!(ids, ["n3", "n1", "n2"]);
}

#[test]
fn a_merge_brings_no_name_in_that_is_ruled_out_there() {
    let mut edit = Edit::new(State::default(), Timestamp::default());
    for name in ["a", "b"] {
        edit.apply(&Change::CreateMetric { name: name.into(), aliases: vec![] }).unwrap();
    }
    let (metric, field) = ("b".to_owned(), "v".to_owned());
    edit.apply(&Change::RuleOutField { metric: metric.clone(), field: field.clone() }).unwrap();
    let add = |name: &str| Change::AddField {
        metric: "a".into(),
        name: name.into(),
        field_type: "long".into(),
        aliases: vec!["v".into()],
        unit: None,
    };
    edit.apply(&add("w")).unwrap();
    let merge = Change::MergeMetric { from: "a".into(), into: "b".into() };
    let refused = edit.apply(&merge).unwrap_err().to_string();
    assert!(refused.contains("rule it in first") && refused.contains("field=v"), "{refused}");
    edit.apply(&Change::RuleInField { metric, field }).unwrap();
    edit.apply(&merge).unwrap();
}

#[test]
fn limits_are_refused_by_name() {
    // S07
    let mut edit = Edit::new(pump(), Timestamp::default());
    let add = |number: usize| Change::AddField {
        metric: "pump".into(),
        name: format!("field{number}"),
        field_type: "long".into(),
        aliases: vec![],
        unit: None,
    };
    for number in 0..10 {
        edit.apply(&add(number)).unwrap();
    }
    let document = Arc::make_mut(edit.state.metrics.get_mut(&1).unwrap());
    let one = document.fields[&1].clone();
    for number in 11..=u32::try_from(super::FIELDS_MAX).unwrap() {
        document.fields.insert(number, one.clone());
    }
    let error = edit.apply(&add(10_001)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitExceeded);
    for name in ["timestamp", "_fineo_x", "", "a\nb"] {
        let change = Change::AddField {
            metric: "pump".into(),
            name: name.into(),
            field_type: "long".into(),
            aliases: vec![],
            unit: None,
        };
        Edit::new(pump(), Timestamp::default()).apply(&change).unwrap_err();
    }
    let change = Change::CreateMetric { name: "fineo_x".into(), aliases: vec![] };
    Edit::new(pump(), Timestamp::default()).apply(&change).unwrap_err();
}

#[test]
fn as_many_names_as_there_may_be_are_taken_at_once_and_one_more_is_refused() {
    // S07: each is compared with all others, in a moment.
    let names = |first: usize, last: usize| (first..last).map(|number| format!("name{number}")).collect::<Vec<_>>();
    let field = |name: &str, aliases| Change::AddField {
        metric: "pump".into(),
        name: name.into(),
        field_type: "long".into(),
        aliases,
        unit: None,
    };
    let full = || {
        let mut edit = Edit::new(State::default(), Timestamp::default());
        edit.apply(&Change::CreateMetric { name: "pump".into(), aliases: vec![] }).unwrap();
        edit.apply(&field("one", names(0, 50_000))).unwrap();
        edit.apply(&field("two", names(50_000, super::NAMES_MAX - 2))).unwrap();
        edit
    };
    let alias = |field: &str, alias: &str| Change::AddFieldAlias {
        metric: "pump".into(),
        field: field.into(),
        alias: alias.into(),
    };
    let mut edit = full();
    for change in [alias("two", "more"), field("three", vec![])] {
        assert_eq!(edit.apply(&change).unwrap_err().kind(), ErrorKind::LimitExceeded);
    }
    edit.apply(&alias("two", "name99997")).unwrap();
    assert_eq!(edit.apply(&alias("one", "name99997")).unwrap_err().kind(), ErrorKind::AlreadyExists);
    // Where one goes there is room for another, and for itself again.
    let remove = |field: &str, alias: &str| Change::RemoveFieldAlias {
        metric: "pump".into(),
        field: field.into(),
        alias: alias.into(),
    };
    for change in [remove("two", "name99997"), alias("one", "more"), remove("one", "more"), alias("one", "name99997")] {
        edit.apply(&change).unwrap();
    }
    assert_eq!(edit.apply(&alias("one", "more")).unwrap_err().kind(), ErrorKind::LimitExceeded);

    let metric = |name: &str, aliases| Change::CreateMetric { name: name.into(), aliases };
    let mut edit = Edit::new(State::default(), Timestamp::default());
    edit.apply(&metric("pump", names(1, super::NAMES_MAX))).unwrap();
    let more = Change::AddMetricAlias { metric: "pump".into(), alias: "more".into() };
    assert_eq!(edit.apply(&more).unwrap_err().kind(), ErrorKind::LimitExceeded);
    assert_eq!(edit.apply(&metric("fan", vec!["name7".into()])).unwrap_err().kind(), ErrorKind::AlreadyExists);
}

#[test]
fn a_name_that_only_looks_like_another_is_taken_with_a_warning() {
    // S16: some letters are Cyrillic. The last alias looks like its own field, too.
    let mut edit = Edit::new(State::default(), Timestamp::default());
    let field = |name: &str| Change::AddField {
        metric: "pump".to_owned(),
        name: name.to_owned(),
        field_type: "int".to_owned(),
        aliases: vec![],
        unit: None,
    };
    let alias = |alias: &str| Change::AddFieldAlias {
        metric: "pump".to_owned(),
        field: "temp".to_owned(),
        alias: alias.to_owned(),
    };
    let create = |name: &str| Change::CreateMetric { name: name.to_owned(), aliases: vec![] };
    let changes = [create("pump"), create("\u{440}ump"), field("temp"), field("t\u{435}mp"), alias("tem\u{440}")];
    for change in changes.iter().chain([&alias("plain"), &create("valve")]) {
        edit.apply(change).unwrap();
    }
    let warnings: Vec<&String> = edit.summary.iter().filter(|line| line.starts_with("warning")).collect();
    assert_eq!(
        warnings,
        [
            "warning: \u{440}ump (U+0440) only looks like pump (U+0070): it is a name of its own",
            "warning: t\u{435}mp (U+0435) only looks like temp (U+0065): it is a name of its own",
        ]
    );
    assert_eq!(edit.state.tenant.metrics.len(), 3, "nothing is merged");
}
