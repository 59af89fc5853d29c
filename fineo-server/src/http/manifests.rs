//! What is kept of batches: a key that is taken, then what became of the batch.
//!
//! A key is taken before any event is, together with a digest of what was sent: of several bodies that come under it at
//! once only those that are the same go on. What was broken off before it had a manifest goes on with the same body.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use fineo::{
    Error, ImportFormat, TenantId,
    core::{
        EventId,
        repo::{Compared, Keep, Subject, Version, Write},
    },
};
use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Room, batches::BatchView, problem::Problem};

/// How often a key is tried to be taken while others take it.
const ATTEMPTS_MAX: usize = 8;

/// What became of a batch, as it is kept.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Manifest {
    #[serde(flatten)]
    pub(super) view: BatchView,
    /// A digest of what came under its key, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sent: Option<String>,
}

/// What is kept under the id of a batch.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Kept {
    Manifest(Manifest),
    /// Its key is taken for what has this digest.
    Taken {
        taken: String,
    },
}

/// Where a batch stands.
pub(super) enum Place {
    /// It came before, whole.
    Known(Box<Manifest>),
    /// Its manifest goes behind this version.
    Behind(Version),
}

/// A digest of what is sent as a batch and read as `format`, or of where an object is read from: its bytes may be others
/// since, or gone.
pub(super) fn digest_of(metric: Option<&str>, from: Option<&str>, format: ImportFormat, sent: &[u8]) -> String {
    let mut context = Context::new(&SHA256);
    context.update(json!([metric, from]).to_string().as_bytes());
    context.update(sent);
    let format = match format {
        ImportFormat::Auto => "auto",
        ImportFormat::Json => "json",
        ImportFormat::Csv => "csv",
    };
    format!("{format} {}", STANDARD.encode(context.finish()))
}

/// Whether what was kept is what is sent. Manifests of former versions do not tell the format.
fn is_same(kept: &str, sent: &str) -> bool {
    kept == sent || sent.split_once(' ').is_some_and(|(_, digest)| digest == kept)
}

/// Takes the key of the batch `id` for what has the digest `sent`.
///
/// # Errors
///
/// A problem where it is taken for something else; nothing of that was taken in then.
pub(super) async fn take(room: &Room, tenant: &TenantId, id: &EventId, sent: &str) -> Result<Place, Problem> {
    for _ in 0..ATTEMPTS_MAX {
        if let Some(place) = look(room, tenant, id, sent).await? {
            return Ok(place);
        }
        let taken = Kept::Taken { taken: sent.to_owned() };
        if append(room, tenant, id, Version::NONE, &taken).await? {
            return Ok(Place::Behind(Version::NONE.next()));
        }
    }
    Err(Error::unavailable("others take the key of the batch again and again").into())
}

/// Where the batch `id` stands, which has the digest `sent`; none where nothing came under its key.
///
/// # Errors
///
/// As [`take`].
pub(super) async fn look(room: &Room, tenant: &TenantId, id: &EventId, sent: &str) -> Result<Option<Place>, Problem> {
    let Some((version, kept)) = kept(room, tenant, id).await? else { return Ok(None) };
    let (digest, place) = match kept {
        Kept::Manifest(manifest) => (manifest.sent.clone(), Place::Known(Box::new(manifest))),
        Kept::Taken { taken } => (Some(taken), Place::Behind(version)),
    };
    if digest.is_some_and(|digest| !is_same(&digest, sent)) {
        return Err(Problem::key_reused("another batch was sent under this Idempotency-Key"));
    }
    Ok(Some(place))
}

/// What became of the batch `id`; none where that is not known, or not yet.
pub(super) async fn manifest(room: &Room, tenant: &TenantId, id: &EventId) -> Result<Option<Manifest>, Problem> {
    Ok(kept(room, tenant, id).await?.and_then(|(_, kept)| match kept {
        Kept::Manifest(manifest) => Some(manifest),
        Kept::Taken { .. } => None,
    }))
}

/// Keeps a manifest behind `version`. Answers another where the batch has one by now: it was sent twice at once, and its
/// events are the same events.
pub(super) async fn save(
    room: &Room,
    tenant: &TenantId,
    id: &EventId,
    version: Version,
    view: BatchView,
    sent: Option<String>,
) -> Result<Option<Manifest>, Problem> {
    let kept = Kept::Manifest(Manifest { view, sent });
    if append(room, tenant, id, version, &kept).await? {
        return Ok(None);
    }
    manifest(room, tenant, id).await
}

fn subject(tenant: &TenantId, id: &EventId) -> Result<Subject, Error> {
    Subject::tenant(tenant, &format!("batch/{id}"), Keep::Latest)
}

async fn kept(room: &Room, tenant: &TenantId, id: &EventId) -> Result<Option<(Version, Kept)>, Problem> {
    let Some(found) = room.fineo().parts().repo.latest(&subject(tenant, id)?).await? else { return Ok(None) };
    let kept = serde_json::from_slice(&found.body)
        .map_err(|source| Error::corrupt("the manifest of a batch cannot be read").with_source(source))?;
    Ok(Some((found.version, kept)))
}

/// Whether `kept` is kept: nothing came behind `expected`.
async fn append(room: &Room, tenant: &TenantId, id: &EventId, expected: Version, kept: &Kept) -> Result<bool, Problem> {
    let body = serde_json::to_vec(kept)
        .map_err(|source| Error::internal("the manifest of a batch cannot be written").with_source(source))?;
    let write = Write { subject: subject(tenant, id)?, expected, body: Some(Bytes::from(body)) };
    let now = room.shared().clock.now();
    Ok(room.fineo().parts().repo.append(vec![write], now).await.into_result()? == Compared::Written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_tells_how_a_body_is_read_and_a_former_one_need_not() {
        let digest = |format| digest_of(Some("m"), None, format, b"a\n1\n");
        let (csv, json) = (digest(ImportFormat::Csv), digest(ImportFormat::Json));
        assert!(is_same(&csv, &csv) && !is_same(&csv, &json) && !is_same(&json, &csv));
        let former = csv.split_once(' ').unwrap().1;
        assert!(is_same(former, &csv) && is_same(former, &json));
        assert!(!is_same(former, &digest_of(Some("n"), None, ImportFormat::Csv, b"a\n1\n")));
    }
}
