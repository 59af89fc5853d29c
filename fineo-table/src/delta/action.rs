//! Files as actions of the log and back, and the text of a commit.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use deltalake_core::kernel::{Action, Add, CommitInfo, Remove, Transaction};
use fineo_core::{Error, ErrorKind, Result, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use super::{APPLICATION, NONCE};
use crate::{
    COLUMN_DAY, DataFile,
    text::{self, CoverText},
};

const TAG_FIRST: &str = "fineo.first";
const TAG_LAST: &str = "fineo.last";
const TAG_POSITIONS: &str = "fineo.positions";
const TAG_PART: &str = "fineo.part";

/// Makes `file` live; `statistics` are Delta's, as JSON.
pub(crate) fn add_of(file: &DataFile, statistics: String, now: Timestamp) -> Result<Add> {
    let positions = serde_json::to_string(&CoverText(file.positions.clone()))
        .map_err(|source| Error::internal("positions cannot be written").with_source(source))?;
    let tags = [
        (TAG_FIRST, file.first.micros().to_string()),
        (TAG_LAST, file.last.micros().to_string()),
        (TAG_POSITIONS, positions),
    ];
    let tags = tags.into_iter().chain(file.is_part.then(|| (TAG_PART, true.to_string())));
    Ok(Add {
        path: file.path.to_string(),
        partition_values: partition_of(file)?,
        size: signed(file.bytes),
        modification_time: now.micros() / 1000,
        data_change: true,
        stats: Some(statistics),
        tags: Some(tags.map(|(key, value)| (key.to_owned(), Some(value))).collect()),
        ..Add::default()
    })
}

/// Makes `file` live no longer.
pub(crate) fn remove_of(file: &DataFile, now: Timestamp) -> Result<Remove> {
    Ok(Remove {
        path: file.path.to_string(),
        data_change: true,
        deletion_timestamp: Some(now.micros() / 1000),
        extended_file_metadata: Some(true),
        partition_values: Some(partition_of(file)?),
        size: Some(signed(file.bytes)),
        ..Remove::default()
    })
}

fn partition_of(file: &DataFile) -> Result<HashMap<String, Option<String>>> {
    Ok(HashMap::from([(COLUMN_DAY.to_owned(), Some(text::day_text(file.day)?))]))
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The file that an action made live.
pub(crate) fn file_of(add: &Add) -> Result<DataFile> {
    let at = |error: Error| error.with("path", &add.path);
    if add.deletion_vector.is_some() {
        let message =
            "another program marked rows of a file as deleted: have it rewrite the file, or restore the table";
        return Err(at(Error::new(ErrorKind::Unsupported, message)));
    }
    let foreign = || at(Error::corrupt("a file of the table was not added by Fineo, or its entry is damaged"));
    let tag = |name: &str| add.tags.as_ref()?.get(name)?.as_deref();
    let instant = |name: &str| {
        let micros: i64 = tag(name)?.parse().ok()?;
        Timestamp::from_micros(micros).ok()
    };
    let positions: CoverText =
        tag(TAG_POSITIONS).and_then(|json| serde_json::from_str(json).ok()).ok_or_else(foreign)?;
    let day = add.partition_values.get(COLUMN_DAY).and_then(Option::as_deref).ok_or_else(foreign)?;
    Ok(DataFile {
        path: add.path.as_str().into(),
        day: text::day_of_text(day).map_err(|_| foreign())?,
        bytes: u64::try_from(add.size).map_err(|_| foreign())?,
        rows: rows_of(add).ok_or_else(foreign)?,
        first: instant(TAG_FIRST).ok_or_else(foreign)?,
        last: instant(TAG_LAST).ok_or_else(foreign)?,
        positions: positions.0,
        is_part: tag(TAG_PART).is_some(),
    })
}

fn rows_of(add: &Add) -> Option<u64> {
    #[derive(Deserialize)]
    struct Statistics {
        #[serde(rename = "numRecords")]
        rows: u64,
    }
    let statistics: Statistics = serde_json::from_str(add.stats.as_deref()?).ok()?;
    Some(statistics.rows)
}

/// One version of the log, as it is written: `actions`, and the number of the cover document.
pub(crate) fn commit_of(mut actions: Vec<Action>, number: i64, nonce: &str, now: Timestamp) -> Result<Bytes> {
    let info = CommitInfo {
        timestamp: Some(now.micros() / 1000),
        operation: Some("WRITE".into()),
        operation_parameters: Some(HashMap::from([("mode".to_owned(), Value::from("Append"))])),
        is_blind_append: Some(false),
        engine_info: Some(concat!("fineo/", env!("CARGO_PKG_VERSION")).into()),
        info: HashMap::from([(NONCE.to_owned(), Value::from(nonce))]),
        ..CommitInfo::default()
    };
    actions.insert(0, Action::CommitInfo(info));
    actions.push(Action::Txn(Transaction::new_with_last_update(APPLICATION, number, Some(now.micros() / 1000))));
    let mut text = String::new();
    for action in &actions {
        let line = serde_json::to_string(action)
            .map_err(|source| Error::internal("an action cannot be written").with_source(source))?;
        text.push_str(&line);
        text.push('\n');
    }
    Ok(Bytes::from(text))
}

/// The nonce of a version of the log; none when another program made it.
pub(crate) fn nonce_of(actions: &[Action]) -> Option<Arc<str>> {
    actions.iter().find_map(|action| match action {
        Action::CommitInfo(info) => info.info.get(NONCE).and_then(Value::as_str).map(Arc::from),
        Action::Metadata(_)
        | Action::Protocol(_)
        | Action::Add(_)
        | Action::Remove(_)
        | Action::Cdc(_)
        | Action::Txn(_)
        | Action::DomainMetadata(_) => None,
    })
}
