//! Edge, the two stages, drivers, archives, errors and replay.
