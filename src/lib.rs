//! Fineo.
