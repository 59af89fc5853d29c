//! The exchange of RFC 7677, and proofs that are wrong.

use std::num::NonZeroU32;

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{ScramChallenge, Verifier, challenge};

/// RFC 7677, section 3: user "user", password "pencil".
const MESSAGE: &str = "n=user,r=rOprNGfwEbeRWgbNEkqO,\
    r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,\
    c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";

fn bytes<const N: usize>(text: &str) -> [u8; N] {
    STANDARD.decode(text).unwrap().try_into().unwrap()
}

fn verifier() -> Verifier {
    let challenge =
        ScramChallenge { salt: bytes("W22ZaJ0SNY7soEsUEjb6gQ=="), iterations: NonZeroU32::new(4096).unwrap() };
    Verifier::derive("pencil", &challenge)
}

// P6
#[test]
fn the_exchange_of_the_rfc_is_accepted() {
    let proof = bytes("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
    assert!(verifier().accepts(MESSAGE.as_bytes(), &proof));
    let signature: [u8; 32] = bytes("6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    assert_eq!(verifier().server_signature(MESSAGE.as_bytes()), signature);
}

// W11
#[test]
fn a_proof_counts_for_its_own_exchange_only() {
    let mut proof: [u8; 32] = bytes("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
    let replayed = MESSAGE.replace("hNlF$k0", "hNlF$k1");
    assert!(!verifier().accepts(replayed.as_bytes(), &proof));
    proof[31] ^= 1;
    assert!(!verifier().accepts(MESSAGE.as_bytes(), &proof));
}

// W11
#[test]
fn every_name_has_a_salt_that_stays() {
    let secret = [7; 32];
    assert_eq!(challenge(&secret, "nobody"), challenge(&secret, "nobody"));
    assert_ne!(challenge(&secret, "nobody").salt, challenge(&secret, "somebody").salt);
    assert_ne!(challenge(&secret, "nobody").salt, challenge(&[8; 32], "nobody").salt);
}
