//! `errors.stream`: one row per rejected or failed event.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use fineo_core::MetricId;
use fineo_schema::FieldType;

use super::ruled_out::{self, WithRuledOut};
use crate::{
    catalog::Sources,
    column::{Column, Content},
    table::{RowTable, Rows},
};

/// The stored rows, where they are all there is.
pub(super) fn rows(sources: &Sources) -> Option<RowTable> {
    let has_ruled_out = sources.schema.metrics().any(|metric| metric.is_ruled_out());
    (!has_ruled_out).then(|| stored(sources))
}

fn stored(sources: &Sources) -> RowTable {
    let rows = Rows {
        store: Arc::clone(&sources.nearline),
        tenant: sources.schema.tenant().clone(),
        title: "errors.stream".into(),
        metrics: vec![MetricId::errors()],
        pins: None,
    };
    RowTable::new(Arc::new(rows), columns())
}

pub(super) fn table(sources: &Sources) -> Arc<dyn TableProvider> {
    let stored = stored(sources);
    let ruled_out: Vec<_> = sources.schema.metrics().filter(|metric| metric.is_ruled_out()).cloned().collect();
    if ruled_out.is_empty() {
        return Arc::new(stored);
    }
    Arc::new(WithRuledOut { stored, ruled_out: ruled_out::table(sources, ruled_out) })
}

/// Its columns: texts of cells, but for times and bytes.
pub(crate) fn columns() -> Vec<Column> {
    let own = |name: &str, content: Content| Column { name: name.into(), content };
    vec![
        Column::text("stage"),
        Column::text("class"),
        Column::text("code"),
        Column::text("message"),
        Column::text("raw"),
        own("raw_bytes", Content::RawBytes),
        Column::text("metric"),
        own("received_at", Content::Timestamp),
        Column::cells("handled_at", "handled_at", Some(FieldType::Timestamp)),
        Column::text("build"),
        Column::text("replay_pointer"),
        own("repaired_at", Content::RepairedAt),
    ]
}
