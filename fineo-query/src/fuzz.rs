//! SQL that is fed to the checks before the planner, which must survive any text: by tests, and by a
//! fuzzer that compiles with `--cfg fuzzing`.

use crate::{
    QueryLimits,
    sql::{asked::Asked, text},
};

/// The stack that planners have, too.
const STACK_BYTES: usize = 16 << 20;

/// A parser under its name.
pub type Target = (&'static str, fn(&[u8]));

/// What is fed, by name.
pub const TARGETS: &[Target] = &[("sql", sql)];

/// What it may begin with.
pub fn seeds(_: &str) -> Vec<Vec<u8>> {
    let texts = [
        "SELECT a.temp, max(CAST(\"PM2.5\" AS DOUBLE)) OVER (PARTITION BY d ORDER BY timestamp) FROM m AS a \
         JOIN public.n b ON a.d = b.d WHERE a.timestamp > now() - INTERVAL '1 day' AND x IN ('1', $1) GROUP BY 1 LIMIT 3",
        "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT * EXCLUDE (n) FROM r, (VALUES (1, 'x')) v(a, b)",
        "EXPLAIN ANALYZE SELECT CASE WHEN a THEN [1, {'k': 2}] ELSE NULL END FROM errors.stream -- x\n",
        "DESCRIBE m; SHOW TABLES",
        "COPY m TO '/etc/x'; INSERT INTO m VALUES (1)",
    ];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}

/// What passes the checks can be gone through and written down, on the stack of a planner.
fn sql(bytes: &[u8]) {
    let Ok(sql) = std::str::from_utf8(bytes) else { return };
    let limits = QueryLimits::default();
    if text::parse_shallow(sql, &limits).is_none() && text::tokens(sql, &limits).is_err() {
        return;
    }
    let sql = sql.to_owned();
    let work = move || {
        if let Ok(statement) = text::parse(&sql, &limits) {
            let _ = Asked::of(&statement);
            let _ = statement.to_string();
        }
    };
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(work).expect("a thread begins");
    thread.join().expect("no text breaks the checks");
}

#[cfg(test)]
#[test]
fn the_checks_survive_what_they_are_fed() {
    // B2, Q01, Q02, Q04, Q14
    fineo_conformance::feed(TARGETS, seeds, 5_000);
}
