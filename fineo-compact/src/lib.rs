//! The batch half of Fineo.
