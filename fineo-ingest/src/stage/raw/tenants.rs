//! What is remembered of the tenants whose events came lately: ten thousand of them cost no more than one, and a tenant of
//! very many names no more than its share.

use std::{collections::HashMap, sync::Arc};

use fineo_core::TenantId;
use fineo_schema::TenantSchema;
use foldhash::fast::RandomState;

use super::TenantState;

/// When the tenants seen lately have so many names, those that were not seen since it was so before are forgotten. A name
/// takes some 300 bytes.
const NAMES_MAX: usize = 1 << 19;
/// What a tenant takes beside its names, in names.
const TENANT_NAMES: usize = 16;
/// So many uses of names take as much as a name.
const USES_PER_NAME: usize = 12;

/// Two spans of time: who was not seen in the later one is forgotten when the next one begins.
#[derive(Debug, Default)]
pub(super) struct Tenants {
    recent: HashMap<TenantId, TenantState, RandomState>,
    former: HashMap<TenantId, TenantState, RandomState>,
    /// The names of `recent`, as they were counted last.
    names: usize,
}

impl Tenants {
    /// What is remembered of `tenant`, made fit for `schema`. Once many of its events are read, it is to be counted.
    pub(super) fn state_of(&mut self, tenant: &TenantId, schema: &Arc<TenantSchema>) -> &mut TenantState {
        self.count(tenant);
        if self.names >= NAMES_MAX {
            self.former = std::mem::take(&mut self.recent);
            self.names = 0;
        }
        if !self.recent.contains_key(tenant) {
            let known = self.former.remove(tenant);
            let mut state = known.unwrap_or_else(|| TenantState::new(tenant, schema));
            state.counted = 0;
            self.recent.insert(tenant.clone(), state);
        }
        let state = self.recent.get_mut(tenant).expect("it is there by now");
        state.make_fit_for(schema);
        state
    }

    /// Counts what `tenant` takes now.
    pub(super) fn count(&mut self, tenant: &TenantId) {
        let Some(state) = self.recent.get_mut(tenant) else { return };
        let names = TENANT_NAMES + state.names.len() + state.uses.len() / USES_PER_NAME;
        self.names = self.names + names - std::mem::replace(&mut state.counted, names);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::names::{NOBODY, ROOT};

    /// So many tenants without a name fill a span.
    const SPAN: usize = NAMES_MAX / TENANT_NAMES;

    fn tenant(number: usize) -> TenantId {
        TenantId::new(&format!("t{number}")).unwrap()
    }

    /// An event of the tenant, with so many names that it never bore.
    fn send(tenants: &mut Tenants, number: usize, schema: &Arc<TenantSchema>, names: usize) {
        let id = tenant(number);
        let state = tenants.state_of(&id, schema);
        state.recent_metrics.push(("m".into(), 0));
        let known = state.names.len();
        for name in known..known + names {
            state.names.node(ROOT, NOBODY, &format!("n{name}"));
        }
        tenants.count(&id);
    }

    fn all_names(tenants: &Tenants) -> usize {
        tenants.recent.values().chain(tenants.former.values()).map(|state| state.names.len()).sum()
    }

    #[test]
    fn ten_thousand_tenants_by_turns_are_all_remembered() {
        let mut tenants = Tenants::default();
        let schemas: Vec<_> = (0..10_000).map(|number| Arc::new(TenantSchema::empty(&tenant(number)))).collect();
        for round in 1..4 {
            for (number, schema) in schemas.iter().enumerate() {
                send(&mut tenants, number, schema, 0);
                assert_eq!(tenants.recent[&tenant(number)].recent_metrics.len(), round);
            }
        }
    }

    #[test]
    fn who_is_seen_again_and_again_is_remembered_and_who_is_not_is_forgotten() {
        let mut tenants = Tenants::default();
        let schemas: Vec<_> = (0..2).map(|number| Arc::new(TenantSchema::empty(&tenant(number)))).collect();
        (0..2).for_each(|number| send(&mut tenants, number, &schemas[number], 0));
        for number in 2..3 * SPAN {
            send(&mut tenants, number, &schemas[1], 0);
            if number % 1_000 == 0 {
                send(&mut tenants, 0, &schemas[0], 0);
            }
            assert!(tenants.recent.len() + tenants.former.len() <= 2 * SPAN + 2);
        }
        assert!(tenants.recent[&tenant(0)].recent_metrics.len() > 3 * SPAN / 1_000);
        assert!(!tenants.recent.contains_key(&tenant(1)) && !tenants.former.contains_key(&tenant(1)));
    }

    #[test]
    fn names_are_bounded_whether_new_tenants_bring_them_or_known_ones() {
        let most = 2 * (NAMES_MAX + 2_000);
        let mut tenants = Tenants::default();
        let schema = Arc::new(TenantSchema::empty(&tenant(0)));
        for number in 0..1_200 {
            send(&mut tenants, number, &schema, 1_000);
            assert!(all_names(&tenants) <= most);
        }
        for round in 0..12 {
            for number in 0..100 {
                send(&mut tenants, number, &schema, 1_000);
            }
            assert!(all_names(&tenants) <= most, "round {round}");
        }
    }
}
