//! A defect of ours that breaks off what is tried again and again fails it as a store does, and takes nobody else along.

use std::{any::Any, panic::AssertUnwindSafe};

use fineo_core::{Error, Result};
use futures::FutureExt;

/// Does `work`; where it panics, that is its error. What it held is gone with it: it is to be begun anew.
pub(crate) async fn caught<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|panic| Err(broken_off(panic.as_ref())))
}

/// The error that a panic is.
fn broken_off(panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or_default();
    Error::internal("the work broke off by a defect").with("detail", text)
}
