//! What each fault does, and that plans repeat.
