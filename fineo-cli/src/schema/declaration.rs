//! The schema as a file.

use std::{
    io::{self, Write},
    path::Path,
};

use fineo::{core::TenantId, schema::Declaration};

use super::{print_lines, report_version};
use crate::{engine::Engine, failure::Failure, input};

/// What a file says, once it is known to make sense.
pub(super) fn read(file: &Path) -> Result<String, Failure> {
    let text = input::read_text(file, Declaration::BYTES_MAX as u64)?;
    Declaration::parse(&text).map_err(|error| error.with("file", file.display()))?;
    Ok(text)
}

/// Prints what it takes to make the schema what `declaration` says, and does it unless it is to stop there.
pub(super) async fn apply(
    engine: &Engine,
    tenant: &TenantId,
    declaration: &str,
    is_dry_run: bool,
) -> Result<(), Failure> {
    let plan = engine.plan(tenant, declaration).await?;
    if plan.changes.is_empty() {
        return print_lines(&[format!("nothing to change: version {} is as the file says", plan.base)]);
    }
    print_lines(&plan.lines)?;
    if is_dry_run {
        return Ok(());
    }
    report_version(tenant, &engine.apply_plan(tenant, plan).await?)
}

/// Prints the schema as a file that, applied to it, changes nothing.
pub(super) async fn export(engine: &Engine, tenant: &TenantId) -> Result<(), Failure> {
    let text = engine.export(tenant).await?.to_yaml()?;
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    Ok(stdout.flush()?)
}
