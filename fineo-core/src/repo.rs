//! The contract of a schema repository: subjects with versions and one compare-and-append over several.

use std::{
    collections::BTreeSet,
    fmt::{self, Debug, Display},
    sync::Arc,
};

use async_trait::async_trait;
use bytes::Bytes;

use crate::{Durability, Error, Outcome, Result, TenantId, Timestamp};

/// What a subject keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Keep {
    /// Every version, for ever.
    History,
    /// The last version; its number still grows by one each time.
    Latest,
}

/// A thing that has versions: a tenant's schema, a metric's schema, a checkpoint, a lease.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject {
    tenant: Option<TenantId>,
    name: Arc<str>,
    keep: Keep,
}

impl Subject {
    /// The most bytes of a name.
    pub const NAME_BYTES_MAX: usize = 400;

    /// A subject of `tenant`.
    ///
    /// # Errors
    ///
    /// `Invalid` when `name` is empty, longer than [`Subject::NAME_BYTES_MAX`] or has other characters than
    /// `A-Za-z0-9._/-`.
    pub fn tenant(tenant: &TenantId, name: &str, keep: Keep) -> Result<Self> {
        Self::checked(Some(tenant.clone()), name, keep)
    }

    /// A subject that belongs to no tenant: checkpoints, leases, the schemas of schemas.
    ///
    /// # Errors
    ///
    /// As [`Subject::tenant`].
    pub fn system(name: &str, keep: Keep) -> Result<Self> {
        Self::checked(None, name, keep)
    }

    fn checked(tenant: Option<TenantId>, name: &str, keep: Keep) -> Result<Self> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'/' | b'-');
        if !(1..=Self::NAME_BYTES_MAX).contains(&name.len()) || !name.bytes().all(legal) {
            return Err(Error::invalid("not the name of a subject").with("name", name));
        }
        Ok(Self { tenant, name: name.into(), keep })
    }

    /// Whose subject it is; none for the system's own.
    pub fn owner(&self) -> Option<&TenantId> {
        self.tenant.as_ref()
    }

    /// Its name among its owner's subjects.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it keeps.
    pub fn keep(&self) -> Keep {
        self.keep
    }
}

impl Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.tenant {
            Some(tenant) => write!(f, "{tenant}:{}", self.name),
            None => write!(f, ":{}", self.name),
        }
    }
}

/// The number of a version: the first is 1. 0 stands for "none yet".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Version(pub u64);

impl Version {
    /// No version yet.
    pub const NONE: Self = Self(0);

    /// The version after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(&self.0, f)
    }
}

/// One version of a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned {
    /// Its number.
    pub version: Version,
    /// When it was written, by the clock of the writer.
    pub written_at: Timestamp,
    /// What was written.
    pub body: Bytes,
}

/// One part of a compare-and-append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// The subject to write to.
    pub subject: Subject,
    /// The version that must be its latest; [`Version::NONE`] for a new subject.
    pub expected: Version,
    /// The body of the next version; none only checks `expected`.
    pub body: Option<Bytes>,
}

/// What a compare-and-append found. Losing a race is an answer, not an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compared {
    /// Every write was made; each subject stands at `expected + 1`.
    Written,
    /// None was made, because `subject` stands at `current`.
    Conflict {
        /// The first subject, in order of the writes, that did not stand as expected.
        subject: Subject,
        /// Where it stands.
        current: Version,
    },
}

/// Limits and powers of a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RepoCapabilities {
    /// What a done append survives.
    pub durability: Durability,
    /// The largest body in bytes.
    pub body_bytes_max: usize,
    /// The most writes of one append.
    pub writes_max: usize,
}

impl RepoCapabilities {
    /// Checks that `writes` can be one append, before anything is looked up.
    ///
    /// # Errors
    ///
    /// `Invalid` for too many writes, a subject that occurs twice, or a body that is too large.
    pub fn check(&self, writes: &[Write]) -> Result<()> {
        if writes.len() > self.writes_max {
            let error = Error::invalid("too many writes at once").with("writes", writes.len());
            return Err(error.with("writes_max", self.writes_max));
        }
        let mut seen = BTreeSet::new();
        for Write { subject, body, .. } in writes {
            if !seen.insert((subject.owner(), subject.name())) {
                return Err(Error::invalid("a subject occurs twice in one append").with("subject", subject));
            }
            let bytes = body.as_ref().map_or(0, Bytes::len);
            if bytes > self.body_bytes_max {
                let error = Error::invalid("the body is too large").with("subject", subject).with("bytes", bytes);
                return Err(error.with("bytes_max", self.body_bytes_max));
            }
        }
        Ok(())
    }
}

/// Subjects with append-only versions.
///
/// # Guarantees
///
/// 1. **Compare.** [`append`](Self::append) makes all writes when every subject stands at the expected
///    version, else none; nor does it when they cannot be one append (see [`RepoCapabilities::check`]).
/// 2. **Atomicity.** No reader sees some writes of an append and not the others, after a crash neither.
/// 3. **Linearizability.** A read that begins after an append was done sees it; of two appends that expect
///    the same version of one subject at most one is written.
/// 4. **History.** Versions of a [`Keep::History`] subject are numbered 1, 2, 3… without gaps and never
///    change; any of them can be read.
/// 5. **Latest.** A [`Keep::Latest`] subject keeps its last version, and its number grows by one each time.
/// 6. **Durability.** A done append survives the faults of [`RepoCapabilities::durability`].
/// 7. **Fidelity.** A body is read as it was written, or as
///    [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt).
/// 8. **Separation.** A subject of one tenant is never read through another's, whatever the names.
/// 9. **Unknown.** An append whose outcome is unknown was made whole or not at all.
/// 10. **Listing.** [`subjects`](Self::subjects) names every subject of the owner that begins with the
///     prefix, in order of names.
#[async_trait]
pub trait SchemaRepo: Debug + Display + Send + Sync + 'static {
    /// Limits and powers.
    fn capabilities(&self) -> RepoCapabilities;

    /// The latest version of `subject`; none when it has none.
    ///
    /// # Errors
    ///
    /// `Corrupt`, or a failure of the backend.
    async fn latest(&self, subject: &Subject) -> Result<Option<Versioned>>;

    /// The versions of `subject` from `first` on, oldest first, at most `count_max` of them. A
    /// [`Keep::Latest`] subject has one at most.
    ///
    /// # Errors
    ///
    /// `Corrupt`, or a failure of the backend.
    async fn history(&self, subject: &Subject, first: Version, count_max: usize) -> Result<Vec<Versioned>>;

    /// Makes all `writes`, as written at `now`, or none. Each subject occurs once.
    async fn append(&self, writes: Vec<Write>, now: Timestamp) -> Outcome<Compared>;

    /// The names of `owner`'s subjects that begin with `prefix`.
    ///
    /// # Errors
    ///
    /// A failure of the backend.
    async fn subjects(&self, owner: Option<&TenantId>, prefix: &str) -> Result<Vec<Subject>>;

    /// The tenants that have subjects, in order.
    ///
    /// # Errors
    ///
    /// A failure of the backend.
    async fn tenants(&self) -> Result<Vec<TenantId>>;
}
