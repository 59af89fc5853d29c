//! `fineo tables`: where a tenant's columnar tables are.

use fineo::TableStatus;

use crate::{
    args::{Format, SummaryFormat, TablesArgs},
    engine::Opener,
    failure::{Failure, say},
    listing::{Listing, cell},
    report::Report,
    stop::unless_stopped,
};

/// Shows the tables.
pub(crate) async fn run(args: &TablesArgs, opener: &Opener) -> Result<(), Failure> {
    let engine = opener.open().await?;
    let result = unless_stopped(engine.tables(&args.tenant)).await;
    let tables = engine.finish(result).await?;
    match args.output {
        SummaryFormat::Json => Report::new(String::new(), &tables)?.print(args.output),
        SummaryFormat::Text => print(&tables),
    }
}

fn print(tables: &[TableStatus]) -> Result<(), Failure> {
    if tables.is_empty() {
        say("note: no columnar table yet; recent rows are in the nearline store, and SQL answers from there");
        return Ok(());
    }
    let mut listing = Listing::new(&["metric", "files", "rows", "bytes", "location"]);
    for table in tables {
        let numbers = [table.files, table.rows, table.bytes].map(cell);
        let [files, rows, bytes] = numbers;
        listing.push([cell(&table.metric), files, rows, bytes, cell(&table.location)]);
    }
    listing.print(Format::Table)
}
