//! `fineo tables`: where a tenant's columnar tables are.

use fineo::TableStatus;

use crate::{
    args::{Format, SummaryFormat, TablesArgs},
    engine::Opener,
    failure::{Failure, say},
    hints,
    listing::{Listing, cell},
    report::Report,
    stop::unless_stopped,
};

/// Shows the tables.
pub(crate) async fn run(args: &TablesArgs, opener: &Opener) -> Result<(), Failure> {
    let engine = opener.open().await?;
    let result = unless_stopped(async {
        let tables = engine.tables(&args.tenant).await?;
        let is_known = !tables.is_empty() || !hints::note_unknown(&engine, &args.tenant).await;
        Ok((tables, is_known))
    });
    let result = result.await;
    let (tables, is_known) = engine.finish(result).await?;
    match args.output {
        SummaryFormat::Json => Report::new(String::new(), &tables)?.print(args.output),
        SummaryFormat::Text if !tables.is_empty() => print(&tables),
        SummaryFormat::Text => {
            if is_known {
                say("note: no columnar table yet; recent rows are in the nearline store, and SQL answers from there");
            }
            Ok(())
        }
    }
}

fn print(tables: &[TableStatus]) -> Result<(), Failure> {
    let mut listing = Listing::new(&["metric", "files", "rows", "bytes", "location"]);
    for table in tables {
        let numbers = [table.files, table.rows, table.bytes].map(cell);
        let [files, rows, bytes] = numbers;
        listing.push([cell(&table.metric), files, rows, bytes, cell(&table.location)]);
    }
    listing.print(Format::Table)
}
