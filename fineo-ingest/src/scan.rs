//! Finds events in bytes and reads their fields, in one pass and without recursion.

pub(crate) mod delimited;
pub(crate) mod event;
pub(crate) mod frame;
pub(crate) mod names;
pub(crate) mod text;
pub(crate) mod value;
