//! The items of the repository's table, and how their keys are spelt.

use bytes::Bytes;
use fineo_core::{
    Result, TenantId, Timestamp,
    repo::{Keep, Subject, Version},
};

use crate::dynamo::{Item, binary, binary_of, damaged, number, number_of, text, text_of};

/// The partition key: whose subjects, whose versions, whose parts.
pub(crate) const OWNER: &str = "owner";
/// The sort key: the subject's name, the version, the part.
pub(crate) const NAME: &str = "name";
/// The partition that lists the tenants.
pub(super) const TENANTS: &str = "tenants";

pub(super) const VERSION: &str = "version";
pub(super) const KEEP: &str = "keep";
pub(super) const NONCE: &str = "nonce";
const WRITTEN_AT: &str = "written_at";
pub(super) const BODY: &str = "body";
const PARTS: &str = "parts";
const PARTS_KEY: &str = "parts_key";
const CHECKSUM: &str = "crc32c";

/// Where a body stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Body {
    /// In the item itself.
    Inline { bytes: Bytes, checksum: u32 },
    /// In so many items under `key`.
    Parts { key: String, count: u32, checksum: u32 },
}

/// A head, or a version, which has the same form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) version: Version,
    pub(super) keep: Keep,
    /// Which append wrote it.
    pub(super) nonce: String,
    pub(super) written_at: Timestamp,
    pub(super) body: Body,
}

// Neither tenants nor subjects have a colon, so that no two subjects share a key.
pub(super) fn owner_key(owner: Option<&TenantId>) -> String {
    match owner {
        Some(tenant) => format!("t:{tenant}"),
        None => "s:".to_owned(),
    }
}

pub(super) fn versions_key(subject: &Subject) -> String {
    match subject.owner() {
        Some(tenant) => format!("v:{tenant}:{}", subject.name()),
        None => format!("v::{}", subject.name()),
    }
}

pub(super) fn version_name(version: Version) -> String {
    format!("{:020}", version.0)
}

pub(super) fn part_key(key: &str, index: u32) -> Item {
    Item::from([(OWNER.to_owned(), text(key)), (NAME.to_owned(), text(format!("{index:06}")))])
}

pub(super) fn head_key(subject: &Subject) -> Item {
    let (owner, name) = (owner_key(subject.owner()), subject.name());
    Item::from([(OWNER.to_owned(), text(owner)), (NAME.to_owned(), text(name))])
}

pub(super) fn version_key(subject: &Subject, version: Version) -> Item {
    let (owner, name) = (versions_key(subject), version_name(version));
    Item::from([(OWNER.to_owned(), text(owner)), (NAME.to_owned(), text(name))])
}

pub(super) fn tenant_item(tenant: &TenantId) -> Item {
    Item::from([(OWNER.to_owned(), text(TENANTS)), (NAME.to_owned(), text(tenant.as_str()))])
}

pub(super) fn keep_text(keep: Keep) -> &'static str {
    match keep {
        Keep::History => "history",
        Keep::Latest => "latest",
    }
}

pub(super) fn keep_of(item: &Item) -> Result<Keep> {
    match text_of(item, KEEP)? {
        "history" => Ok(Keep::History),
        "latest" => Ok(Keep::Latest),
        _ => Err(damaged(KEEP)),
    }
}

impl Head {
    /// The item with `key`.
    pub(super) fn item(&self, mut key: Item) -> Item {
        key.insert(VERSION.to_owned(), number(self.version));
        key.insert(KEEP.to_owned(), text(keep_text(self.keep)));
        key.insert(NONCE.to_owned(), text(&self.nonce));
        key.insert(WRITTEN_AT.to_owned(), number(self.written_at.micros()));
        match &self.body {
            Body::Inline { bytes, checksum } => {
                key.insert(BODY.to_owned(), binary(bytes.to_vec()));
                key.insert(CHECKSUM.to_owned(), number(checksum));
            }
            Body::Parts { key: parts_key, count, checksum } => {
                key.insert(PARTS.to_owned(), number(count));
                key.insert(PARTS_KEY.to_owned(), text(parts_key));
                key.insert(CHECKSUM.to_owned(), number(checksum));
            }
        }
        key
    }

    pub(super) fn read(item: &Item) -> Result<Self> {
        let checksum = number_of(item, CHECKSUM)?;
        let body = if item.contains_key(BODY) {
            Body::Inline { bytes: Bytes::copy_from_slice(binary_of(item, BODY)?), checksum }
        } else {
            Body::Parts { key: text_of(item, PARTS_KEY)?.to_owned(), count: number_of(item, PARTS)?, checksum }
        };
        Ok(Self {
            version: Version(number_of(item, VERSION)?),
            keep: keep_of(item)?,
            nonce: text_of(item, NONCE)?.to_owned(),
            written_at: Timestamp::saturating_from_micros(number_of(item, WRITTEN_AT)?),
            body,
        })
    }
}
