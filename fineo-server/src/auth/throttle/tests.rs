//! Who is slowed down, and for how long.

use std::{net::IpAddr, time::Duration};

use fineo::Timestamp;

use super::{REMEMBERED_MAX, Throttle};

const START: Timestamp = Timestamp::MIN;

fn address(last: u32) -> IpAddr {
    IpAddr::V4((0x0a00_0000 + last).into())
}

// W12
#[test]
fn an_address_is_not_heard_after_twenty_failures_until_the_minute_is_over() {
    let throttle = Throttle::default();
    for _ in 0..19 {
        throttle.failed(address(1), "acme", START);
    }
    assert_eq!(throttle.closed_for(address(1), START), None);
    throttle.failed(address(1), "acme", START);
    assert_eq!(throttle.closed_for(address(1), START), Some(Duration::from_secs(60)));
    assert_eq!(throttle.closed_for(address(2), START), None, "a neighbour is heard");
    assert_eq!(throttle.closed_for(address(1), START.plus_micros(60_000_000)), None);
}

// W12
#[test]
fn a_guesser_with_many_addresses_is_one_guesser() {
    let throttle = Throttle::default();
    for last in 0..20_u16 {
        throttle.failed(IpAddr::from([0x2001, 0xdb8, 0, 7, last, 0, 0, last]), "acme", START);
    }
    let closed = |network: u16| throttle.closed_for(IpAddr::from([0x2001, 0xdb8, 0, network, 0, 0, 0, 9]), START);
    assert_eq!((closed(7), closed(8)), (Some(Duration::from_secs(60)), None));
}

// W12
#[test]
fn wrong_answers_for_a_name_come_later_and_later_from_whatever_address() {
    let throttle = Throttle::default();
    let delays: Vec<Duration> = (0..60).map(|last| throttle.failed(address(last), "acme", START)).collect();
    assert_eq!(delays[9], Duration::ZERO);
    assert_eq!(delays[10], Duration::from_millis(50));
    assert_eq!(delays[59], Duration::from_secs(2));
    assert_eq!(throttle.failed(address(99), "bolt", START), Duration::ZERO);
}

// W12, B1
#[test]
fn what_is_remembered_is_bounded_and_keeps_the_worst() {
    let throttle = Throttle::default();
    for _ in 0..20 {
        throttle.failed(address(0), "acme", START);
    }
    for last in 1..3 * u32::try_from(REMEMBERED_MAX).unwrap() {
        throttle.failed(address(last), "acme", START);
    }
    assert!(super::locked(&throttle.addresses).0.len() <= REMEMBERED_MAX);
    assert!(throttle.closed_for(address(0), START).is_some());
}
