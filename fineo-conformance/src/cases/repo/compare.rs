//! Compare-and-append: all or nothing, one winner.

use bytes::Bytes;
use fineo_core::{
    Outcome, Result,
    repo::{Compared, Keep, RepoCapabilities, Version, Write},
};

use super::{body, history_subject, latest_subject, standing, subject, write};
use crate::{
    Case, Place, Restart, Verdict,
    case::cases,
    support::{CANCEL_POLLS_MAX, RACERS, at, cancelled_at, filler, race, restart},
};

pub(in crate::cases) const CASES: &[Case] = cases! { Repo:
    1 "an append is made when every subject stands as expected" made,
    1 "an append is not made when one subject stands otherwise, which is named" not_made,
    1 "a write without a body only checks" only_checks,
    1 "an append in which a subject occurs twice is refused" twice,
    1 "an append beyond the limits is refused" beyond,
    2 "no reader sees one write of an append and not the other" atomic,
    3 "of many appends that create one subject exactly one is written" race_of_creates,
    3 "appends to different subjects at once are all written, whatever becomes of others" beside_each_other,
    3 "counting by compare-and-append loses no count" counting,
    3 "of many appends over crossing subjects at most one is written each round" crossing,
    3 "a read through another handle sees what was done" two_handles,
    6 "done appends are there after a restart" restarted,
    6 "done appends are there after a crash" crashed,
    9 "an append that was dropped was made whole or not at all" dropped,
};

async fn made(place: Box<dyn Place>) -> Result<Verdict> {
    let repo = place.repo().await?;
    let (a, b, c) = (history_subject("a"), latest_subject("b"), history_subject("c"));
    assert_eq!(repo.append(Vec::new(), at(0)).await.into_result()?, Compared::Written);
    for round in 0..5 {
        let writes = vec![write(&a, round, "to a"), write(&b, round, "to b"), write(&c, round, "to c")];
        assert_eq!(repo.append(writes, at(round.cast_signed())).await.into_result()?, Compared::Written);
        for subject in [&a, &b, &c] {
            assert_eq!(standing(&repo, subject).await?, Version(round + 1));
        }
    }
    Ok(Verdict::Passed)
}

async fn not_made(place: Box<dyn Place>) -> Result<Verdict> {
    let repo = place.repo().await?;
    let (a, b, c) = (history_subject("a"), latest_subject("b"), history_subject("c"));
    repo.append(vec![write(&b, 0, "b1")], at(0)).await.into_result()?;
    repo.append(vec![write(&b, 1, "b2"), write(&c, 0, "c1")], at(0)).await.into_result()?;
    let attempts = [
        (vec![write(&a, 0, "x"), write(&b, 1, "x"), write(&c, 0, "x")], &b, 2),
        (vec![write(&a, 0, "x"), write(&b, 2, "x"), write(&c, 2, "x")], &c, 1),
        (vec![write(&a, 1, "x")], &a, 0),
        (vec![write(&c, 0, "x"), write(&b, 0, "x")], &c, 1),
        (vec![write(&b, u64::MAX, "x")], &b, 2),
    ];
    for (writes, subject, current) in attempts {
        let found = repo.append(writes, at(0)).await.into_result()?;
        assert_eq!(found, Compared::Conflict { subject: subject.clone(), current: Version(current) });
        assert_eq!(body(&repo, &a).await?, None);
        assert_eq!(body(&repo, &b).await?, Some("b2".into()));
        assert_eq!(body(&repo, &c).await?, Some("c1".into()));
    }
    Ok(Verdict::Passed)
}

async fn only_checks(place: Box<dyn Place>) -> Result<Verdict> {
    let repo = place.repo().await?;
    let (a, b) = (history_subject("a"), history_subject("b"));
    let check = |expected| Write { subject: a.clone(), expected: Version(expected), body: None };
    assert_eq!(repo.append(vec![check(0), write(&b, 0, "b1")], at(0)).await.into_result()?, Compared::Written);
    assert_eq!(standing(&repo, &a).await?, Version::NONE);
    let found = repo.append(vec![check(1), write(&b, 1, "b2")], at(0)).await.into_result()?;
    assert_eq!(found, Compared::Conflict { subject: a.clone(), current: Version::NONE });
    repo.append(vec![write(&a, 0, "a1")], at(0)).await.into_result()?;
    assert_eq!(repo.append(vec![check(1), write(&b, 1, "b2")], at(0)).await.into_result()?, Compared::Written);
    assert_eq!(standing(&repo, &a).await?, Version(1));
    assert_eq!(body(&repo, &b).await?, Some("b2".into()));
    let named = repo.subjects(None, "").await?;
    assert_eq!(named, [a, b]);
    Ok(Verdict::Passed)
}

async fn twice(place: Box<dyn Place>) -> Result<Verdict> {
    let repo = place.repo().await?;
    let a = history_subject("a");
    for again in [write(&a, 0, "2"), write(&a, 1, "2"), write(&subject("a", Keep::Latest, None), 0, "2")] {
        let outcome = repo.append(vec![write(&a, 0, "1"), again], at(0)).await;
        assert!(matches!(outcome, Outcome::NotDone(_)), "{outcome:?}");
    }
    assert_eq!(standing(&repo, &a).await?, Version::NONE);
    Ok(Verdict::Passed)
}

async fn beyond(place: Box<dyn Place>) -> Result<Verdict> {
    let repo = place.repo().await?;
    let RepoCapabilities { writes_max, body_bytes_max, .. } = repo.capabilities();
    let many = (0..=writes_max).map(|number| write(&history_subject(&format!("a{number}")), 0, "1")).collect();
    let body = Some(Bytes::from(filler(body_bytes_max + 1)));
    let large = Write { subject: history_subject("a0"), expected: Version::NONE, body };
    for writes in [many, vec![write(&history_subject("b"), 0, "1"), large]] {
        let outcome = repo.append(writes, at(0)).await;
        assert!(matches!(outcome, Outcome::NotDone(_)), "{outcome:?}");
    }
    for name in ["a0", "b"] {
        assert_eq!(standing(&repo, &history_subject(name)).await?, Version::NONE);
    }
    Ok(Verdict::Passed)
}

async fn atomic(place: Box<dyn Place>) -> Result<Verdict> {
    let (writer, reader) = (place.repo().await?, place.repo().await?);
    let (a, b) = (history_subject("a"), latest_subject("b"));
    let (first, second) = (a.clone(), b.clone());
    let task = tokio::spawn(async move {
        for round in 0..100 {
            let writes = vec![write(&first, round, "x"), write(&second, round, "x")];
            writer.append(writes, at(0)).await.into_result()?;
        }
        Result::Ok(())
    });
    while !task.is_finished() {
        for (earlier, later) in [(&a, &b), (&b, &a)] {
            let earlier = standing(&reader, earlier).await?;
            assert!(earlier <= standing(&reader, later).await?, "one write was seen without the other");
        }
        tokio::task::yield_now().await;
    }
    task.await.map_err(|error| fineo_core::Error::internal("the writer failed").with_source(error))??;
    Ok(Verdict::Passed)
}

async fn race_of_creates(place: Box<dyn Place>) -> Result<Verdict> {
    for round in 0..8 {
        let subject = history_subject(&format!("round-{round}"));
        let mut racers = Vec::new();
        for racer in 0..RACERS {
            let (repo, subject) = (place.repo().await?, subject.clone());
            racers.push(async move {
                repo.append(vec![write(&subject, 0, &format!("of {racer}"))], at(0)).await.into_result()
            });
        }
        let found = race(racers).await?.into_iter().collect::<Result<Vec<Compared>>>()?;
        let winners: Vec<usize> = (0..RACERS).filter(|racer| found[*racer] == Compared::Written).collect();
        assert_eq!(winners.len(), 1, "{found:?}");
        let lost = Compared::Conflict { subject: subject.clone(), current: Version(1) };
        assert_eq!(found.iter().filter(|found| **found == lost).count(), RACERS - 1);
        let there = body(&place.repo().await?, &subject).await?;
        assert_eq!(there, Some(Bytes::from(format!("of {}", winners[0]))));
    }
    Ok(Verdict::Passed)
}

async fn beside_each_other(place: Box<dyn Place>) -> Result<Verdict> {
    let taken = latest_subject("taken");
    place.repo().await?.append(vec![write(&taken, 0, "x")], at(0)).await.into_result()?;
    let own =
        |racer: usize, round: u64| subject(&format!("own-{racer}"), Keep::Latest, Some(&format!("t{round}-{racer}")));
    for round in 0..4 {
        let mut racers = Vec::new();
        for racer in 0..RACERS {
            let (repo, own, taken) = (place.repo().await?, own(racer, round), taken.clone());
            racers.push(async move {
                // Every other one expects something that is not so.
                let mut writes = vec![write(&own, 0, "1")];
                writes.extend((racer % 2 == 1).then(|| write(&taken, 0, "2")));
                let found = repo.append(writes, at(0)).await.into_result()?;
                let next = repo.append(vec![write(&own, u64::from(racer % 2 == 0), "3")], at(0)).await.into_result()?;
                Result::Ok((found == Compared::Written, next == Compared::Written))
            });
        }
        let found = race(racers).await?.into_iter().collect::<Result<Vec<_>>>()?;
        let repo = place.repo().await?;
        for (racer, found) in found.into_iter().enumerate() {
            assert_eq!(found, (racer % 2 == 0, true), "of {racer}");
            assert_eq!(standing(&repo, &own(racer, round)).await?, Version(if racer % 2 == 0 { 2 } else { 1 }));
        }
        assert_eq!(body(&repo, &taken).await?, Some("x".into()));
    }
    Ok(Verdict::Passed)
}

async fn counting(place: Box<dyn Place>) -> Result<Verdict> {
    for keep in [Keep::History, Keep::Latest] {
        let subject = super::subject("counter", keep, if keep == Keep::History { None } else { Some("acme") });
        let mut racers = Vec::new();
        for _ in 0..8 {
            let (repo, subject) = (place.repo().await?, subject.clone());
            racers.push(async move {
                for _ in 0..8 {
                    loop {
                        let latest = repo.latest(&subject).await?;
                        let expected = latest.as_ref().map_or(0, |latest| latest.version.0);
                        let count = latest.map_or(0, |latest| latest.body.len());
                        let next = write(&subject, expected, &"x".repeat(count + 1));
                        match repo.append(vec![next], at(0)).await.into_result()? {
                            Compared::Written => break,
                            Compared::Conflict { current, .. } => assert!(current > Version(expected)),
                        }
                        tokio::task::yield_now().await;
                    }
                }
                Result::Ok(())
            });
        }
        race(racers).await?.into_iter().collect::<Result<Vec<()>>>()?;
        let repo = place.repo().await?;
        assert_eq!(standing(&repo, &subject).await?, Version(64));
        assert_eq!(body(&repo, &subject).await?.map(|body| body.len()), Some(64));
    }
    Ok(Verdict::Passed)
}

async fn crossing(place: Box<dyn Place>) -> Result<Verdict> {
    let names = ["a", "b", "c", "d"];
    for round in 0..10u64 {
        let mut racers = Vec::new();
        for racer in 0..RACERS {
            // Pairs in either order, each with its neighbour, so that locks taken in order of writes would jam.
            let (left, right) = (names[racer % 4], names[(racer + 1 + racer / 4 % 3) % 4]);
            let writes = vec![write(&history_subject(left), round, "x"), write(&history_subject(right), round, "x")];
            let repo = place.repo().await?;
            racers.push(async move {
                let found = repo.append(writes, at(0)).await.into_result()?;
                Ok((found == Compared::Written).then_some([left, right]))
            });
        }
        let found = race(racers).await?.into_iter().collect::<Result<Vec<_>>>()?;
        let mut written: Vec<&str> = found.into_iter().flatten().flatten().collect();
        written.sort_unstable();
        let repo = place.repo().await?;
        for name in names {
            let count = written.iter().filter(|written| **written == name).count() as u64;
            assert!(count <= 1, "{name} was written twice in one round");
            let subject = history_subject(name);
            assert_eq!(standing(&repo, &subject).await?, Version(round + count));
            if count == 0 {
                repo.append(vec![write(&subject, round, "x")], at(0)).await.into_result()?;
            }
        }
    }
    Ok(Verdict::Passed)
}

async fn two_handles(place: Box<dyn Place>) -> Result<Verdict> {
    let (writer, reader) = (place.repo().await?, place.repo().await?);
    for subject in [history_subject("a"), latest_subject("a")] {
        for round in 0..20 {
            writer.append(vec![write(&subject, round, &format!("{round}"))], at(0)).await.into_result()?;
            assert_eq!(body(&reader, &subject).await?, Some(Bytes::from(format!("{round}"))));
        }
    }
    Ok(Verdict::Passed)
}

async fn survives(mut place: Box<dyn Place>, how: Restart) -> Result<Verdict> {
    let repo = place.repo().await?;
    let durability = repo.capabilities().durability;
    let (a, b) = (history_subject("a"), latest_subject("b"));
    for round in 0..10 {
        let writes = vec![write(&a, round, &format!("a{round}")), write(&b, round, &format!("b{round}"))];
        repo.append(writes, at(round.cast_signed())).await.into_result()?;
    }
    let before = (repo.history(&a, Version(1), 100).await?, repo.latest(&b).await?);
    drop(repo);
    if let Some(verdict) = restart(&mut place, durability, how).await? {
        return Ok(verdict);
    }
    let repo = place.repo().await?;
    assert_eq!((repo.history(&a, Version(1), 100).await?, repo.latest(&b).await?), before);
    assert_eq!(repo.append(vec![write(&a, 10, "x")], at(0)).await.into_result()?, Compared::Written);
    Ok(Verdict::Passed)
}

async fn restarted(place: Box<dyn Place>) -> Result<Verdict> {
    survives(place, Restart::Clean).await
}

async fn crashed(place: Box<dyn Place>) -> Result<Verdict> {
    survives(place, Restart::Crash).await
}

async fn dropped(place: Box<dyn Place>) -> Result<Verdict> {
    let repo = place.repo().await?;
    let subjects = [history_subject("a"), latest_subject("b"), history_subject("c")];
    for poll in 0..CANCEL_POLLS_MAX {
        let stands = standing(&repo, &subjects[0]).await?.0;
        let writes = || subjects.iter().map(|subject| write(subject, stands, &format!("{poll}"))).collect();
        cancelled_at(poll, repo.append(writes(), at(0))).await;
        // Repeating it tells: written now, or a conflict with what the dropped one wrote.
        match repo.append(writes(), at(0)).await.into_result()? {
            Compared::Written => {}
            Compared::Conflict { current, .. } => assert_eq!(current, Version(stands + 1)),
        }
        for subject in &subjects {
            assert_eq!(standing(&repo, subject).await?, Version(stands + 1));
            assert_eq!(body(&repo, subject).await?, Some(Bytes::from(format!("{poll}"))));
        }
    }
    Ok(Verdict::Passed)
}
