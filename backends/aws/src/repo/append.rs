//! Compare-and-append: one transaction of conditional writes, and what its refusal says.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::{
    CancellationReason, ConditionCheck, Put, ReturnValuesOnConditionCheckFailure as ReturnValues, TransactWriteItem,
};
use fineo_core::{
    Error, Outcome, Result, Timestamp,
    repo::{Compared, Keep, Version, Write},
};

use super::{
    DynamoRepo,
    item::{self, Body, Head, KEEP, OWNER, VERSION},
};
use crate::dynamo::{Refused, built, number, text};

/// What a refused transaction means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The write at `index` did not find what it expected.
    Stands { index: usize, current: Version },
    /// It was our own transaction that moved the subject on.
    Ours,
    /// The subject of the write at `index` keeps its versions otherwise.
    KeptOtherwise(usize),
}

/// What a write of the set is about, in the order of a transaction's items.
type Items = Vec<(Option<usize>, TransactWriteItem)>;

impl DynamoRepo {
    pub(super) async fn compare_and_append(&self, writes: &[Write], now: Timestamp) -> Outcome<Compared> {
        let nonce = self.table.nonce();
        let (mut heads, mut replaced) = (Vec::new(), Vec::new());
        for (index, write) in writes.iter().enumerate() {
            let Some(body) = &write.body else {
                heads.push(None);
                continue;
            };
            match self.place(format!("c:{nonce}:{index}"), body).await {
                Ok(body) => {
                    replaced.extend(self.replaced(write, &body).await);
                    heads.push(Some(head(write, &nonce, now, body)));
                }
                // Parts that no head names were not written, as far as anybody can see.
                Err(error) => return Outcome::NotDone(certainly(error)),
            }
        }
        let outcome = self.transact(writes, &heads, &nonce).await;
        let unused: Vec<&Body> = match &outcome {
            Outcome::Done(Compared::Written) => replaced.iter().collect(),
            Outcome::Done(Compared::Conflict { .. }) | Outcome::NotDone(_) => {
                heads.iter().flatten().map(|head| &head.body).collect()
            }
            Outcome::Unknown(_) => Vec::new(),
        };
        for body in unused {
            self.discard(body).await;
        }
        outcome
    }

    /// The body that a large one takes the place of. A small one's predecessor is small as a rule, and not looked for.
    async fn replaced(&self, write: &Write, body: &Body) -> Option<Body> {
        match (write.subject.keep(), body) {
            (Keep::History, _) | (Keep::Latest, Body::Inline { .. }) => None,
            (Keep::Latest, Body::Parts { .. }) => {
                let there = self.head(&write.subject).await.ok().flatten();
                there.filter(|there| there.version == write.expected).map(|there| there.body)
            }
        }
    }

    async fn transact(&self, writes: &[Write], heads: &[Option<Head>], nonce: &str) -> Outcome<Compared> {
        let (owners, items) = match self.items(writes, heads) {
            Ok(items) => items.into_iter().unzip::<_, _, Vec<_>, Vec<_>>(),
            Err(error) => return Outcome::NotDone(error),
        };
        let reasons = match self.table.transact(items, nonce).await {
            Ok(()) => {
                self.listed(writes);
                return Outcome::Done(Compared::Written);
            }
            Err(Refused::Failed(error)) => return self.resolve(writes, nonce, error).await,
            Err(Refused::Reasons(reasons)) => reasons,
        };
        match refusal(writes, &owners, &reasons, nonce) {
            Some(Refusal::Ours) => Outcome::Done(Compared::Written),
            Some(Refusal::Stands { index, current }) => {
                let subject = writes[index].subject.clone();
                Outcome::Done(Compared::Conflict { subject, current })
            }
            Some(Refusal::KeptOtherwise(index)) => {
                let error = Error::invalid("the subject keeps its versions otherwise");
                Outcome::NotDone(error.with("subject", &writes[index].subject))
            }
            None => Outcome::NotDone(refused(&reasons)),
        }
    }

    /// The items of the transaction, each with the write that it decides about.
    fn items(&self, writes: &[Write], heads: &[Option<Head>]) -> Result<Items> {
        let mut items = Vec::new();
        let mut tenants = BTreeSet::new();
        for (index, (write, head)) in writes.iter().zip(heads).enumerate() {
            let Some(head) = head else {
                items.push((Some(index), self.check_item(write)?));
                continue;
            };
            items.push((Some(index), self.head_item(write, head)?));
            if write.subject.keep() == Keep::History {
                let key = item::version_key(&write.subject, head.version);
                items.push((None, self.plain_item(head.item(key))?));
            }
            let owner = write.subject.owner().filter(|owner| !self.is_listed(owner));
            tenants.extend(owner.filter(|_| write.expected == Version::NONE));
        }
        for tenant in tenants {
            items.push((None, self.plain_item(item::tenant_item(tenant))?));
        }
        Ok(items)
    }

    fn plain_item(&self, item: crate::dynamo::Item) -> Result<TransactWriteItem> {
        let put = Put::builder().table_name(&self.table.name).set_item(Some(item)).build().map_err(built)?;
        Ok(TransactWriteItem::builder().put(put).build())
    }

    fn head_item(&self, write: &Write, head: &Head) -> Result<TransactWriteItem> {
        let mut put = Put::builder()
            .table_name(&self.table.name)
            .set_item(Some(head.item(item::head_key(&write.subject))))
            .condition_expression(condition(write))
            .return_values_on_condition_check_failure(ReturnValues::AllOld);
        if write.expected == Version::NONE {
            put = put.expression_attribute_names("#owner", OWNER);
        } else {
            put = put
                .expression_attribute_names("#version", VERSION)
                .expression_attribute_names("#keep", KEEP)
                .expression_attribute_values(":expected", number(write.expected))
                .expression_attribute_values(":keep", text(item::keep_text(write.subject.keep())));
        }
        Ok(TransactWriteItem::builder().put(put.build().map_err(built)?).build())
    }

    fn check_item(&self, write: &Write) -> Result<TransactWriteItem> {
        let mut check = ConditionCheck::builder()
            .table_name(&self.table.name)
            .set_key(Some(item::head_key(&write.subject)))
            .condition_expression(condition(write))
            .return_values_on_condition_check_failure(ReturnValues::AllOld);
        if write.expected == Version::NONE {
            check = check.expression_attribute_names("#owner", OWNER);
        } else {
            check = check
                .expression_attribute_names("#version", VERSION)
                .expression_attribute_names("#keep", KEEP)
                .expression_attribute_values(":expected", number(write.expected))
                .expression_attribute_values(":keep", text(item::keep_text(write.subject.keep())));
        }
        Ok(TransactWriteItem::builder().condition_check(check.build().map_err(built)?).build())
    }

    /// Finds out whether a transaction without an answer was made (N11).
    async fn resolve(&self, writes: &[Write], nonce: &str, error: Error) -> Outcome<Compared> {
        if !error.may_have_applied() {
            return Outcome::NotDone(error);
        }
        let Some(write) = writes.iter().find(|write| write.body.is_some()) else { return Outcome::Unknown(error) };
        let found = match write.subject.keep() {
            Keep::Latest => self.table.item(item::head_key(&write.subject)).await,
            Keep::History => {
                let version = Version(write.expected.0.saturating_add(1));
                self.table.item(item::version_key(&write.subject, version)).await
            }
        };
        match found.and_then(|found| found.map(|found| Head::read(&found)).transpose()) {
            Ok(Some(head)) if head.nonce == nonce => {
                self.listed(writes);
                Outcome::Done(Compared::Written)
            }
            // Another's version stands where ours would: ours was not made and never will be.
            Ok(Some(_)) if write.subject.keep() == Keep::History => Outcome::NotDone(certainly(error)),
            Ok(Some(_) | None) | Err(_) => Outcome::Unknown(error),
        }
    }
}

fn head(write: &Write, nonce: &str, now: Timestamp, body: Body) -> Head {
    // The last number there is cannot be expected to stand: the condition fails before this is read.
    let version = Version(write.expected.0.saturating_add(1));
    Head { version, keep: write.subject.keep(), nonce: nonce.to_owned(), written_at: now, body }
}

fn condition(write: &Write) -> &'static str {
    if write.expected == Version::NONE {
        "attribute_not_exists(#owner)"
    } else {
        "#version = :expected AND #keep = :keep"
    }
}

/// The error of a call that certainly had no effect that anybody sees.
fn certainly(error: Error) -> Error {
    let mut certain = Error::new(error.kind(), error.message());
    for (name, value) in error.context() {
        certain = certain.with(name, value);
    }
    certain.with_source(error)
}

/// What DynamoDB refuses in items that no condition was about.
fn refused(reasons: &[CancellationReason]) -> Error {
    let said = reasons.iter().find_map(CancellationReason::message).unwrap_or_default();
    Error::invalid("DynamoDB refused the write").with("said", said)
}

/// What the reasons of a cancelled transaction mean for the set of writes; none when they are no verdict on it.
pub(super) fn refusal(
    writes: &[Write],
    owners: &[Option<usize>],
    reasons: &[CancellationReason],
    nonce: &str,
) -> Option<Refusal> {
    let failed = |reason: &CancellationReason| reason.code() == Some("ConditionalCheckFailed");
    let mut reasons = owners.iter().zip(reasons).filter(|(_, reason)| failed(reason));
    let (index, reason) = reasons.find_map(|(owner, reason)| owner.map(|index| (index, reason)))?;
    let there = reason.item().and_then(|item| Head::read(item).ok());
    Some(match there {
        Some(there) if there.keep != writes[index].subject.keep() => Refusal::KeptOtherwise(index),
        Some(there) if there.nonce == nonce => Refusal::Ours,
        Some(there) => Refusal::Stands { index, current: there.version },
        None => Refusal::Stands { index, current: Version::NONE },
    })
}
