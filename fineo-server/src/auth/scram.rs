//! SCRAM-SHA-256 (RFC 5802, RFC 7677) from the server's side, with keys that cannot be used to log in.
//!
//! A tenant may have many tokens, and the server must name a salt before it knows which one the client will prove: so all
//! tokens of a tenant share one salt. The salt is a pure function of the server's own secret and the name, hence a tenant
//! that does not exist has one, too, and names cannot be probed.

use std::{fmt, num::NonZeroU32};

use ring::{
    digest::{SHA256, digest},
    hmac, pbkdf2,
};
use subtle::ConstantTimeEq;

use super::Principal;

/// How often a client has to hash. A token is 256 bits of chance, so it needs no more than clients accept.
pub const SCRAM_ITERATIONS: NonZeroU32 = NonZeroU32::new(4_096).expect("it is not zero");

/// What the server says first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScramChallenge {
    /// The salt of the name.
    pub salt: [u8; 16],
    /// How often to hash.
    pub iterations: NonZeroU32,
}

/// A proof that was right.
#[derive(Debug, Clone)]
pub struct ScramProven {
    /// Who proved it.
    pub principal: Principal,
    /// What the server proves in turn: `v=` of its final message, before base64.
    pub server_signature: [u8; 32],
}

/// What is kept of a token for SCRAM: enough to check a proof, not enough to make one.
#[derive(Clone)]
pub(super) struct Verifier {
    pub(super) stored_key: [u8; 32],
    pub(super) server_key: [u8; 32],
}

impl Verifier {
    /// Derives the keys of `password`.
    pub(super) fn derive(password: &str, challenge: &ScramChallenge) -> Self {
        let mut salted = [0; 32];
        let algorithm = pbkdf2::PBKDF2_HMAC_SHA256;
        pbkdf2::derive(algorithm, challenge.iterations, &challenge.salt, password.as_bytes(), &mut salted);
        let client_key = sign(&salted, b"Client Key");
        Self { stored_key: hash(&client_key), server_key: sign(&salted, b"Server Key") }
    }

    /// Whether `proof` shows that the client knows the password.
    pub(super) fn accepts(&self, message: &[u8], proof: &[u8; 32]) -> bool {
        let signature = sign(&self.stored_key, message);
        let mut client_key = [0; 32];
        for (index, byte) in client_key.iter_mut().enumerate() {
            *byte = proof[index] ^ signature[index];
        }
        hash(&client_key).ct_eq(&self.stored_key).into()
    }

    /// The server's own proof.
    pub(super) fn server_signature(&self, message: &[u8]) -> [u8; 32] {
        sign(&self.server_key, message)
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier")
    }
}

/// The challenge for `name`, whether or not there is such a tenant.
pub(super) fn challenge(secret: &[u8; 32], name: &str) -> ScramChallenge {
    let mut salt = [0; 16];
    salt.copy_from_slice(&sign(secret, name.as_bytes())[..16]);
    ScramChallenge { salt, iterations: SCRAM_ITERATIONS }
}

fn sign(key: &[u8; 32], message: &[u8]) -> [u8; 32] {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    into_array(hmac::sign(&key, message).as_ref())
}

fn hash(bytes: &[u8]) -> [u8; 32] {
    into_array(digest(&SHA256, bytes).as_ref())
}

fn into_array(bytes: &[u8]) -> [u8; 32] {
    let mut array = [0; 32];
    array.copy_from_slice(bytes);
    array
}

#[cfg(test)]
mod tests;
