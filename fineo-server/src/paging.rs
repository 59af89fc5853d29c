//! Parameters that say how many rows: what follows `LIMIT`, `OFFSET` and `FETCH FIRST` is a whole number, although nothing but its place
//! says so.

use std::collections::BTreeSet;

use arrow::datatypes::DataType;

use crate::pg::words;

/// The parameters that follow `LIMIT`, `OFFSET` or `FETCH FIRST` in `sql`, counted from 0.
pub(crate) fn parameters(sql: &str) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    if !sql.contains('$') {
        return found;
    }
    let is_one_of = |word: &str, wanted: [&str; 2]| wanted.iter().any(|known| word.eq_ignore_ascii_case(known));
    let (mut before, mut says_how_many) = ("", false);
    for word in words(sql) {
        let is_fetched = before.eq_ignore_ascii_case("FETCH") && is_one_of(word, ["FIRST", "NEXT"]);
        let number = word.strip_prefix('$').and_then(|number| number.parse::<usize>().ok());
        if says_how_many && let Some(number) = number.and_then(|number| number.checked_sub(1)) {
            found.insert(number);
        }
        says_how_many = is_one_of(word, ["LIMIT", "OFFSET"]) || is_fetched || (says_how_many && word == "(");
        before = word;
    }
    found.retain(|number| *number < usize::from(u16::MAX));
    found
}

/// The types of the parameters of `sql`: those that are `given`, and those that their place in `LIMIT` or `OFFSET` gives.
pub(crate) fn types(sql: &str, given: &[Option<DataType>]) -> Vec<Option<DataType>> {
    let mut types = given.to_vec();
    for number in parameters(sql) {
        types.resize(types.len().max(number + 1), None);
        types[number].get_or_insert(DataType::Int64);
    }
    types
}

#[cfg(test)]
mod tests {
    use super::parameters;

    fn check(sql: &str, expected: &[usize]) {
        assert_eq!(parameters(sql).into_iter().collect::<Vec<_>>(), expected, "{sql}");
    }

    #[test]
    fn what_follows_limit_and_offset_says_how_many() {
        check("SELECT a FROM t WHERE b = $1 LIMIT $2 OFFSET $3", &[1, 2]);
        check("select a from t offset $1 rows limit/* all */$2", &[0, 1]);
        check("SELECT a FROM t LIMIT ( ($1)) OFFSET ($2)", &[0, 1]);
        check("SELECT a FROM t OFFSET 1 FETCH NEXT $1 ROWS ONLY", &[0]);
        check("SELECT a FROM t FETCH first ($2) ROW ONLY", &[1]);
        check("SELECT first $1, (fetch($2)) FROM t LIMIT (1) + $3", &[]);
        check("SELECT 'LIMIT $1' FROM t LIMIT 5", &[]);
        check("SELECT a FROM t LIMIT $0 OFFSET $99999999", &[]);
    }
}
