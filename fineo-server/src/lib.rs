//! Doors for other people's tools.
