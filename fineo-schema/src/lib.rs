//! What a tenant's data means: names, aliases, types, changes, resolution.
//!
//! A [`SchemaStore`] keeps schemas and makes [`Change`]s. A [`TenantSchema`] is one version, immutable: stage
//! raw looks names up in it and writes records by a [`RecordLayout`], SQL asks it for [`LogicalColumn`]s.
//! [`Discovery`] counts the names that events bear, declared or not.
//!
//! ```
//! use fineo_schema::{TimeFormat, TimeParser, coerce};
//!
//! let format = TimeFormat::parse("%d/%m/%Y %H:%M @ Europe/Berlin")?;
//! let time = TimeParser::new([&format].into_iter()).parse("14/02/2016 0:00");
//! assert_eq!(time.map(|time| time.to_string()).as_deref(), Some("2016-02-13T23:00:00Z"));
//! assert_eq!(coerce::long("1.0"), Some(1));
//! assert_eq!(coerce::long("warm"), None);
//! # Ok::<(), fineo_core::Error>(())
//! ```

pub mod avro;
pub mod coerce;
pub mod name;

mod change;
mod column;
mod declaration;
mod discovery;
mod document;
mod edit;
mod field;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod metric;
mod misfit;
mod policy;
mod record;
mod retain;
mod role;
mod seen;
mod snapshot;
mod store;
mod suggest;
mod time;
mod undo;
mod unit;
mod wire;

pub use change::{Applied, Change, ChangeId, ChangeRequest, HistoryEntry, StatedConversion};
pub use column::{LogicalColumn, Source};
pub use declaration::{
    ConversionDeclaration, Declaration, FieldDeclaration, MetricDeclaration, Ordered, Plan, TimestampDeclaration,
    fields_of_example,
};
pub use discovery::{Discovery, TimesSeen};
pub use field::{Conversion, Field, FieldId, FieldType, ScopedConversion};
pub use metric::{Metric, Slot};
pub use misfit::misfits;
pub use name::Found;
pub use policy::{Identity, MissingTimestamp, UnknownMetric};
pub use record::{Cell, Cells, RecordHead, RecordLayout, RecordValue, RecordVisitor, SentName, ValueVisitor};
pub use retain::RetainDays;
pub use role::{Grant, Role};
pub use seen::{NameStats, SeenNames};
pub use snapshot::{DeletedMetric, Settings, TenantSchema};
pub use store::SchemaStore;
pub use suggest::{Suggestion, SuggestionKind, suggest};
pub use time::{TimeFormat, TimeParser};
pub use unit::Unit;
