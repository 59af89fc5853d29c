//! Reads the body of a request, unpacked, within bounds of size and time.

use axum::{
    body::Body,
    http::{HeaderMap, StatusCode, header},
};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;

use super::{
    Room,
    packing::{Packing, unpack},
    problem::Problem,
};

/// The most room that is made for a body because of what it says of itself.
const RESERVED_BYTES_MAX: usize = 1 << 20;

/// The whole body, unpacked.
pub(super) async fn read(room: &Room, headers: &HeaderMap, body: Body) -> Result<Bytes, Problem> {
    let packing = Packing::of(headers)?;
    let limits = room.limits();
    let packed = collect(room, headers, body, limits.body_bytes_max).await?;
    match packing {
        Packing::None => Ok(packed),
        Packing::Gzip | Packing::Zstd => {
            let max = limits.unpacked_bytes_max;
            let unpacked = tokio::task::spawn_blocking(move || unpack(packing, packed, max)).await;
            unpacked.unwrap_or_else(|_| Err(Problem::bad_request("body_unreadable", "the body cannot be unpacked")))
        }
    }
}

/// The whole body as JSON.
pub(super) async fn read_json<T: DeserializeOwned>(room: &Room, headers: &HeaderMap, body: Body) -> Result<T, Problem> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if !(essence.eq_ignore_ascii_case("application/json") || essence.ends_with("+json")) {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "the body has to be JSON, with Content-Type: application/json",
        ));
    }
    let bytes = read(room, headers, body).await?;
    serde_json::from_slice(&bytes).map_err(|error| Problem::bad_request("body_unreadable", error.to_string()))
}

/// The body as it was sent.
async fn collect(room: &Room, headers: &HeaderMap, mut body: Body, max: usize) -> Result<Bytes, Problem> {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > max as u64) {
        return Err(Problem::too_large(max));
    }
    let mut deadline = room.shared().clock.sleep(room.limits().body_max);
    let mut pieces = Whole::default();
    loop {
        let frame = tokio::select! {
            frame = body.frame() => frame,
            () = &mut deadline => {
                let detail = "the body did not come in time";
                return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", detail));
            }
        };
        let Some(frame) = frame else { return Ok(pieces.finish()) };
        let frame = frame.map_err(|_| Problem::bad_request("body_unreadable", "the body broke off"))?;
        let Ok(data) = frame.into_data() else { continue };
        if pieces.len() + data.len() > max {
            return Err(Problem::too_large(max));
        }
        pieces.add(data, length.unwrap_or(0));
    }
}

/// A body piece by piece: one that comes in one piece is not copied, another once.
#[derive(Default)]
struct Whole {
    first: Bytes,
    rest: BytesMut,
}

impl Whole {
    fn len(&self) -> usize {
        self.first.len() + self.rest.len()
    }

    /// Adds a piece of a body that is said to have `length` bytes.
    fn add(&mut self, piece: Bytes, length: u64) {
        if self.len() == 0 {
            self.first = piece;
            return;
        }
        if self.rest.is_empty() {
            let said = usize::try_from(length).unwrap_or(RESERVED_BYTES_MAX).min(RESERVED_BYTES_MAX);
            self.rest.reserve(said.max(self.len() + piece.len()));
            self.rest.extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.rest.extend_from_slice(&piece);
    }

    fn finish(self) -> Bytes {
        if self.rest.is_empty() { self.first } else { self.rest.freeze() }
    }
}
