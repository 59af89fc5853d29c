//! The roles of a tenant's document.

use std::collections::BTreeMap;

use fineo_core::{MetricId, Result};
use serde::{Deserialize, Serialize};

use super::{broken, number_of};
use crate::{
    FieldId,
    document::{GrantDocument, Name, RoleDocument},
};

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename = "Role", rename_all = "camelCase")]
pub(super) struct RoleWire {
    name: Name,
    is_for_all: bool,
    is_for_errors: bool,
    metrics: Vec<GrantWire>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename = "Grant", rename_all = "camelCase")]
struct GrantWire {
    metric: String,
    is_for_all: bool,
    fields: Vec<String>,
}

impl RoleWire {
    pub(super) fn of(name: &Name, role: &RoleDocument) -> Self {
        let grant = |(number, grant): (&u64, &GrantDocument)| GrantWire {
            metric: MetricId::numbered(*number).to_string(),
            is_for_all: grant.is_for_all,
            fields: grant.fields.iter().map(|field| FieldId(*field).to_string()).collect(),
        };
        Self {
            name: Name::clone(name),
            is_for_all: role.is_for_all,
            is_for_errors: role.is_for_errors,
            metrics: role.metrics.iter().map(grant).collect(),
        }
    }

    pub(super) fn into_document(self) -> Result<(Name, RoleDocument)> {
        let metrics: Result<BTreeMap<u64, GrantDocument>> =
            self.metrics.into_iter().map(GrantWire::into_entry).collect();
        let Self { name, is_for_all, is_for_errors, .. } = self;
        Ok((name, RoleDocument { is_for_all, is_for_errors, metrics: metrics? }))
    }
}

impl GrantWire {
    fn into_entry(self) -> Result<(u64, GrantDocument)> {
        let fields: Result<_> = self.fields.iter().map(|id| Ok(id.parse::<FieldId>().map_err(broken)?.0)).collect();
        Ok((number_of(&self.metric)?, GrantDocument { is_for_all: self.is_for_all, fields: fields? }))
    }
}
