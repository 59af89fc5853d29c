//! `x = ANY($1)` and `x <> ALL($1)` with a list as the parameter, in words of the engine.
//!
//! The engine compares with lists of expressions only. What such a parameter is compared with says of which type its
//! items are, and each item becomes a parameter of its own: `x IN ($1, $2, …)`.

use std::{borrow::Cow, collections::BTreeSet, ops::Range};

use super::{
    failure::Failure,
    statements::words,
    values::{self, Given},
};

/// The most items of all lists of a statement.
const ITEMS_MAX: usize = 10_000;

/// One place where a parameter is compared as a list.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    /// From the sign to the closing parenthesis.
    range: Range<usize>,
    /// Counted from 0.
    parameter: usize,
    /// `<> ALL` rather than `= ANY`.
    is_negated: bool,
}

/// The places of a statement where its parameters are lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Lists(Vec<Place>);

impl Lists {
    pub(super) fn of(sql: &str) -> Self {
        if !sql.contains('$') || !sql.contains('(') {
            return Self::default();
        }
        let all: Vec<&str> = words(sql).collect();
        Self((0..all.len()).filter_map(|index| place(sql, &all[index..])).collect())
    }

    /// The parameters that are lists, counted from 0.
    pub(super) fn parameters(&self) -> BTreeSet<usize> {
        self.0.iter().map(|place| place.parameter).collect()
    }

    /// `sql` with each list compared as if it were one of its items, at the same positions.
    pub(super) fn as_items<'a>(&self, sql: &'a str) -> Cow<'a, str> {
        self.replaced(sql, |place| {
            let sign = if place.is_negated { "<>" } else { "=" };
            let spelled = format!("{sign} ${}", place.parameter + 1);
            format!("{spelled:<width$}", width = place.range.len())
        })
    }

    /// `sql` and `values` with the items of the lists instead of the lists.
    ///
    /// # Errors
    ///
    /// Where a value is no list, or the lists have too many items.
    pub(super) fn spelled<'a>(
        &self,
        sql: &'a str,
        mut values: Vec<Given>,
    ) -> Result<(Cow<'a, str>, Vec<Given>), Failure> {
        let mut numbers: Vec<Option<Vec<usize>>> = vec![None; values.len()];
        for parameter in self.parameters() {
            let Some(value) = values.get_mut(parameter) else { continue };
            let items = match std::mem::replace(value, Given::null()) {
                Given::Many(items) => items,
                // A list that was called a text, and no list at all.
                Given::One(fineo::Parameter::Text(text)) => values::texts(&text)?,
                Given::One(_) => continue,
            };
            if values.len() + items.len() > ITEMS_MAX {
                let message = format!("lists of more than {ITEMS_MAX} items cannot be compared with");
                return Err(Failure::error("54000", message));
            }
            let first = values.len();
            numbers[parameter] = Some((first..first + items.len()).collect());
            values.extend(items.into_iter().map(Given::One));
        }
        let sql = self.replaced(sql, |place| match numbers.get(place.parameter).and_then(Option::as_ref) {
            Some(items) if !items.is_empty() => {
                let items: Vec<String> = items.iter().map(|index| format!("${}", index + 1)).collect();
                format!(" {} ({})", if place.is_negated { "NOT IN" } else { "IN" }, items.join(", "))
            }
            // Nothing is in an empty list, null neither; no list at all leaves it open.
            Some(_) if place.is_negated => " IN (NULL) IS NOT TRUE".to_owned(),
            Some(_) => " IN (NULL) IS TRUE".to_owned(),
            None => " IN (NULL)".to_owned(),
        });
        Ok((sql, values))
    }

    fn replaced<'a>(&self, sql: &'a str, spelling: impl Fn(&Place) -> String) -> Cow<'a, str> {
        if self.0.is_empty() {
            return Cow::Borrowed(sql);
        }
        let mut replaced = String::with_capacity(sql.len());
        let mut at = 0;
        for place in &self.0 {
            replaced.push_str(&sql[at..place.range.start]);
            replaced.push_str(&spelling(place));
            at = place.range.end;
        }
        replaced.push_str(&sql[at..]);
        Cow::Owned(replaced)
    }
}

/// The place that `rest`, the words of `sql` from some point on, begins with: `= ANY ($1)` or `<> ALL ($1)`, the
/// parameter perhaps cast to a list.
fn place(sql: &str, rest: &[&str]) -> Option<Place> {
    let at = |index: usize| rest.get(index).copied().unwrap_or_default();
    // A sign of two characters is two words.
    let (is_negated, sign) = match (at(0), at(1)) {
        ("=", _) => (false, 1),
        ("<", ">") | ("!", "=") => (true, 2),
        _ => return None,
    };
    let is_called = |names: [&str; 2]| names.iter().any(|name| at(sign).eq_ignore_ascii_case(name));
    if !(if is_negated { is_called(["all", "all"]) } else { is_called(["any", "some"]) }) || at(sign + 1) != "(" {
        return None;
    }
    let parameter = at(sign + 2).strip_prefix('$')?.parse::<usize>().ok()?.checked_sub(1)?;
    let end = (sign + 3..rest.len()).find(|index| at(*index) == ")")?;
    let is_cast = |index: usize| at(index) == ":" && at(index + 1) == ":" && at(end - 2) == "[" && at(end - 1) == "]";
    if end != sign + 3 && !is_cast(sign + 3) {
        return None;
    }
    // Words are parts of the text, so where one begins can be told.
    let begin = |word: &str| word.as_ptr() as usize - sql.as_ptr() as usize;
    Some(Place { range: begin(at(0))..begin(at(end)) + 1, parameter, is_negated })
}

#[cfg(test)]
mod tests {
    use fineo::Parameter;

    use super::{Given, Lists};

    fn check(sql: &str, values: Vec<Given>, as_items: &str, spelled: &str) {
        let lists = Lists::of(sql);
        assert_eq!(lists.as_items(sql), as_items);
        assert_eq!(lists.spelled(sql, values).unwrap().0, spelled);
    }

    fn list(count: i64) -> Given {
        Given::Many((0..count).map(Parameter::Long).collect())
    }

    #[test]
    fn a_list_is_compared_item_by_item() {
        check("a = ANY($1)", vec![list(2)], "a = $1     ", "a  IN ($2, $3)");
        check(
            "a=any ( $2::int8[] ) AND b > $1",
            vec![Given::null(), list(1)],
            "a= $2                AND b > $1",
            "a IN ($3) AND b > $1",
        );
        check("a <> ALL($1)", vec![list(1)], "a <> $1     ", "a  NOT IN ($2)");
        check("a != ALL($1)", vec![list(0)], "a <> $1     ", "a  IN (NULL) IS NOT TRUE");
        check("a = SOME($1)", vec![list(0)], "a = $1      ", "a  IN (NULL) IS TRUE");
        check("a = ANY($1)", vec![Given::null()], "a = $1     ", "a  IN (NULL)");
        check("a = ANY($1)", vec![Given::One("{x,\"y z\"}".into())], "a = $1     ", "a  IN ($2, $3)");
    }

    #[test]
    fn what_only_looks_like_a_list_stays() {
        for sql in ["a = 'ANY($1)'", "a = ANY(SELECT $1)", "a > ANY($1)", "a = ANY($1 || $2)", "any($1)", "a = ALL($1)"]
        {
            assert_eq!(Lists::of(sql), Lists::default(), "{sql}");
        }
    }

    #[test]
    fn a_text_that_is_no_list_is_malformed() {
        let refused = Lists::of("a = ANY($1)").spelled("a = ANY($1)", vec![Given::One("x".into())]).unwrap_err();
        assert_eq!(refused.state, "22P02");
    }
}
