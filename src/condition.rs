//! A condition that somebody gave, within a statement of ours: what is wrong with it is told at its place in the condition.

use fineo_core::Error;

/// `statement`, which ends where a condition may stand, with `condition` in brackets.
pub(crate) fn with_condition(statement: &str, condition: &str) -> String {
    // On lines of its own: its columns stay what they are, and the end of the line ends a comment, too.
    format!("{statement} (\n{condition}\n)")
}

/// What is wrong with a statement that [`with_condition`] made, as it is to be told of the condition alone.
pub(crate) fn at_its_place(error: Error, condition: &str) -> Error {
    let position = error.context().iter().find(|(name, _)| *name == "position");
    let Some((line, column)) = position.and_then(|(_, position)| place(position)) else { return error };
    let lines: Vec<&str> = condition.split('\n').collect();
    if line <= lines.len() + 1 {
        return error.with_changed("position", |_| format!("line {}, column {column}", line.saturating_sub(1).max(1)));
    }
    let end = lines.last().map_or(0, |last| last.chars().count()) + 1;
    let error = error.with_changed("position", |_| format!("line {}, column {end}", lines.len()));
    error.with_changed("detail", |detail| detail.replace("found: )", "found: the end of the condition"))
}

/// The line and the column of a position that an error tells.
fn place(position: &str) -> Option<(usize, usize)> {
    let (line, column) = position.strip_prefix("line ")?.split_once(", column ")?;
    Some((line.parse().ok()?, column.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::{Error, at_its_place, with_condition};

    #[test]
    fn an_error_is_at_its_place_in_the_condition() {
        let statement = with_condition("SELECT 1 FROM t WHERE", "a = 1 AND\n b =");
        assert_eq!(statement, "SELECT 1 FROM t WHERE (\na = 1 AND\n b =\n)");
        let told = |position: &str| {
            let error = Error::invalid("wrong").with("detail", "found: )").with("position", position);
            at_its_place(error, "a = 1 AND\n b =").to_string()
        };
        assert_eq!(told("line 2, column 7"), "wrong: detail=found: ), position=line 1, column 7");
        assert_eq!(told("line 3, column 2"), "wrong: detail=found: ), position=line 2, column 2");
        assert_eq!(
            told("line 4, column 1"),
            "wrong: detail=found: the end of the condition, position=line 2, column 5"
        );
        assert_eq!(at_its_place(Error::invalid("wrong"), "a").to_string(), "wrong");
    }
}
