//! Reading versions and listing subjects.

use std::slice;

use bytes::Bytes;
use fineo_core::{
    Result, Timestamp,
    repo::{Keep, Subject, Version, Versioned},
};

use super::{body, history_subject, latest_subject, standing, subject, write};
use crate::{
    Case, Place, Verdict,
    case::cases,
    support::{at, filler, tenant},
};

pub(in crate::cases) const CASES: &[Case] = cases! { Repo:
    4 "versions are numbered without gaps and any of them can be read" history,
    4 "a history is read from any version on, as many as asked for" pages,
    5 "a subject that keeps its latest version has that one only, and its number grows" latest,
    5 "a subject that has no version has none" none,
    7 "bodies and times are read as written" bodies,
    8 "subjects of one name belong to their owners" owners,
    8 "no two pairs of tenant and name are one subject" pairs,
    10 "a listing names the owner's subjects with the prefix, in order" prefixes,
    10 "a listing names many subjects" many,
    10 "the tenants are those that have subjects, in order" tenants,
};

async fn history(place: Box<dyn Place>) -> Result<Verdict> {
    let repo = place.repo().await?;
    let a = history_subject("a");
    let mut expected = Vec::new();
    for round in 0..50u64 {
        let now = at(round.cast_signed() * 1000 - 7000);
        repo.append(vec![write(&a, round, &format!("body {round}"))], now).await.into_result()?;
        let body = Bytes::from(format!("body {round}"));
        expected.push(Versioned { version: Version(round + 1), written_at: now, body });
        assert_eq!(repo.latest(&a).await?.as_ref(), expected.last());
    }
    assert_eq!(repo.history(&a, Version(1), 1000).await?, expected);
    assert_eq!(repo.history(&a, Version::NONE, 1000).await?, expected);
    Ok(Verdict::Passed)
}

async fn pages(place: Box<dyn Place>) -> Result<Verdict> {
    let repo = place.repo().await?;
    let a = history_subject("a");
    for round in 0..12 {
        repo.append(vec![write(&a, round, "x")], at(0)).await.into_result()?;
    }
    for first in 0..15 {
        for count_max in [0, 1, 2, 5, 100] {
            let found = repo.history(&a, Version(first), count_max).await?;
            let found: Vec<u64> = found.iter().map(|versioned| versioned.version.0).collect();
            let expected: Vec<u64> = (first.max(1)..=12).take(count_max).collect();
            assert_eq!(found, expected, "from {first}, at most {count_max}");
        }
    }
    Ok(Verdict::Passed)
}

async fn latest(place: Box<dyn Place>) -> Result<Verdict> {
    let repo = place.repo().await?;
    let subject = latest_subject("lease");
    for round in 0..30u64 {
        repo.append(vec![write(&subject, round, &format!("{round}"))], at(5)).await.into_result()?;
        let body = Bytes::from(format!("{round}"));
        let expected = Versioned { version: Version(round + 1), written_at: at(5), body };
        assert_eq!(repo.latest(&subject).await?, Some(expected.clone()));
        assert_eq!(repo.history(&subject, Version(1), 100).await?, slice::from_ref(&expected));
        assert_eq!(repo.history(&subject, expected.version, 100).await?, slice::from_ref(&expected));
        assert_eq!(repo.history(&subject, expected.version.next(), 100).await?, []);
        assert_eq!(repo.history(&subject, Version(1), 0).await?, []);
    }
    Ok(Verdict::Passed)
}

async fn none(place: Box<dyn Place>) -> Result<Verdict> {
    let repo = place.repo().await?;
    for subject in [history_subject("a"), latest_subject("b")] {
        assert_eq!(repo.latest(&subject).await?, None);
        assert_eq!(repo.history(&subject, Version(1), 10).await?, []);
    }
    assert_eq!(repo.subjects(None, "").await?, []);
    assert_eq!(repo.tenants().await?, []);
    Ok(Verdict::Passed)
}

async fn bodies(place: Box<dyn Place>) -> Result<Verdict> {
    let repo = place.repo().await?;
    let every_byte: Vec<u8> = (0..=255).collect();
    let large = filler(repo.capabilities().body_bytes_max.min(1 << 20));
    let bodies: [Bytes; 5] = [Bytes::new(), every_byte.into(), "温度 🚀".into(), large.into(), vec![0; 1000].into()];
    let times = [Timestamp::MIN, at(-1), at(0), at(1_700_000_000_000_001), Timestamp::MAX];
    for subject in [history_subject("bodies"), latest_subject("bodies")] {
        for (round, (body, time)) in (0..).zip(bodies.iter().zip(times)) {
            let mut writes = vec![write(&subject, round, "")];
            writes[0].body = Some(body.clone());
            repo.append(writes, time).await.into_result()?;
            let there = repo.latest(&subject).await?;
            let expected = Versioned { version: Version(round + 1), written_at: time, body: body.clone() };
            assert!(there == Some(expected), "version {round} of {subject} differs");
        }
    }
    Ok(Verdict::Passed)
}

async fn owners(place: Box<dyn Place>) -> Result<Verdict> {
    let repo = place.repo().await?;
    let owners = [None, Some("acme"), Some("Acme"), Some("acme.b"), Some("a")];
    for (count, owner) in (1..).zip(owners) {
        for round in 0..count {
            let body = format!("{owner:?} {round}");
            repo.append(vec![write(&subject("schema", Keep::History, owner), round, &body)], at(0))
                .await
                .into_result()?;
        }
    }
    for (count, owner) in (1..).zip(owners) {
        let subject = subject("schema", Keep::History, owner);
        assert_eq!(standing(&repo, &subject).await?, Version(count));
        assert_eq!(body(&repo, &subject).await?, Some(Bytes::from(format!("{owner:?} {}", count - 1))));
    }
    Ok(Verdict::Passed)
}

async fn pairs(place: Box<dyn Place>) -> Result<Verdict> {
    let repo = place.repo().await?;
    let pairs = [
        (Some("a"), "b/c"),
        (Some("a"), "b"),
        (Some("a"), "b.c"),
        (Some("a.b"), "c"),
        (Some("a-b"), "c"),
        (Some("a"), "b-c"),
        (None, "a/b/c"),
        (None, "a/b"),
        (Some("a"), "B"),
        (Some("A"), "b"),
        (Some("a"), "b/"),
        (Some("a"), "/b"),
        (Some("a"), ".."),
        (Some("a"), "../a/b"),
        (Some("a"), "."),
    ];
    for (owner, name) in pairs {
        let text = format!("{owner:?} {name}");
        let written = repo.append(vec![write(&subject(name, Keep::History, owner), 0, &text)], at(0)).await;
        assert_eq!(written.into_result()?, fineo_core::repo::Compared::Written, "{text} is another's subject");
    }
    for (owner, name) in pairs {
        let there = body(&repo, &subject(name, Keep::History, owner)).await?;
        assert_eq!(there, Some(Bytes::from(format!("{owner:?} {name}"))));
    }
    Ok(Verdict::Passed)
}

async fn prefixes(place: Box<dyn Place>) -> Result<Verdict> {
    let repo = place.repo().await?;
    let long = filler(Subject::NAME_BYTES_MAX);
    let mut names = vec!["b", "a", "a/b", "a/c", "a.c", "a-c", "A", "aa", "metric/n1", "metric/n11", "_", &long];
    for owner in [Some("acme"), None] {
        for (index, name) in names.iter().enumerate() {
            let keep = if index % 2 == 0 { Keep::History } else { Keep::Latest };
            repo.append(vec![write(&subject(name, keep, owner), 0, "x")], at(0)).await.into_result()?;
        }
    }
    repo.append(vec![write(&subject("a/other", Keep::History, Some("acme.b")), 0, "x")], at(0)).await.into_result()?;
    let kept: Vec<(String, Keep)> = (0..)
        .zip(&names)
        .map(|(index, name)| ((*name).to_owned(), if index % 2 == 0 { Keep::History } else { Keep::Latest }))
        .collect();
    names.sort_unstable();
    for owner in [Some("acme"), None] {
        let of = owner.map(tenant);
        for prefix in ["", "a", "a/", "a/b", "metric/n1", "zzz", "A", "_", &long] {
            let found = repo.subjects(of.as_ref(), prefix).await?;
            let found_names: Vec<&str> = found.iter().map(Subject::name).collect();
            let expected: Vec<&str> = names.iter().copied().filter(|name| name.starts_with(prefix)).collect();
            assert_eq!(found_names, expected, "{owner:?} {prefix}");
            for subject in &found {
                assert_eq!(subject.owner(), of.as_ref());
                assert!(kept.contains(&(subject.name().to_owned(), subject.keep())), "{subject:?}");
            }
        }
    }
    Ok(Verdict::Passed)
}

async fn many(place: Box<dyn Place>) -> Result<Verdict> {
    let repo = place.repo().await?;
    let names: Vec<String> = (0..600).map(|number| format!("metric/n{number:04}")).collect();
    let writes_max = repo.capabilities().writes_max.clamp(1, 50);
    for names in names.chunks(writes_max) {
        let writes = names.iter().map(|name| write(&subject(name, Keep::History, Some("acme")), 0, "x"));
        repo.append(writes.collect(), at(0)).await.into_result()?;
    }
    let found = repo.subjects(Some(&tenant("acme")), "metric/").await?;
    assert_eq!(found.iter().map(Subject::name).collect::<Vec<_>>(), names);
    Ok(Verdict::Passed)
}

async fn tenants(place: Box<dyn Place>) -> Result<Verdict> {
    let repo = place.repo().await?;
    repo.append(vec![write(&history_subject("a"), 0, "x")], at(0)).await.into_result()?;
    for name in ["b", "a.b", "a", "B", "a-b", "0"] {
        repo.append(vec![write(&subject("x", Keep::Latest, Some(name)), 0, "x")], at(0)).await.into_result()?;
        repo.append(vec![write(&subject("y", Keep::History, Some(name)), 0, "x")], at(0)).await.into_result()?;
    }
    let found: Vec<String> = repo.tenants().await?.iter().map(ToString::to_string).collect();
    assert_eq!(found, ["0", "B", "a", "a-b", "a.b", "b"]);
    Ok(Verdict::Passed)
}
