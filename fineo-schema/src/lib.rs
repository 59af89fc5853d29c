//! What a tenant's data means: names, aliases, types, changes, resolution.

pub mod coerce;
pub mod name;

mod change;
mod column;
mod declaration;
mod discovery;
mod document;
mod edit;
mod field;
mod metric;
mod policy;
mod record;
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
pub use discovery::Discovery;
pub use field::{Conversion, Field, FieldId, FieldType, ScopedConversion};
pub use metric::{Metric, Slot};
pub use name::Found;
pub use policy::{Identity, MissingTimestamp, UnknownMetric};
pub use record::{Cell, RecordHead, RecordLayout, RecordVisitor};
pub use seen::{NameStats, SeenNames};
pub use snapshot::{DeletedMetric, Settings, TenantSchema};
pub use store::SchemaStore;
pub use suggest::{Suggestion, SuggestionKind, suggest};
pub use time::{TimeFormat, TimeParser};
pub use unit::Unit;
