//! A stream of nested social-network-like events: users, commits, records within records.

use std::collections::BTreeMap;
use std::io::Result;

use crate::config::{Config, Nested};
use crate::output::{Output, put};
use crate::random::Random;

const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

fn id(random: &mut Random, length: usize) -> String {
    (0..length).map(|_| BASE32[random.below(32) as usize] as char).collect()
}

/// A user's identifier follows from its number alone.
fn user_id(user: u64) -> String {
    id(&mut Random::new(user ^ 0xABCDEF), 24)
}

/// One event on its way into the buffer.
struct Draft<'a> {
    nested: &'a Nested,
    users: u64,
    user: u64,
    time_us: i64,
    iso: String,
}

/// Writes `events` lines in order of time and counts them by kind.
pub fn write(
    config: &Config,
    nested: &Nested,
    events: u64,
    seed: u64,
    out: &mut Output,
) -> Result<BTreeMap<String, u64>> {
    let mut random = Random::new(seed);
    let users = ((events as f64 * nested.users_per_event) as u64).max(10);
    let span_us = config.days * 86_400e6;
    let mut counts = BTreeMap::new();
    let mut line = Vec::new();
    for i in 0..events {
        let draw = random.fraction();
        let user = (draw * draw * users as f64) as u64;
        let offset = (span_us * i as f64 / events as f64) as i64;
        let time_us = config.start_ms * 1000 + offset + random.below(2_000_000) as i64;
        let draft = Draft { nested, users, user, time_us, iso: iso(time_us) };
        line.clear();
        let kind = if random.fraction() < 0.01 {
            draft.identity(i, &mut line, &mut random)
        } else {
            draft.commit(&mut line, &mut random)
        };
        *counts.entry(kind).or_insert(0) += 1;
        out.line(&line)?;
    }
    Ok(counts)
}

/// A time of day in a January that has no end.
fn iso(time_us: i64) -> String {
    let s = time_us / 1_000_000;
    let (day, hour, minute, second) = (1 + (s / 86400) % 28, s / 3600 % 24, s / 60 % 60, s % 60);
    format!("2026-01-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", time_us / 1000 % 1000)
}

impl Draft<'_> {
    fn identity(&self, sequence: u64, line: &mut Vec<u8>, random: &mut Random) -> String {
        let (user, time_us, iso) = (user_id(self.user), self.time_us, &self.iso);
        put!(line, "{{\"did\":\"did:plc:{user}\",\"time_us\":{time_us},\"kind\":\"identity\",\"identity\":{{");
        let handle = id(random, 9);
        put!(
            line,
            "\"did\":\"did:plc:{user}\",\"handle\":\"{handle}.social\",\"seq\":{sequence},\"time\":\"{iso}\"}}}}\n"
        );
        "identity".into()
    }

    fn commit(&self, line: &mut Vec<u8>, random: &mut Random) -> String {
        let weights: Vec<f64> = self.nested.collections.iter().map(|c| c.w).collect();
        let index = random.pick(&weights);
        let collection = &self.nested.collections[index].id;
        let operation = if random.percent(8.0) {
            "delete"
        } else if random.percent(1.0) {
            "update"
        } else {
            "create"
        };
        let (user, time_us) = (user_id(self.user), self.time_us);
        let (revision, key) = (id(random, 11), id(random, 11));
        put!(
            line,
            "{{\"did\":\"did:plc:{user}\",\"time_us\":{time_us},\"kind\":\"commit\",\"commit\":{{\"rev\":\"3l{revision}\""
        );
        put!(line, ",\"operation\":\"{operation}\",\"collection\":\"{collection}\",\"rkey\":\"3l{key}\"");
        if operation != "delete" {
            put!(line, ",\"record\":{{\"$type\":\"{collection}\",\"createdAt\":\"{}\"", self.iso);
            match index {
                0 => self.post(collection, line, random),
                1 | 2 => self.subject(line, random),
                _ => put!(line, ",\"subject\":\"did:plc:{}\"", user_id(random.below(self.users))),
            }
            put!(line, "}},\"cid\":\"bafyrei{}\"", id(random, 52));
        }
        line.extend_from_slice(b"}}\n");
        format!("commit.{collection}.{operation}")
    }

    fn post(&self, collection: &str, line: &mut Vec<u8>, random: &mut Random) {
        let (langs, words) = (&self.nested.langs, &self.nested.words);
        let number = 4 + random.below(20);
        put!(line, ",\"langs\":[\"{}\"],\"text\":\"", langs[random.below(langs.len() as u64) as usize]);
        for i in 0..number {
            if i > 0 {
                line.push(b' ');
            }
            line.extend_from_slice(words[random.below(words.len() as u64) as usize].as_bytes());
        }
        line.push(b'"');
        if random.percent(40.0) {
            let author = user_id(random.below(self.users));
            let (key, cid) = (id(random, 11), id(random, 52));
            let post = format!("{{\"cid\":\"bafyrei{cid}\",\"uri\":\"at://did:plc:{author}/{collection}/3l{key}\"}}");
            put!(line, ",\"reply\":{{\"parent\":{post},\"root\":{post}}}");
        }
    }

    fn subject(&self, line: &mut Vec<u8>, random: &mut Random) {
        let author = user_id(random.below(self.users));
        let (cid, key) = (id(random, 52), id(random, 11));
        put!(line, ",\"subject\":{{\"cid\":\"bafyrei{cid}\",\"uri\":\"at://did:plc:{author}/app.feed.post/3l{key}\"}}");
    }
}
