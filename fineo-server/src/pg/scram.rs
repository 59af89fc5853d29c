//! The messages of SCRAM-SHA-256 (RFC 5802) as the server reads and writes them; the credentials check what they prove.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use fineo::Entropy;

use super::{failure::Failure, request::Body};
use crate::auth::ScramChallenge;

/// The only mechanism: one that binds to the TLS channel is not offered.
pub(super) const MECHANISM: &str = "SCRAM-SHA-256";
/// The longest message of the exchange.
const MESSAGE_BYTES_MAX: usize = 2048;
const NONCE_BYTES_MAX: usize = 256;

/// What the client said first, and what it was answered.
#[derive(Debug)]
pub(super) struct Exchange {
    /// `n,,` or `y,,`, as it came.
    header: String,
    client_first_bare: String,
    server_first: String,
    nonce: String,
}

/// What a client claims to prove.
#[derive(Debug)]
pub(super) struct Claim {
    /// The AuthMessage of the RFC.
    pub(super) message: String,
    pub(super) proof: Vec<u8>,
}

impl Exchange {
    /// Reads the client's first message, wrapped as a choice of a mechanism.
    pub(super) fn begin(message: Bytes, challenge: &ScramChallenge, entropy: &dyn Entropy) -> Result<Self, Failure> {
        let mut body = Body(message);
        if body.text()? != MECHANISM {
            return Err(Failure::fatal("28000", "this server knows SCRAM-SHA-256 only"));
        }
        let length = usize::try_from(body.i32()?).unwrap_or(0);
        if length != body.0.len() || length > MESSAGE_BYTES_MAX {
            return Err(malformed());
        }
        let text = std::str::from_utf8(&body.0).map_err(|_| malformed())?;
        // The binding flag: `p=` asks for what was not offered. An authorization id is nobody's here.
        let bare = text.strip_prefix("n,,").or_else(|| text.strip_prefix("y,,")).ok_or_else(malformed)?;
        let mut attributes = bare.split(',');
        let name = attributes.next().and_then(|name| name.strip_prefix("n="));
        let nonce = attributes.next().and_then(|nonce| nonce.strip_prefix("r="));
        let (Some(_), Some(nonce)) = (name, nonce) else { return Err(malformed()) };
        let is_printable = nonce.bytes().all(|byte| (0x21..=0x7e).contains(&byte));
        if nonce.is_empty() || nonce.len() > NONCE_BYTES_MAX || !is_printable || attributes.next().is_some() {
            return Err(malformed());
        }
        let mut own = [0; 18];
        entropy.fill(&mut own);
        let nonce = format!("{nonce}{}", STANDARD.encode(own));
        Ok(Self {
            header: text[..text.len() - bare.len()].to_owned(),
            client_first_bare: bare.to_owned(),
            server_first: format!("r={nonce},s={},i={}", STANDARD.encode(challenge.salt), challenge.iterations),
            nonce,
        })
    }

    /// What the server answers.
    pub(super) fn server_first(&self) -> Bytes {
        Bytes::from(self.server_first.clone())
    }

    /// Reads the client's final message.
    pub(super) fn claim(&self, message: &[u8]) -> Result<Claim, Failure> {
        let text = std::str::from_utf8(message).ok().filter(|text| text.len() <= MESSAGE_BYTES_MAX);
        let (without_proof, proof) = text.and_then(|text| text.rsplit_once(",p=")).ok_or_else(malformed)?;
        let expected = format!("c={},r={}", STANDARD.encode(&self.header), self.nonce);
        if without_proof != expected {
            return Err(malformed());
        }
        let proof = STANDARD.decode(proof).map_err(|_| malformed())?;
        let message = format!("{},{},{without_proof}", self.client_first_bare, self.server_first);
        Ok(Claim { message, proof })
    }
}

/// The server's final message.
pub(super) fn server_final(signature: &[u8; 32]) -> Bytes {
    Bytes::from(format!("v={}", STANDARD.encode(signature)))
}

fn malformed() -> Failure {
    Failure::fatal("28P01", "password authentication failed")
}
