//! Roles: what a reader may see, bound to canonical ids, whatever names they bear.

use std::sync::{Arc, OnceLock};

use fineo_core::{MetricId, Result};

use crate::{
    FieldId, TenantSchema,
    document::{GrantDocument, MetricDocument, RoleDocument},
};

/// What stands for every metric, or for every field.
pub(crate) const EVERY: &str = "*";
/// The table of error rows, as a grant names it.
pub(crate) const ERRORS: &str = "errors.stream";

/// What a role may read of a metric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grant {
    /// Every field, undeclared ones and those too that come later.
    Every,
    /// These fields.
    Fields(Vec<FieldId>),
}

/// What a reader may see who comes in this role.
#[derive(Debug)]
pub struct Role {
    name: Arc<str>,
    document: RoleDocument,
    view: OnceLock<Arc<TenantSchema>>,
}

impl Role {
    pub(crate) fn new(name: &Arc<str>, document: &RoleDocument) -> Self {
        Self { name: Arc::clone(name), document: document.clone(), view: OnceLock::new() }
    }

    /// Its name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Whether it may read every metric, those too that come later.
    pub fn is_for_all(&self) -> bool {
        self.document.is_for_all
    }

    /// Whether it may read `errors.stream`.
    pub fn is_for_errors(&self) -> bool {
        self.document.is_for_errors
    }

    /// What it may read of metrics by name; some of them may be gone by now.
    pub fn grants(&self) -> impl Iterator<Item = (MetricId, Grant)> {
        self.document.metrics.iter().map(|(number, grant)| {
            let fields = || Grant::Fields(grant.fields.iter().copied().map(FieldId).collect());
            (MetricId::numbered(*number), if grant.is_for_all { Grant::Every } else { fields() })
        })
    }

    /// Whether everything that `other` may read may be read in this role.
    pub fn covers(&self, other: &Self) -> bool {
        let (own, other) = (&self.document, &other.document);
        let covers = |(number, wanted): (&u64, &GrantDocument)| {
            own.metrics
                .get(number)
                .is_some_and(|grant| grant.is_for_all || !wanted.is_for_all && grant.fields.is_superset(&wanted.fields))
        };
        (own.is_for_errors || !other.is_for_errors)
            && (own.is_for_all || !other.is_for_all && other.metrics.iter().all(covers))
    }

    /// What it sees of the schema that it stands in; `make` makes that at the first call.
    pub(crate) fn view(&self, make: impl FnOnce(&RoleDocument) -> Result<TenantSchema>) -> Result<Arc<TenantSchema>> {
        match self.view.get() {
            Some(view) => Ok(Arc::clone(view)),
            None => {
                let made = Arc::new(make(&self.document)?);
                Ok(Arc::clone(self.view.get_or_init(|| made)))
            }
        }
    }
}

/// A metric's document as far as it may be read.
pub(crate) struct Readable {
    pub(crate) document: Arc<MetricDocument>,
    /// Whether undeclared names may not.
    pub(crate) is_closed: bool,
}

/// What may be read of a metric; nothing where that tells not even that it is there.
pub(crate) fn readable(role: Option<&RoleDocument>, metric: u64, document: Arc<MetricDocument>) -> Option<Readable> {
    let Some(role) = role.filter(|role| !role.is_for_all) else { return Some(Readable { document, is_closed: false }) };
    let grant = role.metrics.get(&metric)?;
    if grant.is_for_all {
        return Some(Readable { document, is_closed: false });
    }
    let mut granted = MetricDocument::clone(&document);
    granted.fields.retain(|number, _| grant.fields.contains(number));
    granted.ruled_out.clear();
    (!granted.fields.is_empty()).then(|| Readable { document: Arc::new(granted), is_closed: true })
}
