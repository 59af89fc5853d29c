//! The suite names every guarantee and catches backends that break one.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use fineo_backend_memory::{MemoryArchive, MemoryNearline, MemoryRepo, MemoryStream};
use fineo_core::{Archive, Error, ErrorKind, NearlineStore, Result, SchemaRepo, ShardId, Stream};

use super::run;
use crate::{
    Backend, Contract, Place, Restart, Verdict, all,
    fault::{
        Fault, FaultPlan, Faults, FaultyArchive, FaultyNearline, FaultyRepo, FaultyStream, LateArchive, Operation, When,
    },
    parity_list,
};

/// The memory backend with something wrong about it, without a nearline store when `lacks_nearline`, and with an archive that
/// may list late when `is_late`.
#[derive(Clone)]
struct Liar {
    plan: FaultPlan,
    lacks_nearline: bool,
    is_late: bool,
    stream: MemoryStream,
    archive: MemoryArchive,
    nearline: MemoryNearline,
    repo: MemoryRepo,
}

impl Liar {
    fn new(plan: FaultPlan) -> Self {
        Self {
            plan,
            lacks_nearline: false,
            is_late: false,
            stream: MemoryStream::new("liar", 1),
            archive: MemoryArchive::new(),
            nearline: MemoryNearline::new(),
            repo: MemoryRepo::new(),
        }
    }

    fn faults(&self) -> Faults {
        Faults::new(self.plan.clone())
    }
}

#[async_trait]
impl Backend for Liar {
    fn name(&self) -> String {
        "liar".to_owned()
    }

    async fn fresh(&self) -> Result<Box<dyn Place>> {
        let fresh = Self::new(self.plan.clone());
        Ok(Box::new(Self { lacks_nearline: self.lacks_nearline, is_late: self.is_late, ..fresh }))
    }
}

#[async_trait]
impl Place for Liar {
    async fn stream(&self) -> Result<Arc<dyn Stream>> {
        Ok(Arc::new(FaultyStream::new(Arc::new(self.stream.clone()), &self.faults())))
    }

    async fn archive(&self) -> Result<Arc<dyn Archive>> {
        let archive = Arc::new(FaultyArchive::new(Arc::new(self.archive.clone()), &self.faults()));
        if self.is_late {
            return Ok(Arc::new(LateArchive::prompt(archive, Duration::from_secs(900))));
        }
        Ok(archive)
    }

    async fn nearline(&self) -> Result<Arc<dyn NearlineStore>> {
        if self.lacks_nearline {
            return Err(Error::new(ErrorKind::Unsupported, "no nearline store"));
        }
        Ok(Arc::new(FaultyNearline::new(Arc::new(self.nearline.clone()), &self.faults())))
    }

    async fn repo(&self) -> Result<Arc<dyn SchemaRepo>> {
        Ok(Arc::new(FaultyRepo::new(Arc::new(self.repo.clone()), &self.faults())))
    }

    async fn restart(&mut self, _: Restart) -> Result<bool> {
        Ok(false)
    }

    async fn split_shard(&self, _: &ShardId) -> Result<bool> {
        Ok(false)
    }
}

#[test]
fn every_guarantee_has_a_case_and_every_case_a_sentence_of_its_own() {
    let cases = all();
    for (contract, last) in
        [(Contract::Stream, 12), (Contract::Archive, 8), (Contract::Nearline, 13), (Contract::Repo, 10)]
    {
        for guarantee in 0..=last {
            let is_its = |case: &&crate::Case| case.contract == contract && case.guarantee == guarantee;
            assert!(cases.iter().any(|case| is_its(&case)), "{contract} {guarantee} has no case");
        }
    }
    let names: BTreeSet<String> = cases.iter().map(ToString::to_string).collect();
    assert_eq!(names.len(), cases.len());
    assert_eq!(parity_list().lines().count(), cases.len() + 2);
}

#[test]
fn a_backend_that_breaks_a_guarantee_fails_a_case_of_it() {
    let lies = [
        (Contract::Stream, 1, Operation::StreamAppend, Fault::Partial { mask: 2, is_applied: false }),
        (Contract::Stream, 4, Operation::StreamSync, Fault::FailBefore),
        (Contract::Stream, 8, Operation::StreamTail, Fault::Stale),
        (Contract::Archive, 6, Operation::ArchiveSegments, Fault::Stale),
        (Contract::Archive, 5, Operation::ArchiveRead, Fault::FailAfter),
        (Contract::Nearline, 3, Operation::NearlineScan, Fault::Stale),
        (Contract::Nearline, 11, Operation::NearlineWrite, Fault::Partial { mask: 1, is_applied: true }),
        (Contract::Repo, 3, Operation::RepoLatest, Fault::Stale),
        (Contract::Repo, 10, Operation::RepoSubjects, Fault::Stale),
    ];
    for (contract, guarantee, operation, fault) in lies {
        let plan = FaultPlan::new(1).with_rule(operation, When::Always, fault);
        let liar: Arc<dyn Backend> = Arc::new(Liar::new(plan.clone()));
        // A counting loop over stale reads would turn for ever.
        let its = all().into_iter().filter(|case| {
            case.contract == contract && case.guarantee == guarantee && !case.name.starts_with("counting")
        });
        let is_caught = its.map(|case| run(case, Arc::clone(&liar))).any(|verdict| verdict.is_err());
        assert!(is_caught, "{contract} {guarantee}: {plan}");
    }
}

#[test]
fn a_contract_that_a_backend_lacks_is_ignored_with_the_reason() {
    let lacking: Arc<dyn Backend> = Arc::new(Liar { lacks_nearline: true, ..Liar::new(FaultPlan::new(1)) });
    for case in crate::nearline() {
        assert_eq!(run(case, Arc::clone(&lacking)), Ok(Verdict::ignored("no nearline store")), "{case}");
    }
}

#[test]
fn an_archive_that_may_list_late_passes_every_case_and_one_that_breaks_a_guarantee_does_not() {
    let late: Arc<dyn Backend> = Arc::new(Liar { is_late: true, ..Liar::new(FaultPlan::new(1)) });
    for case in crate::archive() {
        assert!(run(case, Arc::clone(&late)).is_ok(), "{case}");
    }
    let plan = FaultPlan::new(1).with_rule(Operation::ArchiveSegments, When::Always, Fault::Stale);
    let liar: Arc<dyn Backend> = Arc::new(Liar { is_late: true, ..Liar::new(plan) });
    let mut its = crate::archive().into_iter().filter(|case| case.guarantee == 6);
    assert!(its.any(|case| run(case, Arc::clone(&liar)).is_err()));
}
