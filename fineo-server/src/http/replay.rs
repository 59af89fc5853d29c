//! `POST /v1/replay`: archived events through a stage again.

use std::collections::BTreeMap;

use axum::{Json, body::Body, extract::State, http::HeaderMap};
use fineo::{Clock, ReplayMode, ReplayReport, ReplayRequest, Stage, Timestamp, core::TimeRange, schema::TimeParser};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Room, body,
    caller::Caller,
    problem::{Problem, ProblemDetails},
};
use crate::Scope;

/// A stage of the pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StageName {
    /// Events as sent become records.
    Raw,
    /// Records become rows.
    Staged,
}

/// Which schema a replay uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ModeName {
    /// The schema of today.
    #[default]
    ReDerive,
    /// The schema versions that were recorded then.
    AsRecorded,
}

/// What to replay.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayBody {
    /// The stage to run again.
    pub stage: StageName,
    /// Which schema to read the events with.
    #[serde(default)]
    pub mode: ModeName,
    /// Only events of this metric.
    #[serde(default)]
    pub metric: Option<String>,
    /// Only events that arrived at this time (RFC 3339) or later.
    #[serde(default)]
    pub from: Option<String>,
    /// Only events that arrived before this time (RFC 3339).
    #[serde(default)]
    pub to: Option<String>,
    /// Only events that have an error which is not repaired.
    #[serde(default)]
    pub errors_only: bool,
    /// Of those only the ones for which this SQL condition over the columns of `errors.stream` holds.
    #[serde(default, rename = "where")]
    pub predicate: Option<String>,
}

/// What a replay did.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ReplayView {
    /// Events that were read.
    pub events: u64,
    /// Events that the stage passed on.
    pub passed: u64,
    /// Events that it rejected.
    pub rejected: u64,
    /// Those by code.
    pub rejected_by_code: BTreeMap<String, u64>,
    /// Events of metrics that were deleted since: they were passed over.
    #[serde(default)]
    pub deleted: u64,
    /// Error rows that were marked as repaired.
    pub repaired: u64,
    /// New rows of the tenant while the replay ran, those of events that came in meanwhile too.
    pub rows: u64,
    /// Rows that were known already, counted in the same way.
    pub duplicates: u64,
    /// Of what was asked for, events that arrived until then are no longer in the archive; none while it has everything.
    pub expired_until: Option<String>,
}

impl From<&ReplayReport> for ReplayView {
    fn from(report: &ReplayReport) -> Self {
        Self {
            events: report.events,
            passed: report.passed,
            rejected: report.rejected.values().sum(),
            rejected_by_code: report.rejected.iter().map(|(code, count)| ((*code).to_owned(), *count)).collect(),
            deleted: report.deleted,
            repaired: report.repaired,
            rows: report.rows,
            duplicates: report.duplicates,
            expired_until: report.expired_until.map(|until| until.to_string()),
        }
    }
}

/// Sends archived events through a stage again; never makes a second row.
#[utoipa::path(post, path = "/v1/replay", tag = "admin", request_body = ReplayBody, responses(
    (status = 200, description = "what was done", body = ReplayView),
    (status = "4XX", description = "a problem", body = ProblemDetails, content_type = "application/problem+json")))]
pub(super) async fn replay(
    State(room): State<Room>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<ReplayView>, Problem> {
    let tenant = caller.require(Scope::Admin)?;
    let asked: ReplayBody = caller.unless_ended(&room, body::read_json(&room, &headers, body)).await?;
    let stage = match asked.stage {
        StageName::Raw => Stage::Raw,
        StageName::Staged => Stage::Staged,
    };
    let mode = match asked.mode {
        ModeName::ReDerive => ReplayMode::ReDerive,
        ModeName::AsRecorded => ReplayMode::AsRecorded,
    };
    let time = TimeRange {
        from: asked.from.map_or(Ok(TimeRange::ALL.from), instant)?,
        to: asked.to.map_or(Ok(TimeRange::ALL.to), instant)?,
    };
    let request = ReplayRequest::new(stage, tenant.clone())
        .with_mode(mode)
        .with_metric(asked.metric)
        .with_time(time)
        .with_errors_only(asked.errors_only);
    let fineo = room.fineo().clone();
    let clock: std::sync::Arc<dyn Clock> = room.shared().clock.clone();
    let begun = clock.now();
    let replaying = async {
        match &asked.predicate {
            Some(predicate) => fineo.replay_errors_where(request, predicate).await,
            None => fineo.replay(request).await,
        }
    };
    let report = caller.unless_ended(&room, replaying).await?;
    tracing::info!(micros = clock.now().micros() - begun.micros(), events = report.events, "replayed");
    Ok(Json(ReplayView::from(&report)))
}

fn instant(text: String) -> Result<i64, Problem> {
    let parsed: Option<Timestamp> = TimeParser::new(std::iter::empty()).parse(&text);
    let invalid = || Problem::bad_request("invalid", "not a time: write it as 2026-01-31T00:00:00Z");
    parsed.map(Timestamp::micros).ok_or_else(invalid)
}
