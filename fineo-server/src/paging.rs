//! Parameters that say how many rows: what follows `LIMIT` and `OFFSET` is a whole number, although nothing but its place
//! says so.

use std::collections::BTreeSet;

use arrow::datatypes::DataType;

use crate::pg::words;

/// The parameters that follow `LIMIT` or `OFFSET` in `sql`, counted from 0.
pub(crate) fn parameters(sql: &str) -> BTreeSet<usize> {
    if !sql.contains('$') {
        return BTreeSet::new();
    }
    let all: Vec<&str> = words(sql).collect();
    let number = |pair: &[&str]| {
        let says_how_many = ["LIMIT", "OFFSET"].iter().any(|word| pair[0].eq_ignore_ascii_case(word));
        pair[1].strip_prefix('$').filter(|_| says_how_many)?.parse::<usize>().ok()?.checked_sub(1)
    };
    let numbers = all.windows(2).filter_map(number);
    numbers.filter(|number| *number < usize::from(u16::MAX)).collect()
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
        check("SELECT 'LIMIT $1' FROM t LIMIT 5", &[]);
        check("SELECT a FROM t LIMIT $0 OFFSET $99999999", &[]);
    }
}
