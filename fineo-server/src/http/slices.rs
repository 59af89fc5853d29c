//! A body as it comes, unpacked: a slice at a time, each within bounds of size and time.

use std::sync::Arc;

use axum::{
    body::Body,
    http::{HeaderMap, StatusCode, header},
};
use bytes::Bytes;
use fineo::Clock;
use http_body_util::BodyExt;

use super::{
    Room,
    packing::{Packing, Unpacker},
    problem::Problem,
};
use crate::DoorLimits;

/// About how much of a body is held before it is passed on.
pub(super) const SLICE_BYTES: usize = 1 << 20;
/// The most bytes that are read for nothing, so that a client that sends all before it reads hears what was wrong.
const LINGER_BYTES: usize = 16 << 20;

/// A body as it comes.
pub(super) struct Slices {
    body: Body,
    unpacker: Option<Unpacker>,
    /// What came and is not unpacked yet.
    packed: Bytes,
    /// What was unpacked and not passed on yet.
    unpacked: Vec<u8>,
    /// How many bytes came, and how many they became.
    sent: usize,
    made: usize,
    bytes_max: usize,
    limits: Arc<DoorLimits>,
    clock: Arc<dyn Clock>,
    /// Whether nothing more comes, or nothing more is waited for.
    is_over: bool,
}

impl Slices {
    /// Begins to read `body`, of at most `bytes_max` bytes, packed and unpacked alike. One that says that it has more is
    /// refused at once.
    pub(super) fn new(room: &Room, headers: &HeaderMap, body: Body, bytes_max: usize) -> Result<Self, Problem> {
        let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        if length.is_some_and(|length| length > bytes_max as u64) {
            return Err(Problem::too_large(bytes_max));
        }
        Ok(Self {
            body,
            unpacker: Unpacker::new(Packing::of(headers)?)?,
            packed: Bytes::new(),
            unpacked: Vec::new(),
            sent: 0,
            made: 0,
            bytes_max,
            limits: Arc::clone(&room.shared().limits),
            clock: Arc::clone(&room.shared().clock),
            is_over: false,
        })
    }

    /// Passes the next slice on to `add`; says whether it is the last one. It has to come within the time for a body.
    pub(super) async fn next(&mut self, mut add: impl FnMut(&[u8])) -> Result<bool, Problem> {
        let mut deadline = self.clock.sleep(self.limits.body_max);
        let end = self.made + SLICE_BYTES;
        while self.made < end {
            if self.unpack()? {
                self.pass_on(&mut add)?;
                continue;
            }
            let frame = tokio::select! {
                frame = self.body.frame() => frame,
                () = &mut deadline => {
                    self.is_over = true;
                    let detail = "the body did not come in time";
                    return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", detail));
                }
            };
            let Some(frame) = frame else {
                self.is_over = true;
                if let Some(unpacker) = &mut self.unpacker {
                    unpacker.finish(&mut self.unpacked)?;
                    self.pass_on(&mut add)?;
                }
                return Ok(true);
            };
            let frame = frame.inspect_err(|_| self.is_over = true);
            let frame = frame.map_err(|_| Problem::bad_request("body_unreadable", "the body broke off"))?;
            let Ok(data) = frame.into_data() else { continue };
            self.sent += data.len();
            self.check(self.sent)?;
            match self.unpacker {
                Some(_) => self.packed = data,
                None => {
                    self.made += data.len();
                    add(&data);
                }
            }
        }
        Ok(false)
    }

    /// Unpacks a little of what came; says whether there was any.
    fn unpack(&mut self) -> Result<bool, Problem> {
        let Some(unpacker) = &mut self.unpacker else { return Ok(false) };
        Ok(unpacker.step(&mut self.packed, &mut self.unpacked)?.is_some())
    }

    fn pass_on(&mut self, add: &mut impl FnMut(&[u8])) -> Result<(), Problem> {
        self.made += self.unpacked.len();
        self.check(self.made)?;
        add(&self.unpacked);
        self.unpacked.clear();
        Ok(())
    }

    fn check(&self, bytes: usize) -> Result<(), Problem> {
        if bytes <= self.bytes_max { Ok(()) } else { Err(Problem::too_large(self.bytes_max)) }
    }

    /// Reads on for nothing, within bounds: who still sends may not hear an answer, and takes a connection that is closed
    /// for the end of it.
    pub(super) async fn linger(&mut self) {
        let mut deadline = self.clock.sleep(self.limits.hello_max);
        let end = self.sent.saturating_add(LINGER_BYTES);
        while !self.is_over && self.sent < end {
            let frame = tokio::select! {
                frame = self.body.frame() => frame,
                () = &mut deadline => return,
            };
            let Some(Ok(frame)) = frame else { return };
            self.sent += frame.data_ref().map_or(0, Bytes::len);
        }
    }
}
