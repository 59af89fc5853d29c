//! What a tenant's data means: names, aliases, types, changes, resolution.
