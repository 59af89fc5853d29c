//! With the waits that nobody chose, rows leave the nearline store and age off, however often compaction runs.

use std::{num::NonZeroU32, time::Duration};

use fineo_compact::CompactOptions;
use fineo_core::Clock as _;
use fineo_schema::{Change, RetainDays};

use crate::{
    expired::world,
    support::{acme, metric},
};

const HALF_AN_HOUR: Duration = Duration::from_secs(1800);
const A_DAY: usize = 48;
/// What may be left behind a day: an hour, and what the last run did not see.
const SLACK: usize = 2 + 1;

#[tokio::test(start_paused = true)]
async fn rows_are_nearline_for_a_day_and_age_off_as_they_should_however_often_compaction_runs() {
    // U1, U5
    let (world, clock) = world();
    let retain = RetainDays::Days(NonZeroU32::MIN);
    let changes = vec![
        Change::CreateMetric { name: "m".to_owned(), aliases: Vec::new() },
        Change::SetRetainDays { metric: None, days: Some(retain) },
    ];
    world.change(&acme(), changes).await;
    let begun_on = clock.now().micros() / 86_400_000_000;
    let mut aged = 0;
    for run in 0..7 * A_DAY / 2 {
        let now = clock.now().micros() / 1000;
        world.send(&acme(), &format!(r#"{{"metrictype":"m","timestamp":{now},"v":{run}}}"#)).await;
        let report = world.compact(CompactOptions::default()).await;
        aged += report.tenants.iter().map(|tenant| tenant.aged_rows).sum::<u64>();
        let nearline = world.nearline(&acme(), &metric(1)).await.len();
        assert!(nearline >= A_DAY.min(run + 1), "of {run} runs {nearline} rows are nearline: some left too early");
        assert!(nearline <= A_DAY + SLACK, "of {run} runs {nearline} rows are nearline");
        clock.pass(HALF_AN_HOUR);
    }
    let answer = world.answer(&acme(), &metric(1)).await;
    assert_eq!(answer.len() + usize::try_from(aged).unwrap(), 7 * A_DAY / 2);
    // Whole days go: today's and yesterday's are kept, and what is looked for an hour later.
    let oldest = answer.iter().map(|row| row["_time"].parse::<i64>().unwrap() / 86_400_000_000).min().unwrap();
    let today = clock.now().micros() / 86_400_000_000;
    assert!(begun_on < oldest && today - 2 <= oldest, "rows of {oldest} are there on {today}");
}
