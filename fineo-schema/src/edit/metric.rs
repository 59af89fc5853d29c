//! Steps about metrics: create, rename, alias, delete, rule out, discover.

use std::{collections::HashSet, sync::Arc};

use fineo_core::{Cover, Error, ErrorKind, MetricId, Result};

use super::{DISCOVERED_METRICS_MAX, Edit, METRICS_MAX, NAMES_MAX, clash, too_many};
use crate::{
    document::{MetricEntry, Name, Positions},
    name,
};

impl Edit {
    pub(super) fn create_metric(&mut self, wanted: &str, aliases: &[String]) -> Result<()> {
        name::check_metric(wanted)?;
        let number = match self.holder_of_claimed_metric_name(wanted) {
            Some(holder) if self.entry(holder)?.is_declared => {
                let display = self.display(holder);
                if display == wanted {
                    return Err(
                        Error::new(ErrorKind::AlreadyExists, "the metric exists already").with("metric", wanted)
                    );
                }
                return Err(clash("metric", wanted, &display));
            }
            Some(holder) => {
                self.declare_discovered(holder, wanted)?;
                holder
            }
            None => {
                let number = self.new_metric(wanted, true)?;
                self.note(format!("create metric {wanted} ({})", MetricId::numbered(number)))?;
                self.warn_of_looks(None, number, wanted)?;
                number
            }
        };
        for alias in aliases.iter().filter(|alias| !alias.is_empty()) {
            self.claim_metric_name(number, alias)?;
        }
        Ok(())
    }

    fn declare_discovered(&mut self, number: u64, wanted: &str) -> Result<()> {
        let entry = self.entry(number)?;
        if entry.is_ruled_out {
            return Err(Error::invalid("the metric is ruled out; rule it in first").with("metric", wanted));
        }
        entry.is_declared = true;
        move_to_front(&mut entry.names, wanted);
        self.note(format!("declare metric {wanted} ({}), which events brought in", MetricId::numbered(number)))
    }

    /// Declares the metric if it is not, because something is declared in it.
    pub(super) fn declare_for_field(&mut self, number: u64) -> Result<()> {
        if self.entry(number)?.is_declared {
            return Ok(());
        }
        let display = self.display(number);
        self.declare_discovered(number, &display)
    }

    fn new_metric(&mut self, wanted: &str, is_declared: bool) -> Result<u64> {
        let tenant = &mut self.state.tenant;
        if tenant.metrics.len() >= METRICS_MAX {
            return Err(too_many("metrics", METRICS_MAX));
        }
        let number = tenant.next_metric.max(1);
        tenant.next_metric = number + 1;
        let name: Name = wanted.into();
        let names = vec![Name::clone(&name)];
        tenant.metrics.insert(number, MetricEntry { names, is_declared, ..MetricEntry::default() });
        self.know_metric(&name);
        Ok(number)
    }

    /// Gives the metric a name; takes over whatever undeclared metric has it.
    fn claim_metric_name(&mut self, number: u64, wanted: &str) -> Result<()> {
        name::check_metric(wanted)?;
        match self.holder_of_claimed_metric_name(wanted) {
            Some(holder) if holder == number => return Ok(()),
            Some(holder) if self.entry(holder)?.is_declared => {
                let display = self.display(holder);
                return Err(clash("metric", wanted, &display));
            }
            Some(holder) => {
                self.merge_into(holder, number)?;
            }
            None => {
                let display = self.display(number);
                let names = &mut self.entry(number)?.names;
                if names.len() >= NAMES_MAX {
                    return Err(too_many("names of a metric", NAMES_MAX));
                }
                let name: Name = wanted.into();
                names.push(Name::clone(&name));
                self.know_metric(&name);
                self.note(format!("metric {display}: add alias {wanted}"))?;
                self.warn_of_looks(None, number, wanted)?;
            }
        }
        Ok(())
    }

    pub(super) fn rename_metric(&mut self, metric: &str, to: &str) -> Result<()> {
        let number = self.metric_number(metric)?;
        let before = self.display(number);
        if before == to {
            return Ok(());
        }
        self.claim_metric_name(number, to)?;
        move_to_front(&mut self.entry(number)?.names, to);
        self.note(format!("metric {before}: rename to {to}; {before} stays as its first alias"))
    }

    pub(super) fn add_metric_alias(&mut self, metric: &str, alias: &str) -> Result<()> {
        let number = self.metric_number(metric)?;
        self.claim_metric_name(number, alias)
    }

    pub(super) fn remove_metric_alias(&mut self, metric: &str, alias: &str) -> Result<()> {
        let number = self.metric_number(metric)?;
        remove_alias(&mut self.entry(number)?.names, alias)?;
        self.note(format!("metric {}: remove alias {alias}", self.display(number)))
    }

    pub(super) fn delete_metric(&mut self, metric: &str, through: &Cover) -> Result<()> {
        let number = self.metric_number(metric)?;
        self.entry(number)?.deleted = Some(Positions(through.clone()));
        self.note(format!("delete metric {} ({})", self.display(number), MetricId::numbered(number)))
    }

    pub(super) fn undeclare_metric(&mut self, metric: &str) -> Result<()> {
        let number = self.metric_number(metric)?;
        let has_fields = self.state.metrics.get(&number).is_some_and(|document| !document.fields.is_empty());
        if has_fields {
            return Err(Error::invalid("the metric has declared fields; undeclare those first").with("metric", metric));
        }
        if std::mem::replace(&mut self.entry(number)?.is_declared, false) {
            self.note(format!("undeclare metric {metric}; its events stay readable"))?;
        }
        Ok(())
    }

    pub(super) fn rule_metric(&mut self, metric: &str, is_out: bool) -> Result<()> {
        let number = match self.holder_of_claimed_metric_name(metric) {
            None if is_out => {
                name::check_metric(metric)?;
                let number = self.new_metric(metric, false)?;
                self.note(format!("metric {metric} ({}), of which nothing came yet:", MetricId::numbered(number)))?;
                number
            }
            _ => self.metric_number(metric)?,
        };
        let entry = self.entry(number)?;
        if is_out && entry.is_declared {
            return Err(Error::invalid("only an undeclared metric can be ruled out; this one is declared")
                .with("metric", metric));
        }
        if entry.is_ruled_out != is_out {
            entry.is_ruled_out = is_out;
            let what = if is_out { "out: its events are errors" } else { "in" };
            self.note(format!("rule metric {metric} {what}"))?;
        }
        Ok(())
    }

    pub(super) fn discover_metrics(&mut self, names: &[Arc<str>]) -> Result<()> {
        let live = self.state.tenant.metrics.values().filter(|entry| entry.is_live());
        let mut known: HashSet<Arc<str>> = live.flat_map(|entry| entry.names.iter().cloned()).collect();
        for wanted in names {
            if self.state.tenant.metrics.len() >= DISCOVERED_METRICS_MAX {
                return Ok(());
            }
            // Events that bear such a name are the stage's to refuse; they hold up no others.
            if !name::is_legal_metric(wanted) || !known.insert(Arc::clone(wanted)) {
                continue;
            }
            let number = self.new_metric(wanted, false)?;
            self.note(format!("events brought in metric {wanted} ({})", MetricId::numbered(number)))?;
            self.warn_of_looks(None, number, wanted)?;
        }
        Ok(())
    }
}

/// Puts `wanted`, which is among `names`, first and keeps the order of the others.
pub(super) fn move_to_front(names: &mut [Arc<str>], wanted: &str) {
    if let Some(at) = names.iter().position(|name| **name == *wanted) {
        names[..=at].rotate_right(1);
    }
}

/// Removes an alias, never the display name.
pub(super) fn remove_alias(names: &mut Vec<Arc<str>>, alias: &str) -> Result<()> {
    match names.iter().position(|name| **name == *alias) {
        Some(0) => Err(Error::invalid("that is the display name; rename first").with("name", alias)),
        Some(at) => {
            names.remove(at);
            Ok(())
        }
        None => Err(Error::not_found("there is no such alias").with("alias", alias)),
    }
}
