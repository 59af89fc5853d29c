//! Tables on a store in memory: commits, conflicts, columns, floors, garbage.

mod bad_input;
mod columns;
mod commits;
mod fixture;
mod garbage;
mod ids;
mod sweep;
