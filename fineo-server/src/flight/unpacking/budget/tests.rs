//! Tenants that want more than there is.

use futures::FutureExt;

use super::*;

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

fn at_once(budget: &Budget, name: &str, bytes: u32) -> Option<Taken> {
    budget.take(&tenant(name), bytes).now_or_never()
}

#[test]
fn a_tenant_takes_no_more_than_half_of_what_there_is() {
    let budget = Budget::of(100);
    let held = at_once(&budget, "one", 30).unwrap();
    assert!(at_once(&budget, "one", 21).is_none(), "51 are more than half");
    let rest = at_once(&budget, "one", 20).unwrap();
    assert!(at_once(&budget, "one", 1).is_none());
    drop((held, rest));
    assert!(at_once(&budget, "one", 50).is_some());
}

#[tokio::test]
async fn who_waits_for_its_own_half_does_not_stand_before_another() {
    let budget = Budget::of(100);
    let held = at_once(&budget, "one", 50).unwrap();
    let one = tenant("one");
    let mut waiting = Box::pin(budget.take(&one, 50));
    assert!((&mut waiting).now_or_never().is_none());
    let other = at_once(&budget, "other", 50).expect("the other half is there");
    drop(held);
    assert!((&mut waiting).now_or_never().is_some());
    drop(other);
}

#[test]
fn tenants_together_take_no_more_than_there_is() {
    let budget = Budget::of(100);
    let [one, other] = ["one", "other"].map(|name| at_once(&budget, name, 50).unwrap());
    assert!(at_once(&budget, "third", 1).is_none());
    drop(one);
    assert!(at_once(&budget, "third", 50).is_some());
    drop(other);
}

#[test]
fn a_tenant_that_holds_nothing_is_forgotten() {
    let budget = Budget::of(100);
    for name in ["a", "b", "c"] {
        drop(at_once(&budget, name, 10).unwrap());
    }
    let _held = at_once(&budget, "d", 10).unwrap();
    let _more = at_once(&budget, "e", 10).unwrap();
    let mut known: Vec<TenantId> = budget.shares.lock().unwrap().keys().cloned().collect();
    known.sort();
    assert_eq!(known, ["d", "e"].map(tenant));
}
