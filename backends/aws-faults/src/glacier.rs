//! Objects in a class that has to be restored before it is read, which no emulator keeps.

use std::collections::BTreeMap;

use hyper::header::HeaderValue;

use crate::call::{Answer, Call, Service};

/// Where objects are that are not read at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cold {
    /// In S3 Glacier Flexible Retrieval: copies come back for some days.
    Glacier,
    /// In the archive access tier of S3 Intelligent-Tiering: they come back for good.
    IntelligentTiering,
}

/// Which objects are cold, and how far their restores are.
#[derive(Debug, Default)]
pub(crate) struct Glacier {
    /// What is cold: keys that have this in them, where they are, and after how many looks at it one is back.
    rules: Vec<(String, Cold, u32)>,
    /// By path, how many looks are left of those that were asked for.
    restores: BTreeMap<String, u32>,
}

impl Glacier {
    pub(crate) fn freeze(&mut self, part: &str, cold: Cold, looks: u32) {
        self.rules.push((part.to_owned(), cold, looks));
    }

    /// The copies that were restored go: their days are over.
    pub(crate) fn expire(&mut self) {
        self.restores.clear();
    }

    /// Where the object is that `call` is about, and after how many looks it is back; none where it is read at once.
    fn rule(&self, call: &Call) -> Option<(Cold, u32)> {
        let is_of_object = call.service == Service::S3 && call.is_of_data();
        let rule = self.rules.iter().find(|(part, ..)| is_of_object && call.path().contains(part))?;
        Some((rule.1, rule.2))
    }

    /// What S3 answers of itself; none where it carries the call out.
    pub(crate) fn answer(&mut self, call: &Call) -> Option<(&'static str, Answer)> {
        let (cold, looks) = self.rule(call)?;
        match (call.operation.as_str(), self.restores.get(call.path()).copied()) {
            ("POST", found) if call.query() == "restore" => Some(match found {
                _ if !is_understood(call, cold) => ("a restore was not understood", Answer::xml(400, "MalformedXML")),
                None => {
                    self.restores.insert(call.path().to_owned(), looks);
                    ("a restore was begun", Answer::empty(202))
                }
                Some(1..) => ("a restore was under way", Answer::xml(409, "RestoreAlreadyInProgress")),
                Some(0) => ("a restore was renewed", Answer::empty(200)),
            }),
            _ => None,
        }
    }

    /// Makes of the answer to a call that was carried out what it is for a cold object: where that is, or that it is not read.
    pub(crate) fn seen(&mut self, call: &Call, answer: Answer) -> Answer {
        match self.rule(call).filter(|_| answer.status.is_success()) {
            Some((cold, _)) if call.operation == "HEAD" => self.looked(call, cold, answer),
            Some(_) if call.operation == "GET" && self.restores.get(call.path()) != Some(&0) => {
                Answer::xml(403, "InvalidObjectState")
            }
            Some(_) | None => answer,
        }
    }

    fn looked(&mut self, call: &Call, cold: Cold, mut answer: Answer) -> Answer {
        let left = self.restores.get_mut(call.path()).map(|left| {
            *left = left.saturating_sub(1);
            *left
        });
        let (class, status) = match cold {
            Cold::Glacier => ("GLACIER", None),
            Cold::IntelligentTiering => ("INTELLIGENT_TIERING", Some("ARCHIVE_ACCESS").filter(|_| left != Some(0))),
        };
        let restore = match (left, cold) {
            (None, _) | (Some(0), Cold::IntelligentTiering) => None,
            (Some(0), Cold::Glacier) => {
                Some("ongoing-request=\"false\", expiry-date=\"Fri, 21 Dec 2212 00:00:00 GMT\"")
            }
            (Some(_), _) => Some("ongoing-request=\"true\""),
        };
        let said = [("x-amz-storage-class", Some(class)), ("x-amz-archive-status", status), ("x-amz-restore", restore)];
        for (name, value) in said.into_iter().filter_map(|(name, value)| Some((name, value?))) {
            answer.headers.insert(name, HeaderValue::from_static(value));
        }
        answer
    }
}

/// Whether a restore says for how many days where it must, and does not where it may not.
fn is_understood(call: &Call, cold: Cold) -> bool {
    let body = String::from_utf8_lossy(&call.body);
    body.contains("<RestoreRequest") && body.contains("<Days>") == (cold == Cold::Glacier)
}
