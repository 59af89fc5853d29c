//! What only the operator may do, at the socket in the data directory: reports, tokens, imports of any size.

use std::{io, num::NonZeroU32, path::PathBuf, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, Query, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use bytes::Bytes;
use fineo::{
    BackupReport, Error, ImportFormat, ImportOptions, ImportSource, Routing, TableStatus, TenantId, Timestamp,
    compact::{CompactOptions, CompactReport, Rewrite, Selection},
    ingest::Pieces,
};
use http_body_util::BodyExt;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio_util::task::AbortOnDropHandle;

use super::{Room, body, caller::Caller, problem::Problem, roles};
use crate::{
    Scope, Scopes,
    auth::{TokenId, TokenInfo, TokenRequest},
    compaction,
    import::{Counts, import},
};

/// How many pieces of an import wait to be read.
const PIECES_MAX: usize = 4;

/// A report for a person and for a program.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReportView {
    /// For a person.
    pub text: String,
    /// For a program.
    pub value: serde_json::Value,
}

/// What a new token is to be good for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NewToken {
    /// Whose data it opens.
    pub tenant: String,
    /// What it allows.
    pub scopes: Scopes,
    /// The role in which it reads.
    #[serde(default)]
    pub role: Option<Arc<str>>,
    /// When it ends, in microseconds since 1970.
    pub expires_at: Option<i64>,
    /// What it is for.
    pub note: String,
}

/// A token that was just made. The secret is shown this once.
#[derive(Serialize, Deserialize)]
pub struct MadeToken {
    /// The secret.
    pub token: String,
    /// What may be shown of it later.
    pub info: TokenInfo,
}

/// How an import is sent.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ImportQuery {
    /// Whose events they are.
    pub tenant: Option<String>,
    /// Or the key of each event that says so.
    pub tenant_field: Option<String>,
    /// The metric of the events that name none.
    pub metric: Option<String>,
    /// Whether they are CSV.
    #[serde(default)]
    pub is_csv: bool,
}

/// What is to be compacted, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CompactRequest {
    /// One tenant; else all.
    pub tenant: Option<String>,
    /// Whether days are rewritten that an earlier schema shaped.
    pub rewrite: bool,
    /// Whether the tables of the tenant are made anew out of its archive.
    pub fresh: bool,
    /// Of those only the tables of this metric.
    pub metric: Option<String>,
    /// Records in memory, in bytes.
    pub memory_bytes: Option<usize>,
    /// How hard files are packed.
    pub zstd_level: Option<i32>,
    /// How many hours compacted rows stay in the nearline store.
    pub keep_nearline_hours: Option<u32>,
    /// How many days the archive keeps what the stages received; else for ever.
    pub archive_retain_days: Option<NonZeroU32>,
}

impl CompactRequest {
    /// What this asks of a compactor.
    ///
    /// # Errors
    ///
    /// `Invalid` when the tenant is no id.
    pub fn options(&self) -> fineo::Result<CompactOptions> {
        let rewrite = if self.rewrite { Rewrite::Stale } else { Rewrite::Never };
        let mut options = CompactOptions::default().with_rewrite(rewrite);
        if let Some(tenant) = &self.tenant {
            options = options.with_selection(Selection::Tenant(TenantId::new(tenant)?));
        }
        if let Some(bytes) = self.memory_bytes {
            options = options.with_memory_bytes(bytes);
        }
        if let Some(level) = self.zstd_level {
            options = options.with_zstd_level(level);
        }
        if let Some(hours) = self.keep_nearline_hours {
            options = options.with_retain_for(Duration::from_secs(u64::from(hours) * 3600));
        }
        if let Some(days) = self.archive_retain_days {
            options = options.with_archive_retain(Some(Duration::from_secs(u64::from(days.get()) * 86_400)));
        }
        Ok(options)
    }
}

/// Where a backup goes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupRequest {
    /// The folder on the server's machine, which is new or empty.
    pub to: PathBuf,
}

/// One line of the answer to an import.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImportLine {
    /// How far it is.
    Progress(Counts),
    /// What became of it.
    Done(Counts),
    /// Why it ended early.
    Failed(String),
}

impl std::fmt::Debug for MadeToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MadeToken({})", self.info.id)
    }
}

pub(super) fn routes() -> Router<Room> {
    Router::new()
        .route("/operator/status", get(status))
        .route("/operator/capabilities", get(capabilities))
        .route("/operator/tokens", get(tokens).post(make_token))
        .route("/operator/tokens/{id}", delete(revoke_token))
        .route("/operator/tables", get(tables))
        .route("/operator/compact", post(compact))
        .route("/operator/backup", post(back_up))
        .route("/operator/import", post(take_in))
}

fn report(text: String, value: impl Serialize) -> Result<Json<ReportView>, Problem> {
    let value = serde_json::to_value(value)
        .map_err(|source| Error::internal("the report cannot be written as JSON").with_source(source))?;
    Ok(Json(ReportView { text, value }))
}

async fn status(State(room): State<Room>) -> Result<Json<ReportView>, Problem> {
    let status = room.fineo().status().await?;
    report(status.to_string(), &status)
}

async fn capabilities(State(room): State<Room>) -> Result<Json<ReportView>, Problem> {
    let capabilities = room.fineo().capabilities();
    report(capabilities.to_string(), &capabilities)
}

async fn tables(State(room): State<Room>, caller: Caller) -> Result<Json<Vec<TableStatus>>, Problem> {
    Ok(Json(room.fineo().tables(caller.require(Scope::Admin)?).await?))
}

async fn compact(State(room): State<Room>, headers: HeaderMap, body: Body) -> Result<Json<CompactReport>, Problem> {
    let asked: CompactRequest = body::read_json(&room, &headers, body).await?;
    let options = asked.options()?;
    let Some(tenant) = asked.tenant.as_deref().filter(|_| asked.fresh) else {
        return Ok(Json(compaction::once(room.fineo(), options).await?));
    };
    let (fineo, tenant) = (Arc::clone(room.fineo()), TenantId::new(tenant)?);
    let runtime = tokio::runtime::Handle::current();
    // It computes and reads for long stretches.
    let rebuild = move || runtime.block_on(fineo.rebuild(&tenant, asked.metric.as_deref(), options));
    let rebuilt = tokio::task::spawn_blocking(rebuild).await;
    Ok(Json(rebuilt.map_err(|source| Error::internal("making tables anew broke off").with_source(source))??))
}

async fn back_up(State(room): State<Room>, headers: HeaderMap, body: Body) -> Result<Json<BackupReport>, Problem> {
    let asked: BackupRequest = body::read_json(&room, &headers, body).await?;
    Ok(Json(room.fineo().backup(asked.to).await?))
}

#[derive(Debug, Deserialize)]
struct TokensQuery {
    tenant: Option<String>,
}

async fn tokens(State(room): State<Room>, Query(query): Query<TokensQuery>) -> Result<Json<Vec<TokenInfo>>, Problem> {
    let tenant = query.tenant.as_deref().map(TenantId::new).transpose()?;
    Ok(Json(room.shared().credentials.list(tenant.as_ref())))
}

async fn make_token(State(room): State<Room>, headers: HeaderMap, body: Body) -> Result<Json<MadeToken>, Problem> {
    let asked: NewToken = body::read_json(&room, &headers, body).await?;
    let request = TokenRequest {
        tenant: TenantId::new(&asked.tenant)?,
        scopes: asked.scopes,
        role: asked.role,
        expires_at: asked.expires_at.map(Timestamp::from_micros).transpose()?,
        note: asked.note,
    };
    roles::check_role(room.fineo(), &request.tenant, request.role.as_deref()).await?;
    let (token, info) = room.shared().credentials.create(request).await?;
    tracing::info!(token = %info.id, tenant = %info.tenant, "a token was made");
    Ok(Json(MadeToken { token: token.reveal().to_owned(), info }))
}

async fn revoke_token(State(room): State<Room>, Path(id): Path<String>) -> Result<Json<TokenInfo>, Problem> {
    let id = TokenId::new(&id).ok_or_else(|| Error::not_found("no such token").with("token", &id))?;
    let info = room.shared().credentials.revoke(&id).await?;
    tracing::info!(token = %info.id, tenant = %info.tenant, "a token was revoked");
    Ok(Json(info))
}

async fn take_in(State(room): State<Room>, Query(query): Query<ImportQuery>, body: Body) -> Result<Response, Problem> {
    let routing = match (&query.tenant, &query.tenant_field) {
        (Some(tenant), None) => Routing::Tenant(TenantId::new(tenant)?),
        (None, Some(key)) => Routing::Field(key.clone()),
        _ => return Err(Problem::bad_request("invalid", "say whose events these are: tenant or tenant_field")),
    };
    let format = if query.is_csv { ImportFormat::Csv } else { ImportFormat::Json };
    let options = ImportOptions::new(routing).with_format(format).with_metric(query.metric);
    let (shown, progress) = watch::channel(Counts::default());
    let (lines, receiver) = mpsc::channel(1);
    let task = tokio::spawn(run_import(room, body, options, shown, lines));
    let stream = answer_lines(progress, receiver, AbortOnDropHandle::new(task));
    let kind = HeaderValue::from_static("application/x-ndjson");
    Ok((StatusCode::OK, [(header::CONTENT_TYPE, kind)], Body::from_stream(stream)).into_response())
}

/// Imports what `body` brings; `lines` gets the last line.
async fn run_import(
    room: Room,
    body: Body,
    options: ImportOptions,
    shown: watch::Sender<Counts>,
    lines: mpsc::Sender<ImportLine>,
) {
    let (pieces, receiver) = mpsc::channel(PIECES_MAX);
    let feed = feed(body, pieces);
    let source = ImportSource::Reader(Box::new(Pieces::new(receiver)));
    let fineo = Arc::clone(room.fineo());
    let show = |counts: &Counts| drop(shown.send_replace(counts.clone()));
    let work = import(&fineo, source, options, &show);
    let (outcome, ()) = tokio::join!(work, feed);
    let line = match outcome {
        Ok(counts) => ImportLine::Done(counts),
        Err(error) => ImportLine::Failed(error.to_string()),
    };
    // A client that is gone needs no answer.
    let _ = lines.send(line).await;
}

/// Passes a body on, piece by piece, as fast as it is read.
async fn feed(mut body: Body, pieces: mpsc::Sender<io::Result<Bytes>>) {
    while let Some(frame) = body.frame().await {
        let piece = match frame {
            Ok(frame) => match frame.into_data() {
                Ok(data) => Ok(data),
                Err(_) => continue,
            },
            Err(_) => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
        };
        let is_broken = piece.is_err();
        if pieces.send(piece).await.is_err() || is_broken {
            return;
        }
    }
}

/// The lines of the answer: progress as it comes, then the end.
fn answer_lines(
    progress: watch::Receiver<Counts>,
    receiver: mpsc::Receiver<ImportLine>,
    task: AbortOnDropHandle<()>,
) -> impl futures::Stream<Item = Result<Bytes, std::convert::Infallible>> + Send {
    let state = Some((progress, receiver, task));
    futures::stream::unfold(state, |state| async move {
        let (mut progress, mut receiver, task) = state?;
        let (line, is_last) = tokio::select! {
            // A failure comes behind the counts of what is kept.
            biased;
            Ok(()) = progress.changed() => (ImportLine::Progress(progress.borrow_and_update().clone()), false),
            line = receiver.recv() => match line {
                Some(line) => (line, true),
                None => (ImportLine::Failed("the import broke off".to_owned()), true),
            },
        };
        let bytes = Bytes::from(format!("{}\n", json!(line)));
        Some((Ok(bytes), (!is_last).then_some((progress, receiver, task))))
    })
}
