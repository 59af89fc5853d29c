//! Options that were mistyped where SQL is taken, which may begin with a hyphen too.

use std::ffi::OsString;

use clap::CommandFactory;
use fineo::schema::name::near;

use super::Arguments;

/// What is wrong with `words`, the whole command line, where one of them was taken for SQL that was meant as an option.
pub(crate) fn of_sql(words: impl IntoIterator<Item = OsString>) -> Option<String> {
    let mut words = words.into_iter().skip(1).filter_map(|word| word.into_string().ok());
    let mut command = Arguments::command();
    command.build();
    let sql = command.find_subcommand("sql")?;
    words.find(|word| word == sql.get_name())?;
    let longs: Vec<&str> = sql.get_arguments().filter_map(|argument| argument.get_long()).collect();
    let is_known = |word: &str| match word.strip_prefix("--") {
        Some(long) => longs.contains(&long.split('=').next().unwrap_or_default()),
        None => sql.get_arguments().any(|known| known.get_short() == word.chars().nth(1)),
    };
    let word = words
        .take_while(|word| word != "--")
        // Of more than one word, it is a comment that a statement follows.
        .filter(|word| word.len() > 1 && word.starts_with('-') && !word.contains(char::is_whitespace))
        .find(|word| !is_known(word))?;
    let name = word.split('=').next().unwrap_or_default();
    let meant = match name.strip_prefix("--") {
        Some(long) => near(long, longs.iter().copied()).into_iter().next(),
        None => longs
            .iter()
            .find(|long| name[1..].starts_with(|first: char| long.starts_with(first)))
            .map(ToString::to_string),
    };
    let meant = meant.map_or_else(String::new, |meant| format!("; --{meant} was meant?"));
    Some(format!("there is no option {name}{meant}"))
}

#[cfg(test)]
mod tests {
    use super::of_sql;

    #[test]
    fn an_option_that_is_none_is_named_with_the_one_that_was_meant() {
        for (line, expected) in [
            ("fineo sql --tenent beijing SELECT", Some("there is no option --tenent; --tenant was meant?")),
            ("fineo sql -t beijing SELECT", Some("there is no option -t; --tenant was meant?")),
            ("fineo --data-dir d sql --tenant t --formt=csv SELECT 1", Some("no option --formt; --format was meant?")),
            ("fineo sql --tenant t -9 x", Some("there is no option -9")),
            ("fineo sql --tenant t -fx.sql SELECT 1", None),
            ("fineo sql --tenant t --data-dir d SELECT 1", None),
            ("fineo errors -t x", None),
            ("fineo sql --tenant t -- --x y", None),
        ] {
            let told = of_sql(line.split(' ').map(Into::into));
            assert_eq!(told.is_some(), expected.is_some(), "{line}: {told:?}");
            assert!(told.unwrap_or_default().ends_with(expected.unwrap_or_default()), "{line}");
        }
        let comment = ["fineo", "sql", "--tenant", "t", "-- all\nSELECT 1", "more"];
        assert_eq!(of_sql(comment.map(Into::into)), None);
    }
}
