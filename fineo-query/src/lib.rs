//! One SQL table per metric, wherever its rows are.
