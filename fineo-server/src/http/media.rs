//! What the `Content-Type` of a body of events says of it.

use axum::http::{HeaderMap, StatusCode, header};

use super::problem::Problem;

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Media {
    /// In JSON.
    Json,
    /// In CSV.
    Csv,
    /// As clients send what they know nothing of.
    Unsaid,
}

impl Media {
    /// What `headers` say of a body; a problem where it is of a type that nothing here reads.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "" | "text/plain" | "application/octet-stream" | "application/x-www-form-urlencoded" => Ok(Self::Unsaid),
            "text/csv" | "application/csv" => Ok(Self::Csv),
            // `application/x-ndjson`, `application/jsonl`, `application/cloudevents+json`, …
            json if json.contains("json") => Ok(Self::Json),
            _ => Err(unsupported(&format!("events are not read from {essence}"))),
        }
    }

    /// The same where only JSON is taken.
    pub(super) fn not_csv(self) -> Result<(), Problem> {
        match self {
            Self::Json | Self::Unsaid => Ok(()),
            Self::Csv => Err(unsupported("this resource takes no CSV")),
        }
    }
}

fn unsupported(detail: &str) -> Problem {
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail).with_hint(
        "send an object, an array of objects or objects one after another, as application/json or application/x-ndjson; \
         CSV goes to POST /v1/batches as text/csv, or through fineo ingest",
    )
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue, header};

    use super::Media;

    fn of(content_type: &str) -> Option<Media> {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_str(content_type).unwrap())]);
        Media::of(&headers).ok()
    }

    #[test]
    fn what_clients_send_is_taken_for_what_it_says_and_a_type_that_nobody_reads_is_none() {
        assert_eq!(Media::of(&HeaderMap::new()).ok(), Some(Media::Unsaid));
        for (media, types) in [
            (Media::Json, ["application/json", "application/x-ndjson; charset=utf-8", "Application/JSONL"].as_slice()),
            (Media::Json, &["application/cloudevents+json", "text/json", "application/json-seq"]),
            (Media::Csv, &["text/csv", "text/csv; charset=utf-8; header=present", "Text/CSV", "application/csv"]),
            (Media::Unsaid, &["application/x-www-form-urlencoded", "application/octet-stream", "text/plain", ""]),
        ] {
            types.iter().for_each(|text| assert_eq!(of(text), Some(media), "{text}"));
        }
        for text in ["multipart/form-data; boundary=x", "application/xml", "text/tab-separated-values", "image/png"] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
