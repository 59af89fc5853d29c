//! What is remembered of the tenants whose events came lately: ten thousand of them cost no more than one, and a tenant of
//! very many names no more than its share.

use std::{collections::HashMap, sync::Arc};

use fineo_core::TenantId;
use fineo_schema::TenantSchema;
use foldhash::fast::RandomState;

use super::TenantState;

/// Names are remembered until those of the tenants seen lately are so many; those of tenants seen before that are then
/// forgotten. A name takes some 300 bytes.
const NAMES_MAX: usize = 1 << 18;
/// What a tenant takes beside its names, in names.
const TENANT_NAMES: usize = 16;

/// Two spans of time: who was not seen in the later one is forgotten when the next one begins.
#[derive(Debug, Default)]
pub(super) struct Tenants {
    recent: HashMap<TenantId, TenantState, RandomState>,
    former: HashMap<TenantId, TenantState, RandomState>,
    /// The names of `recent`, as they were counted last.
    names: usize,
}

impl Tenants {
    /// What is remembered of `tenant`, made fit for `schema`.
    pub(super) fn state_of(&mut self, tenant: &TenantId, schema: &Arc<TenantSchema>) -> &mut TenantState {
        if !self.recent.contains_key(tenant) {
            if self.names >= NAMES_MAX {
                self.former = std::mem::take(&mut self.recent);
                self.names = 0;
            }
            let known = self.former.remove(tenant);
            let mut state = known.unwrap_or_else(|| TenantState::new(tenant, schema));
            state.counted = 0;
            self.recent.insert(tenant.clone(), state);
        }
        let state = self.recent.get_mut(tenant).expect("it is there by now");
        state.make_fit_for(schema);
        let names = TENANT_NAMES + state.names.len();
        self.names += names;
        self.names -= std::mem::replace(&mut state.counted, names).min(self.names);
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(number: usize) -> TenantId {
        TenantId::new(&format!("t{number}")).unwrap()
    }

    /// Has `number` asked for, and answers whether it was remembered.
    fn is_known(tenants: &mut Tenants, number: usize) -> bool {
        let schema = Arc::new(TenantSchema::empty(&tenant(number)));
        let state = tenants.state_of(&tenant(number), &schema);
        !state.recent_metrics.is_empty() || {
            state.recent_metrics.push(("m".into(), 0));
            false
        }
    }

    /// So many tenants without a name fill a span.
    const SPAN: usize = NAMES_MAX / TENANT_NAMES;

    #[test]
    fn ten_thousand_tenants_by_turns_are_all_remembered() {
        let mut tenants = Tenants::default();
        let schemas: Vec<_> = (0..10_000).map(|number| Arc::new(TenantSchema::empty(&tenant(number)))).collect();
        for round in 0..3 {
            for (number, schema) in schemas.iter().enumerate() {
                let state = tenants.state_of(&tenant(number), schema);
                assert_eq!(state.recent_metrics.len(), round);
                state.recent_metrics.push(("m".into(), 0));
            }
        }
    }

    #[test]
    fn who_is_seen_again_and_again_is_remembered_and_who_is_not_is_forgotten() {
        let mut tenants = Tenants::default();
        assert!(!is_known(&mut tenants, 0) && !is_known(&mut tenants, 1));
        for number in 2..3 * SPAN {
            is_known(&mut tenants, number);
            if number % 1_000 == 0 {
                // Its schema is another one each time, so that only the names are kept: it is counted, and no more than once.
                tenants.state_of(&tenant(0), &Arc::new(TenantSchema::empty(&tenant(0))));
            }
            assert!(tenants.recent.len() + tenants.former.len() <= 2 * SPAN + 2);
        }
        assert!(tenants.recent.contains_key(&tenant(0)) || tenants.former.contains_key(&tenant(0)));
        assert!(!tenants.recent.contains_key(&tenant(1)) && !tenants.former.contains_key(&tenant(1)));
    }
}
