//! Steps about roles: what each may read, by canonical ids.

use fineo_core::{Error, ErrorKind, Result};

use super::{Edit, not_found, too_many};
use crate::{
    document::{GrantDocument, Name, RoleDocument, State},
    name,
    role::{ERRORS, EVERY},
};

/// The most roles of a tenant.
const ROLES_MAX: usize = 1_000;
/// The most fields that a role may read by name, give or take the last grant.
const GRANTS_MAX: usize = 10_000;

impl Edit {
    pub(super) fn create_role(&mut self, role: &str) -> Result<()> {
        name::check_role(role)?;
        let roles = &mut self.state.tenant.roles;
        if roles.contains_key(role) {
            return Err(Error::new(ErrorKind::AlreadyExists, "the role exists already").with("role", role));
        }
        if roles.len() >= ROLES_MAX {
            return Err(too_many("roles", ROLES_MAX));
        }
        roles.insert(role.into(), RoleDocument::default());
        self.note(format!("create role {role}, which may read nothing yet"))
    }

    pub(super) fn delete_role(&mut self, role: &str) -> Result<()> {
        self.role(role)?;
        self.state.tenant.roles.remove(role);
        self.note(format!("delete role {role}: who comes in it may read nothing"))
    }

    pub(super) fn grant_read(
        &mut self,
        role: &str,
        metric: &str,
        fields: &[String],
        later: Option<bool>,
    ) -> Result<()> {
        self.role(role)?;
        if metric == ERRORS {
            return self.grant_errors(role, fields);
        }
        let is_every = is_every(fields)?;
        if metric == EVERY {
            return match is_every || fields.is_empty() {
                true => self.grant_every_metric(role, chosen(later)?),
                false => Err(Error::invalid("of every metric, only every field can be granted").with("role", role)),
            };
        }
        let number = self.metric_number(metric)?;
        if fields.is_empty() {
            return Err(Error::invalid("say which fields may be read: their names, or *").with("metric", metric));
        }
        if !is_every {
            if later.is_some() {
                return Err(Error::invalid("only a grant of * can be for what comes later"));
            }
            return fields.iter().try_for_each(|field| self.grant_field(role, metric, field));
        }
        if !chosen(later)? {
            return self.grant_declared(role, number);
        }
        self.grant(role, number)?.is_for_all = true;
        let display = self.display(number);
        self.note(format!(
            "role {role}: may read every field of {display}, undeclared ones and those too that come later"
        ))
    }

    fn grant_every_metric(&mut self, role: &str, is_for_later: bool) -> Result<()> {
        if is_for_later {
            self.role(role)?.is_for_all = true;
            return self.note(format!("role {role}: may read every metric, those too that come later"));
        }
        let entries = self.state.tenant.metrics.iter();
        let live: Vec<u64> = entries.filter(|(_, entry)| entry.is_live()).map(|(number, _)| *number).collect();
        live.into_iter().try_for_each(|number| self.grant_declared(role, number))
    }

    pub(super) fn revoke_read(&mut self, role: &str, metric: &str, fields: &[String]) -> Result<()> {
        let document = self.role(role)?;
        if metric == ERRORS {
            if !std::mem::take(&mut document.is_for_errors) {
                return Err(no_grant(role, ERRORS));
            }
            return self.note(format!("role {role}: may not read {ERRORS} any more"));
        }
        let is_every = fields.is_empty() || is_every(fields)?;
        if metric == EVERY && is_every {
            document.is_for_all = false;
            document.metrics.clear();
            return self.note(format!("role {role}: may read no metric any more"));
        }
        if document.is_for_all {
            return Err(Error::invalid(
                "the role may read every metric, those too that come later: revoke * and grant the metrics that stay",
            )
            .with("role", role));
        }
        let number = self.metric_number(metric)?;
        if is_every {
            return match self.role(role)?.metrics.remove(&number) {
                Some(_) => self.note(format!("role {role}: may read nothing of {metric} any more")),
                None => Err(no_grant(role, metric)),
            };
        }
        fields.iter().try_for_each(|field| self.revoke_field(role, metric, field))
    }

    /// Takes back grants of fields and metrics that are gone: one that comes again has to be granted anew.
    pub(crate) fn forget_gone_grants(&mut self) {
        let State { tenant, metrics } = &mut self.state;
        for (name, role) in &mut tenant.roles {
            role.metrics.retain(|number, grant| {
                let entry = tenant.metrics.get(number).filter(|entry| entry.is_live());
                let display = entry.map_or_else(|| format!("n{number}"), |entry| entry.names[0].to_string());
                let fields = metrics.get(number).map(|document| &document.fields);
                let before = grant.fields.len();
                grant.fields.retain(|field| fields.is_some_and(|fields| fields.contains_key(field)));
                let is_kept = entry.is_some() && (grant.is_for_all || !grant.fields.is_empty());
                if !is_kept || grant.fields.len() < before {
                    self.summary
                        .push(format!("role {name}: what it could read of {display} is gone, and so is the grant"));
                }
                is_kept
            });
        }
    }

    fn revoke_field(&mut self, role: &str, metric: &str, field: &str) -> Result<()> {
        let (number, field_number) = self.field_number(metric, field)?;
        let metrics = &mut self.role(role)?.metrics;
        let grant = metrics.get_mut(&number).ok_or_else(|| no_grant(role, metric))?;
        if grant.is_for_all {
            return Err(Error::invalid(
                "the role may read every field of the metric, those too that come later: revoke the metric and grant the fields that stay",
            )
            .with("role", role)
            .with("metric", metric));
        }
        if !grant.fields.remove(&field_number) {
            return Err(no_grant(role, metric).with("field", field));
        }
        if grant.fields.is_empty() {
            metrics.remove(&number);
        }
        self.note(format!("role {role}: may not read {metric}.{field} any more"))
    }

    fn grant_errors(&mut self, role: &str, fields: &[String]) -> Result<()> {
        if !fields.is_empty() {
            return Err(Error::invalid("errors.stream holds events as they were sent: it can be granted only whole"));
        }
        self.role(role)?.is_for_errors = true;
        self.note(format!("role {role}: may read {ERRORS}, with events as they were sent"))
    }

    /// Grants one declared field, whichever of its names was given.
    fn grant_field(&mut self, role: &str, metric: &str, field: &str) -> Result<()> {
        let hint = "a grant is bound to a declared field: declare it first, or grant * with what comes later";
        let (number, field_number) = self.field_number(metric, field).map_err(|error| error.with("hint", hint))?;
        self.grant(role, number)?.fields.insert(field_number);
        let display = self.display_field(number, field_number);
        self.note(format!("role {role}: may read {display}"))
    }

    /// Grants the fields of a metric that are declared now.
    fn grant_declared(&mut self, role: &str, number: u64) -> Result<()> {
        let document = self.state.metrics.get(&number);
        let fields: Vec<u32> = document.into_iter().flat_map(|document| document.fields.keys().copied()).collect();
        if fields.is_empty() {
            let display = self.display(number);
            return self.note(format!("role {role}: {display} has no declared field, so nothing of it is granted"));
        }
        self.grant(role, number)?.fields.extend(&fields);
        let shown: Vec<String> = fields.iter().map(|field| self.display_field(number, *field)).collect();
        self.note(format!("role {role}: may read {}", shown.join(", ")))
    }

    /// `pump.pressure (n1.f2)`.
    fn display_field(&self, metric: u64, field: u32) -> String {
        let document = self.state.metrics.get(&metric).and_then(|document| document.fields.get(&field));
        let name = document.map_or("", |field| &field.names[0]);
        format!("{}.{name} (n{metric}.f{field})", self.display(metric))
    }

    fn role(&mut self, wanted: &str) -> Result<&mut RoleDocument> {
        let roles = &mut self.state.tenant.roles;
        if !roles.contains_key(wanted) {
            return Err(not_found(
                "there is no such role",
                "role",
                wanted,
                &name::near(wanted, roles.keys().map(|name| &**name)),
            ));
        }
        Ok(roles.entry(Name::from(wanted)).or_default())
    }

    fn grant(&mut self, role: &str, metric: u64) -> Result<&mut GrantDocument> {
        let metrics = &mut self.role(role)?.metrics;
        if metrics.values().map(|grant| grant.fields.len().max(1)).sum::<usize>() >= GRANTS_MAX {
            return Err(too_many("grants of a role", GRANTS_MAX));
        }
        Ok(metrics.entry(metric).or_default())
    }
}

/// Whether `*` stands for the fields.
fn is_every(fields: &[String]) -> Result<bool> {
    match fields {
        [only] if only == EVERY => Ok(true),
        several if several.iter().any(|field| field == EVERY) => {
            Err(Error::invalid("* is every field already: name no others beside it"))
        }
        _ => Ok(false),
    }
}

/// Nobody guesses what `*` means of what does not exist yet.
fn chosen(later: Option<bool>) -> Result<bool> {
    later.ok_or_else(|| {
        Error::invalid(
            "* needs a choice: only the fields that are declared now, or also undeclared ones and what comes later",
        )
        .with("code", "later_unsaid")
    })
}

fn no_grant(role: &str, metric: &str) -> Error {
    Error::not_found("the role has no such grant").with("role", role).with("metric", metric)
}
