//! A repository against a map of lists.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use fineo_core::{
    Result, SchemaRepo,
    repo::{Compared, Keep, Subject, Version, Versioned, Write},
};

use super::{STEPS, Trace, seeds};
use crate::{
    Case, Place, Restart, Verdict,
    case::cases,
    support::{at, filler, tenant},
};

pub(crate) const CASES: &[Case] = cases! { Repo:
    0 "random operations agree with a model" agrees,
};

type Model = BTreeMap<Subject, Vec<Versioned>>;

#[derive(Debug)]
enum Operation {
    Append(Vec<Write>),
    Latest(Subject),
    History(Subject, Version, usize),
    List(Option<&'static str>, &'static str),
    Restart(Restart),
}

async fn agrees(mut place: Box<dyn Place>) -> Result<Verdict> {
    let mut model = Model::new();
    for seed in seeds() {
        let mut trace = Trace::new(seed);
        for number in 0..STEPS {
            let operation = choose(&mut trace, &model)?;
            trace.say(&operation);
            if let Operation::Restart(how) = operation {
                // An append that is done is durable: neither restart takes anything.
                place.restart(how).await?;
            }
            step(&mut model, &place.repo().await?, operation, number).await?;
        }
        trace.done();
    }
    Ok(Verdict::Passed)
}

fn random_subject(trace: &mut Trace) -> Result<Subject> {
    let (name, keep) =
        [("a", Keep::History), ("a/b", Keep::Latest), ("a.b", Keep::History), ("B", Keep::Latest)][trace.index(4)];
    match trace.below(3) {
        0 => Subject::system(name, keep),
        1 => Subject::tenant(&tenant("acme"), name, keep),
        _ => Subject::tenant(&tenant("acme.b"), name, keep),
    }
}

fn standing(model: &Model, subject: &Subject) -> Version {
    model.get(subject).and_then(|versions| versions.last()).map_or(Version::NONE, |last| last.version)
}

fn choose(trace: &mut Trace, model: &Model) -> Result<Operation> {
    let subject = random_subject(trace)?;
    let version = Version(trace.below(standing(model, &subject).0 + 3));
    Ok(match trace.below(20) {
        0..9 => {
            let mut writes: BTreeMap<Subject, Write> = BTreeMap::new();
            for _ in 0..1 + trace.below(3) {
                let subject = random_subject(trace)?;
                let current = standing(model, &subject);
                let expected = if trace.one_in(6) { Version(trace.below(4)) } else { current };
                let body = (!trace.one_in(6)).then(|| Bytes::from(filler(trace.index(300))));
                writes.insert(subject.clone(), Write { subject, expected, body });
            }
            let mut writes: Vec<Write> = writes.into_values().collect();
            if trace.one_in(2) {
                writes.reverse();
            }
            Operation::Append(writes)
        }
        9..12 => Operation::Latest(subject),
        12..16 => Operation::History(subject, version, trace.index(6)),
        16..18 => {
            Operation::List([None, Some("acme"), Some("acme.b")][trace.index(3)], ["", "a", "a/"][trace.index(3)])
        }
        18 => Operation::Restart(Restart::Clean),
        _ => Operation::Restart(Restart::Crash),
    })
}

async fn step(model: &mut Model, repo: &Arc<dyn SchemaRepo>, operation: Operation, number: usize) -> Result<()> {
    match operation {
        Operation::Append(writes) => append_both(model, repo, writes, number).await?,
        Operation::Latest(subject) => {
            let expected = model.get(&subject).and_then(|versions| versions.last());
            assert_eq!(repo.latest(&subject).await?.as_ref(), expected);
        }
        Operation::History(subject, first, count_max) => {
            let versions = model.get(&subject).cloned().unwrap_or_default();
            let expected: Vec<Versioned> =
                versions.into_iter().filter(|versioned| versioned.version >= first).take(count_max).collect();
            assert_eq!(repo.history(&subject, first, count_max).await?, expected);
        }
        Operation::List(owner, prefix) => {
            let owner = owner.map(tenant);
            let expected: Vec<&Subject> = model
                .keys()
                .filter(|subject| subject.owner() == owner.as_ref() && subject.name().starts_with(prefix))
                .collect();
            assert_eq!(repo.subjects(owner.as_ref(), prefix).await?.iter().collect::<Vec<_>>(), expected);
            let mut tenants: Vec<_> = model.keys().filter_map(|subject| subject.owner().cloned()).collect();
            tenants.dedup();
            assert_eq!(repo.tenants().await?, tenants);
        }
        Operation::Restart(_) => {}
    }
    Ok(())
}

async fn append_both(model: &mut Model, repo: &Arc<dyn SchemaRepo>, writes: Vec<Write>, number: usize) -> Result<()> {
    let now = at(number as i64);
    let conflict = writes.iter().find(|write| standing(model, &write.subject) != write.expected);
    let expected = match conflict {
        None => Compared::Written,
        Some(write) => {
            let current = standing(model, &write.subject);
            Compared::Conflict { subject: write.subject.clone(), current }
        }
    };
    assert_eq!(repo.append(writes.clone(), now).await.into_result()?, expected);
    if expected != Compared::Written {
        return Ok(());
    }
    for write in writes {
        let Some(body) = write.body else { continue };
        let versions = model.entry(write.subject.clone()).or_default();
        if write.subject.keep() == Keep::Latest {
            versions.clear();
        }
        versions.push(Versioned { version: write.expected.next(), written_at: now, body });
    }
    Ok(())
}
