//! Who asks: a tenant as a whole, or in a role.

use std::{fmt, sync::Arc, time::Duration};

use fineo_core::{Clock, Error, Result, TenantId};
use fineo_schema::{SchemaStore, TenantSchema};
use futures::future::BoxFuture;

/// How long a schema, and a grant in it, may still count in a process that did not change it itself.
pub(crate) const SCHEMA_AGE_MAX: Duration = Duration::from_secs(10);

/// Who asks. What is kept for one reader is of no use to another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Reader {
    pub(crate) tenant: TenantId,
    /// None may see everything that the tenant has.
    pub(crate) role: Option<Arc<str>>,
}

impl Reader {
    /// What of `whole`, the tenant's schema, the reader may see.
    pub(crate) fn seen(&self, whole: Arc<TenantSchema>) -> Result<Arc<TenantSchema>> {
        match &self.role {
            Some(role) => whole.seen_in(role),
            None => Ok(whole),
        }
    }
}

/// What the reader of a query was granted when it was planned, to be looked at again as its rows come.
#[derive(Clone)]
pub(crate) struct Granted {
    reader: Reader,
    whole: Arc<TenantSchema>,
    schemas: SchemaStore,
}

impl Granted {
    /// What `whole` grants to `reader`; nothing to look at for one who may see everything.
    pub(crate) fn by(whole: &Arc<TenantSchema>, reader: &Reader, schemas: &SchemaStore) -> Option<Self> {
        let granted = || Self { reader: reader.clone(), whole: Arc::clone(whole), schemas: schemas.clone() };
        reader.role.is_some().then(granted)
    }

    /// Completes when the schema was read again, once it is as old as a grant may be.
    pub(crate) fn renewed(&self, clock: &Arc<dyn Clock>) -> BoxFuture<'static, ()> {
        let (clock, schemas, tenant) = (Arc::clone(clock), self.schemas.clone(), self.reader.tenant.clone());
        Box::pin(async move {
            clock.sleep(SCHEMA_AGE_MAX).await;
            if let Err(error) = schemas.refresh(&tenant).await {
                tracing::warn!(%tenant, %error, "whether grants were taken back cannot be told now");
            }
        })
    }

    /// Refuses to go on when something of it was taken back since, as far as this process knows.
    ///
    /// # Errors
    ///
    /// `Invalid` with the code `permission_revoked`.
    pub(crate) fn check(&self) -> Result<()> {
        let Some(role) = &self.reader.role else { return Ok(()) };
        let Some(now) = self.schemas.cached(&self.reader.tenant) else { return Ok(()) };
        let is_granted = now.version() == self.whole.version()
            || now.role(role).zip(self.whole.role(role)).is_some_and(|(now, then)| now.covers(then));
        if is_granted {
            return Ok(());
        }
        Err(Error::invalid("what the role may read was taken back while the query ran")
            .with("code", "permission_revoked")
            .with("role", role))
    }
}

impl fmt::Debug for Granted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Granted({:?})", self.reader)
    }
}
