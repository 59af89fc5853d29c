//! What a Postgres client can send, fed to what reads it.

use std::num::NonZeroU32;

use bytes::{Bytes, BytesMut};
use fineo::{QueryLimits, core::SystemEntropy};
use fineo_conformance::Target;
use pgwire::api::Type;

use super::{
    catalog,
    command::Command,
    prepared::Prepared,
    request::{MESSAGE_BYTES_MAX, Request, hello, request},
    scram::{Exchange, MECHANISM},
    statements, values,
};
use crate::auth::ScramChallenge;

/// The readers by name.
pub(crate) const TARGETS: &[Target] =
    &[("pg_hello", greeted), ("pg_messages", messages), ("pg_sql", sql), ("pg_values", value), ("pg_scram", proof)];

/// The stack of a planner.
const STACK_BYTES: usize = 64 << 20;
const TYPES: [Type; 14] = [
    Type::BOOL,
    Type::INT2,
    Type::INT4,
    Type::INT8,
    Type::FLOAT4,
    Type::FLOAT8,
    Type::NUMERIC,
    Type::TIMESTAMPTZ,
    Type::DATE,
    Type::BYTEA,
    Type::TEXT,
    Type::INT4_ARRAY,
    Type::TEXT_ARRAY,
    Type::TIMESTAMPTZ_ARRAY,
];

/// What each of them may begin with.
pub(crate) fn seeds(target: &str) -> Vec<Vec<u8>> {
    let said: &[&[u8]] = match target {
        "pg_hello" => &[
            b"\0\0\0\x08\x04\xd2\x16\x2f",
            b"\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\x07abcd",
            b"\0\0\0\x21\0\x03\0\0user\0acme\0database\0fineo\0\0",
        ],
        "pg_messages" => &[
            b"Q\0\0\0\x0dSELECT 1\0",
            b"P\0\0\0\x1es\0SELECT $1, $2\0\0\x02\0\0\0\x14\0\0\0\x19B\0\0\0\x1fp\0s\0\0\x02\0\x01\0\0\0\x02\0\0\0\x02\0\x07\xff\xff\xff\xff\0\x01\0\x01",
            b"D\0\0\0\x07Ss\0E\0\0\0\x0ap\0\0\0\0\x05C\0\0\0\x07Pp\0H\0\0\0\x04S\0\0\0\x04X\0\0\0\x04",
        ],
        "pg_values" => &[
            b"\0t",
            b"\0-1.50e3",
            b"\0{1,NULL,\"a \\\" b\"}",
            b"\x002026-01-31T12:00:00.5+01:00",
            b"\0\\xdeadbeef",
            b"\x01\0\0\0\x02",
            b"\x01\0\x02\0\0\x40\0\0\x02\0\x01\x13\x88",
            b"\x01\0\0\0\x01\0\0\0\x01\0\0\0\x17\0\0\0\x01\0\0\0\x01\0\0\0\x04\0\0\0\x07",
        ],
        "pg_scram" => &[b"n,,n=acme,r=abcdef", b"c=biws,r=abcdef0123,p=dGVzdA==", b"y,a=x,n==2C=3D,r=x,ext=1"],
        _ => &[
            b"SELECT c.relname, ('a.b'::regproc), x = ANY('{a,\"b\"}') FROM pg_catalog.pg_class c LEFT JOIN pg_index i ON c.oid = i.indrelid",
            b"WITH k AS (SELECT unnest(indkey) AS n FROM pg_index) SELECT n, (k.x).y FROM k UNION SELECT 1 FROM pg_am ORDER BY 1",
            b"DECLARE c CURSOR FOR SELECT $1; FETCH FORWARD 3 FROM c; SET a TO 'b'; SHOW ALL; ROLLBACK TO s",
            b"SELECT E'\\'', $tag$ ; $tag$, /* /* ; */ */ \"a\"\"b\" -- x\n; SELECT set_config('a', 'b', false)",
        ],
    };
    said.iter().map(|said| said.to_vec()).collect()
}

/// What is read is taken away, until no more can be read.
fn greeted(bytes: &[u8]) {
    let mut buffer = BytesMut::from(bytes);
    let mut left = buffer.len();
    while let Ok(Some(_)) = hello(&mut buffer) {
        assert!(buffer.len() < left, "nothing was taken away");
        left = buffer.len();
    }
}

fn messages(bytes: &[u8]) {
    let mut buffer = BytesMut::from(bytes);
    let mut left = buffer.len();
    while let Ok(Some((_, read))) = request(&mut buffer, MESSAGE_BYTES_MAX) {
        assert!(buffer.len() < left, "nothing was taken away");
        left = buffer.len();
        match read {
            Ok(Request::Parse { sql, types, .. }) => drop(Prepared::new(sql, types)),
            Ok(Request::Bind(bind)) => {
                let held: usize = bind.values.iter().flatten().map(Bytes::len).sum();
                assert!(held <= bytes.len(), "more than was sent");
            }
            Ok(_) | Err(_) => {}
        }
    }
}

/// The first byte says the form, the others are the value; it is read as one of every type.
fn value(bytes: &[u8]) {
    let Some((form, rest)) = bytes.split_first() else { return };
    let rest = Bytes::copy_from_slice(rest);
    for of in &TYPES {
        // What is no such value is refused; that is all that counts.
        let _ = values::parameter(1, of, form % 2 == 1, Some(&rest));
    }
}

/// The bytes as the client's first message, and as its last.
fn proof(bytes: &[u8]) {
    let challenge = ScramChallenge { salt: [7; 16], iterations: NonZeroU32::MIN };
    let entropy = SystemEntropy::new();
    let wrapped = |text: &[u8]| {
        let length = u32::try_from(text.len()).expect("what is fed is short").to_be_bytes();
        Bytes::from([MECHANISM.as_bytes(), b"\0", &length, text].concat())
    };
    let _ = Exchange::begin(wrapped(bytes), &challenge, &entropy);
    let begun = Exchange::begin(wrapped(b"n,,n=,r=abc"), &challenge, &entropy).expect("a first message");
    assert!(begun.claim(bytes).is_err(), "nobody guesses the nonce");
}

/// The pieces of a text are parts of it; those about the catalog are read on the stack of a planner.
fn sql(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for piece in statements::split(text) {
        assert!(text.contains(piece.sql) && piece.start <= text.chars().count());
        let _ = Command::of(piece.sql);
        if !catalog::may_be_asked(piece.sql) || QueryLimits::default().check(piece.sql).is_err() {
            continue;
        }
        let sql = piece.sql.to_owned();
        let read = move || catalog::read(&sql);
        let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(read).expect("a thread begins");
        thread.join().expect("no text breaks the catalog");
    }
}
