//! Sequence numbers as positions: decimal digits beyond 128 bits, and back.

use fineo_core::{Error, Position, Result};

/// The position that a sequence number stands for.
pub(super) fn position(sequence: &str) -> Result<Position> {
    let invalid = || Error::corrupt("not a sequence number").with("sequence", sequence);
    let mut bytes = [0u8; Position::LEN];
    if sequence.is_empty() || !sequence.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(invalid());
    }
    for digit in sequence.bytes() {
        let mut carry = u16::from(digit - b'0');
        for byte in bytes.iter_mut().rev() {
            let sum = u16::from(*byte) * 10 + carry;
            *byte = u8::try_from(sum & 0xff).expect("eight bits");
            carry = sum >> 8;
        }
        if carry > 0 {
            return Err(invalid());
        }
    }
    Ok(Position::from_bytes(bytes))
}

/// The sequence number of a position.
pub(super) fn sequence(position: Position) -> String {
    let mut bytes = position.to_bytes();
    let mut digits = Vec::new();
    while bytes.iter().any(|byte| *byte > 0) {
        let mut rest = 0u16;
        for byte in &mut bytes {
            let value = rest << 8 | u16::from(*byte);
            *byte = u8::try_from(value / 10).expect("the rest is below ten");
            rest = value % 10;
        }
        digits.push(char::from(b'0' + u8::try_from(rest).expect("a digit")));
    }
    if digits.is_empty() { "0".to_owned() } else { digits.into_iter().rev().collect() }
}
