//! The keys of subjects: a byte for system or tenant, the tenant, 0, the name, 0, a byte for what is kept.
//!
//! Neither tenants nor names hold a 0 and both may hold any other order, so keys order as owner and name do.

use fineo_core::{
    Error, Result, TenantId,
    repo::{Keep, Subject, Version},
};

const SYSTEM: u8 = 0;
const TENANT: u8 = 1;

/// The key of `subject`.
pub(super) fn of(subject: &Subject) -> Vec<u8> {
    let mut key = prefix(subject.owner(), subject.name());
    key.push(0);
    key.push(match subject.keep() {
        Keep::History => 0,
        Keep::Latest => 1,
    });
    key
}

/// The key of a version of `subject`.
pub(super) fn version(subject: &Subject, version: Version) -> Vec<u8> {
    let mut key = of(subject);
    key.extend_from_slice(&version.0.to_be_bytes());
    key
}

/// How the keys of `owner`'s subjects begin whose names begin with `name`.
pub(super) fn prefix(owner: Option<&TenantId>, name: &str) -> Vec<u8> {
    let mut key = vec![if owner.is_some() { TENANT } else { SYSTEM }];
    key.extend_from_slice(owner.map_or("", TenantId::as_str).as_bytes());
    key.push(0);
    key.extend_from_slice(name.as_bytes());
    key
}

/// Before every key of a tenant.
pub(super) fn first_of_tenants() -> Vec<u8> {
    vec![TENANT]
}

/// Behind every key of `tenant`, before those of the next.
pub(super) fn behind_tenant(tenant: &TenantId) -> Vec<u8> {
    let mut key = vec![TENANT];
    key.extend_from_slice(tenant.as_str().as_bytes());
    key.push(1);
    key
}

/// The subject of a key made by [`of`].
pub(super) fn subject(key: &[u8]) -> Result<Subject> {
    parse(key).ok_or_else(|| Error::corrupt("key of the repository is damaged"))
}

fn parse(key: &[u8]) -> Option<Subject> {
    let (kind, rest) = key.split_first()?;
    let mut parts = rest.split(|byte| *byte == 0);
    let owner = std::str::from_utf8(parts.next()?).ok()?;
    let name = std::str::from_utf8(parts.next()?).ok()?;
    let keep = match key.last()? {
        0 => Keep::History,
        _ => Keep::Latest,
    };
    match *kind {
        SYSTEM => Subject::system(name, keep).ok(),
        _ => Subject::tenant(&TenantId::new(owner).ok()?, name, keep).ok(),
    }
}
