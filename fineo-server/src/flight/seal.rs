//! Handles that carry what they stand for, sealed so that only this process can make and read them.

use arrow::datatypes::DataType;
use bytes::Bytes;
use fineo::{Clock, Entropy, Error, Result};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};
use tonic::Status;

use crate::Principal;

/// What a handle is bound to, beside its content.
const VERSION: &[u8] = b"fineo flight handle 1";
/// The longest handle.
const HANDLE_BYTES_MAX: usize = 2 << 20;

/// What a handle stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Handle {
    /// Whether it is for a prepared statement, not for one answer.
    pub(super) is_prepared: bool,
    pub(super) sql: String,
    /// One row of Arrow IPC with the values of `$1`, `$2`, ….
    pub(super) parameters: Option<Vec<u8>>,
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    tenant: String,
    token: String,
    expires_at: i64,
    handle: Handle,
}

/// Makes and reads handles.
pub(super) struct Sealer {
    key: LessSafeKey,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer")
    }
}

impl Sealer {
    /// A sealer whose handles nobody else can make: they end with the process.
    pub(super) fn new(entropy: &dyn Entropy) -> Result<Self> {
        let mut key = [0; 32];
        entropy.fill(&mut key);
        let key = UnboundKey::new(&CHACHA20_POLY1305, &key);
        let key = key.map_err(|_| Error::internal("the cryptography refuses a key"))?;
        Ok(Self { key: LessSafeKey::new(key) })
    }

    /// Seals `handle` for `principal`, for so many seconds.
    pub(super) fn seal(
        &self,
        handle: Handle,
        principal: &Principal,
        seconds: i64,
        clock: &dyn Clock,
        entropy: &dyn Entropy,
    ) -> Result<Bytes, Status> {
        let sealed = Sealed {
            tenant: principal.tenant().to_string(),
            token: principal.token().to_string(),
            expires_at: clock.now().micros().saturating_add(seconds.saturating_mul(1_000_000)),
            handle,
        };
        let mut bytes = serde_json::to_vec(&sealed).map_err(|_| Status::internal("a handle cannot be written"))?;
        let mut nonce = [0; NONCE_LEN];
        entropy.fill(&mut nonce);
        let sealing = Nonce::assume_unique_for_key(nonce);
        let sealed = self.key.seal_in_place_append_tag(sealing, Aad::from(VERSION), &mut bytes);
        sealed.map_err(|_| Status::internal("a handle cannot be sealed"))?;
        let whole = [&nonce[..], &bytes].concat();
        if whole.len() > HANDLE_BYTES_MAX {
            return Err(Status::resource_exhausted("the statement and its parameters are too long for a handle"));
        }
        Ok(Bytes::from(whole))
    }

    /// What a handle of `principal` stands for.
    pub(super) fn open(&self, bytes: &[u8], principal: &Principal, clock: &dyn Clock) -> Result<Handle, Status> {
        // Forged, another's, expired, or of an earlier process: nobody is told which.
        let unknown = || Status::not_found("no such handle, or no longer");
        let (nonce, rest) = bytes.split_at_checked(NONCE_LEN).ok_or_else(unknown)?;
        if rest.len() > HANDLE_BYTES_MAX {
            return Err(unknown());
        }
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| unknown())?;
        let mut rest = rest.to_vec();
        let content = self.key.open_in_place(nonce, Aad::from(VERSION), &mut rest).map_err(|_| unknown())?;
        let sealed: Sealed = serde_json::from_slice(content).map_err(|_| unknown())?;
        let is_owner = sealed.tenant == principal.tenant().as_str() && sealed.token == principal.token().as_str();
        if !is_owner || clock.now().micros() >= sealed.expires_at {
            return Err(unknown());
        }
        Ok(sealed.handle)
    }
}

/// A name for a parameter's column, and its type where nothing else is known.
pub(super) fn parameter_field(index: usize, known: Option<DataType>) -> arrow::datatypes::Field {
    arrow::datatypes::Field::new(format!("${}", index + 1), known.unwrap_or(DataType::Utf8), true)
}
