//! Carries the stages: reads a shard, passes batches on, and moves its checkpoint once everything is durable.

pub(crate) mod batch;
pub(crate) mod caught;
pub(crate) mod checkpoint;
pub(crate) mod cut;
pub(crate) mod earlier;
pub(crate) mod expired;
pub(crate) mod lease;
pub(crate) mod loss;
pub(crate) mod parts;
pub(crate) mod progress;
pub(crate) mod work;
pub(crate) mod worker;

#[cfg(test)]
mod tests;
