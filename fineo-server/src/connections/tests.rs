//! Who may have how many connections.

use std::net::IpAddr;

use fineo::TenantId;

use super::{Connections, host_of};
use crate::DoorLimits;

fn connections() -> Connections {
    let mut limits = DoorLimits::default();
    (limits.connections_max, limits.connections_per_address_max, limits.connections_per_tenant_max) = (3, 2, 1);
    Connections::new(&limits)
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

// W12, B4
#[test]
fn an_address_cannot_take_every_connection() {
    let connections = connections();
    let first = connections.admit(address("10.0.0.1"));
    let second = connections.admit(address("::ffff:10.0.0.1"));
    assert!(first.is_some() && second.is_some());
    assert!(connections.admit(address("10.0.0.1")).is_none(), "the mapped address counts as the same");
    let other = connections.admit(address("10.0.0.2"));
    assert!(other.is_some());
    assert!(connections.admit(address("10.0.0.3")).is_none(), "all are taken");
    drop(second);
    assert!(connections.admit(address("10.0.0.3")).is_some());
}

// W12, B4
#[test]
fn a_host_with_many_addresses_is_one_host() {
    let connections = connections();
    let open = ["2001:db8:0:7::1", "2001:db8:0:7:ffff::2"].map(|text| connections.admit(address(text)));
    assert!(open.iter().all(Option::is_some));
    assert!(connections.admit(address("2001:db8:0:7::3")).is_none(), "of the same network");
    assert!(connections.admit(address("2001:db8:0:8::1")).is_some(), "of another");
}

// W12, B4
#[test]
fn hosts_of_a_private_network_and_behind_a_translator_are_told_apart() {
    for (text, host) in [
        ("fd00::7:1", "fd00::7:1"),
        ("fe80::1", "fe80::1"),
        ("64:ff9b::c000:201", "192.0.2.1"),
        ("64:ff9b:1::c000:201", "64:ff9b:1::"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::7:1", "2001:db8::"),
        ("192.0.2.1", "192.0.2.1"),
    ] {
        assert_eq!(host_of(address(text)), address(host), "{text}");
    }
}

// B4
#[test]
fn a_tenant_at_its_limit_leaves_others_alone() {
    let connections = connections();
    let (acme, bolt) = (TenantId::new("acme").unwrap(), TenantId::new("bolt").unwrap());
    let slot = connections.admit_tenant(&acme);
    assert!(slot.is_some());
    assert!(connections.admit_tenant(&acme).is_none());
    assert!(connections.admit_tenant(&bolt).is_some());
}

// W12
#[test]
fn a_crowd_leaves_room_for_the_operator_and_he_for_it() {
    let connections = connections();
    let crowd: Vec<_> = (1..=3).map(|host| connections.admit(address(&format!("10.0.0.{host}")))).collect();
    assert!(crowd.iter().all(Option::is_some) && connections.admit(address("10.0.0.9")).is_none());
    let operators: Vec<_> = (0..64).map(|_| connections.admit_operator()).collect();
    assert!(operators.iter().all(Option::is_some) && connections.admit_operator().is_none());
    drop(crowd);
    assert!(connections.admit(address("10.0.0.9")).is_some());
    assert_eq!(connections.open(), 0, "the operator is none of the doors' connections");
}
