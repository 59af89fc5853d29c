//! A tenant's name, checked once.

use std::{fmt, str::FromStr, sync::Arc};

use crate::{Error, Result};

/// A customer; everything stored belongs to exactly one.
///
/// 1–128 characters of `A-Za-z0-9._-`, not beginning with `_` or `.`, case-sensitive. Cloning is cheap.
#[expect(clippy::derived_hash_with_manual_eq, reason = "equal is equal by text, only found out sooner")]
#[derive(Clone, Eq, PartialOrd, Ord, Hash)]
pub struct TenantId(Arc<str>);

impl PartialEq for TenantId {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        // Most are clones of one another, on paths where a comparison of texts would cost as much as the rest.
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl TenantId {
    /// The most characters that an id may have.
    pub const LEN_MAX: usize = 128;

    /// Checks `text`.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Invalid`] when it is not a tenant id.
    pub fn new(text: &str) -> Result<Self> {
        if !is_tenant_id(text) {
            let shown: String = text.chars().take(40).collect();
            return Err(Error::invalid(
                "not a tenant id: it has 1-128 characters of A-Z a-z 0-9 . _ - and begins with neither _ nor .",
            )
            .with("tenant", shown));
        }
        Ok(Self(text.into()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_tenant_id(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=TenantId::LEN_MAX).contains(&text.len()) && !text.starts_with(['_', '.']) && text.bytes().all(legal)
}

impl FromStr for TenantId {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        Self::new(text)
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TenantId({})", self.0)
    }
}

#[cfg(test)]
mod tests;
