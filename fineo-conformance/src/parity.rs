//! What each backend keeps of each guarantee, as a table.

use std::{fmt::Write, sync::Arc};

use crate::{Backend, Verdict, all, run::run};

/// The cases alone, as a Markdown table: contract, guarantee, sentence.
pub fn parity_list() -> String {
    let mut table = String::from("| Contract | Guarantee | Case |\n|---|---|---|\n");
    for case in all() {
        let _ = writeln!(table, "| {} | {} | {} |", case.contract, case.guarantee, case.name);
    }
    table
}

/// Runs every case against every backend and renders a Markdown table: case by backend, with the reasons of
/// what was ignored below it. Blocks until all are done.
pub fn parity_table(backends: Vec<Box<dyn Backend>>) -> String {
    let backends: Vec<Arc<dyn Backend>> = backends.into_iter().map(Into::into).collect();
    let names: Vec<String> = backends.iter().map(|backend| backend.name()).collect();
    let mut table = format!("| Contract | Guarantee | Case | {} |\n", names.join(" | "));
    table.push_str(&format!("|---|---|---|{}\n", "---|".repeat(names.len())));
    let mut notes: Vec<String> = Vec::new();
    for case in all() {
        let _ = write!(table, "| {} | {} | {} |", case.contract, case.guarantee, case.name);
        for backend in &backends {
            let cell = match run(case, Arc::clone(backend)) {
                Ok(Verdict::Passed) => "yes".to_owned(),
                Ok(Verdict::Ignored(reason)) => format!("not asked [{}]", note(&mut notes, reason)),
                Err(_) => "**no**".to_owned(),
            };
            let _ = write!(table, " {cell} |");
        }
        table.push('\n');
    }
    for (index, reason) in notes.iter().enumerate() {
        let _ = write!(table, "\n[{}] {reason}\n", index + 1);
    }
    table
}

/// The number of the note that says `reason`.
fn note(notes: &mut Vec<String>, reason: String) -> usize {
    if let Some(index) = notes.iter().position(|known| *known == reason) {
        return index + 1;
    }
    notes.push(reason);
    notes.len()
}
