//! Replay, by this process or by the server that holds the stores.

use std::path::Path;

use fineo::{
    Fineo,
    core::{TimeRange, Timestamp, archive::Stage},
    ingest::{ReplayMode, ReplayRequest, Speed},
};
use fineo_server::{
    client::{Method, Sent},
    http::replay::{ModeName, ReplayBody, ReplayView, StageName as ServedStage},
};

use super::Engine;
use crate::{
    args::{Mode, ReplayArgs, SpeedName, StageName},
    failure::Failure,
    hints,
    report::Report,
};

impl Engine {
    /// Sends archived events through a stage again.
    pub(crate) async fn replay(&self, args: &ReplayArgs) -> Result<Report, Failure> {
        if let Some(directory) = &args.into {
            return self.replay_into(args, directory).await;
        }
        let stage = args.stage.unwrap_or(StageName::Raw);
        let view = match self {
            Self::Own(fineo) => {
                let request = replay_request(args, stage);
                let request = match &args.predicate {
                    Some(predicate) => fineo.errors_where(request, predicate).await?,
                    None => request,
                };
                self.restore_cold(args, &request).await?;
                ReplayView::from(&fineo.replay(request).await?)
            }
            Self::Served(client) => {
                self.restore_cold(args, &replay_request(args, stage)).await?;
                let body = ReplayBody {
                    stage: match stage {
                        StageName::Raw => ServedStage::Raw,
                        StageName::Staged => ServedStage::Staged,
                    },
                    mode: match args.mode {
                        Mode::ReDerive => ModeName::ReDerive,
                        Mode::AsRecorded => ModeName::AsRecorded,
                    },
                    metric: args.metric.clone(),
                    from: args.from.map(|from| from.to_string()),
                    to: args.to.map(|to| to.to_string()),
                    errors_only: args.errors_only,
                    predicate: args.predicate.clone(),
                };
                client.ask(Method::POST, "/v1/replay", Sent::to(&args.tenant).with_json(&body)?).await?
            }
        };
        if view.events == 0 {
            hints::note_unknown(self, &args.tenant).await;
        }
        replay_report(&view)
    }

    /// Sends what was received to the instance in another directory.
    async fn replay_into(&self, args: &ReplayArgs, directory: &Path) -> Result<Report, Failure> {
        let Self::Own(fineo) = self else {
            let message = "a server holds the directory: stop it, or replay a backup of it that was restored";
            return Err(Failure::Misuse(message.to_owned()));
        };
        let speed = match args.speed {
            SpeedName::Fastest => Speed::Fastest,
            SpeedName::Recorded => Speed::Recorded,
        };
        let request = replay_request(args, StageName::Raw);
        self.restore_cold(args, &request).await?;
        let other = Fineo::local(directory).open().await?;
        let sent = fineo.replay_into(&request, &other, speed).await;
        let closed = other.close().await;
        let sent = sent?;
        closed?;
        let expired_until = sent.expired_until.map(|until| until.to_string());
        let mut text = format!("sent {} events, {} bytes\n", sent.events, sent.bytes);
        text.extend(expired_until.as_deref().map(gone_line));
        let value = serde_json::json!({ "events": sent.events, "bytes": sent.bytes, "expired_until": expired_until });
        Report::new(text, &value)
    }
}

fn replay_request(args: &ReplayArgs, stage: StageName) -> ReplayRequest {
    let stage = match stage {
        StageName::Raw => Stage::Raw,
        StageName::Staged => Stage::Staged,
    };
    let mode = match args.mode {
        Mode::ReDerive => ReplayMode::ReDerive,
        Mode::AsRecorded => ReplayMode::AsRecorded,
    };
    let time = TimeRange {
        from: args.from.map_or(TimeRange::ALL.from, Timestamp::micros),
        to: args.to.map_or(TimeRange::ALL.to, Timestamp::micros),
    };
    ReplayRequest::new(stage, args.tenant.clone())
        .with_mode(mode)
        .with_metric(args.metric.clone())
        .with_time(time)
        .with_errors_only(args.errors_only)
}

/// Tells what the archive no longer has.
fn gone_line(until: &str) -> String {
    format!("what arrived until {until} is no longer in the archive and was not replayed\n")
}

fn replay_report(report: &ReplayView) -> Result<Report, Failure> {
    let rejected = report.rejected;
    let mut text = format!(
        "replayed {}, passed {}, rejected {rejected}, repaired {}, new rows {}, rows known already {}\n",
        report.events, report.passed, report.repaired, report.rows, report.duplicates
    );
    for (code, count) in &report.rejected_by_code {
        text.push_str(&format!("  rejected {count} × {code}\n"));
    }
    if report.deleted > 0 {
        let passed_over = format!("  passed over {} of metrics that were deleted since\n", report.deleted);
        text.push_str(&passed_over);
    }
    if let Some(until) = &report.expired_until {
        text.push_str(&gone_line(until));
    }
    Report::new(text, report)
}
