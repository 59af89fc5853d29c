//! A transaction that is made once, however often it has to be sent.

use aws_sdk_dynamodb::{
    operation::transact_write_items::TransactWriteItemsError,
    types::{CancellationReason, TransactWriteItem},
};
use fineo_core::{Error, ErrorKind};

use super::Table;
use crate::failure;

/// Why a transaction was not made, or may not have been.
#[derive(Debug)]
pub(crate) enum Refused {
    /// It was not made and never will be: a reason for each of its items.
    Reasons(Vec<CancellationReason>),
    /// Something else went wrong. Whether it was made after all, the error says.
    Failed(Error),
}

impl Table {
    /// Makes a transaction. What fails in passing is sent again under the same token, by which DynamoDB tells a
    /// repetition for ten minutes, longer than all tries take: after a lost reply it answers that all is written, where
    /// a new token would meet its own writes and take them for another's. The SDK repeats nothing here, for of several
    /// tries it tells the last failure alone.
    ///
    /// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html>
    pub(crate) async fn transact(&self, items: Vec<TransactWriteItem>, token: &str) -> Result<(), Refused> {
        let call = self.once.transact_write_items().client_request_token(token).set_transact_items(Some(items));
        let mut backoff = self.backoff();
        let mut is_doubtful = false;
        loop {
            let Err(failed) = call.clone().send().await else { return Ok(()) };
            let (error, is_passing) = match failed.as_service_error() {
                Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                    let reasons = cancelled.cancellation_reasons();
                    if !reasons.iter().all(is_passing) {
                        return Err(Refused::Reasons(reasons.to_vec()));
                    }
                    (Error::unavailable("other transactions hold the same items"), true)
                }
                _ => {
                    let error = failure::dynamodb(failed);
                    let is_passing = error.may_have_applied() || error.kind() == ErrorKind::Throttled;
                    (error, is_passing)
                }
            };
            is_doubtful |= error.may_have_applied();
            if !is_passing || !backoff.wait().await {
                let error = error.with("table", &self.name);
                return Err(Refused::Failed(if is_doubtful { error.and_may_have_applied() } else { error }));
            }
        }
    }
}

/// Whether the reason for one item is none, or one that goes by.
fn is_passing(reason: &CancellationReason) -> bool {
    let code = reason.code().unwrap_or("None");
    matches!(code, "None" | "TransactionConflict" | "ThrottlingError" | "ProvisionedThroughputExceeded")
}
