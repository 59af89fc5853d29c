//! Cells come back as written, under their names, to their tenant and metric only.

use fineo_core::{
    MetricId, Position, Result, Timestamp,
    nearline::{ScanRequest, SystemColumns, scan_schema},
};
use futures::StreamExt;

use crate::{
    Case, Place, Verdict,
    case::cases,
    rows::{Table, TestRow},
    support::{AWKWARD, filler, tenant},
};

pub(in crate::cases) const CASES: &[Case] = cases! { Nearline:
    5 "cells are read as written, whatever characters names and texts have" awkward,
    5 "an empty text is a value, a cell that was not written is null" empty,
    5 "long names and large texts are read as written" large,
    5 "a name that no row has is a column of nulls" unknown_name,
    5 "what every row has is read as written, at the ends too" heads,
    5 "rows with many cells are read as written" wide,
    5 "a scan answers exactly the columns asked for, in their order" columns,
    6 "tenants with the same metric and the same events see their own rows" tenants,
    6 "metrics of one tenant see their own rows" metrics,
    6 "the metrics of a tenant are those that have rows, in order" listed,
};

async fn awkward(place: Box<dyn Place>) -> Result<Verdict> {
    let table = Table::new(place.nearline().await?);
    let mut all = TestRow::new(100);
    let mut rows = Vec::new();
    for (number, name) in (0..).zip(AWKWARD) {
        let text = AWKWARD[(number as usize + 5) % AWKWARD.len()];
        rows.push(TestRow { alias: text.to_owned(), ..TestRow::new(number).with_cell(name, text) });
        all = all.with_cell(name, name);
    }
    rows.push(all);
    table.write(&rows).await?;
    assert_eq!(table.read(&AWKWARD).await?, rows);
    table.store.sync().await.into_result()?;
    assert_eq!(table.read(&AWKWARD).await?, rows);
    Ok(Verdict::Passed)
}

async fn empty(place: Box<dyn Place>) -> Result<Verdict> {
    let table = Table::new(place.nearline().await?);
    let rows = [
        TestRow::new(1).with_cell("a", ""),
        TestRow::new(2),
        TestRow::new(3).with_cell("b", "").with_cell("a", "x"),
        TestRow { alias: String::new(), ..TestRow::new(4) },
    ];
    table.write(&rows).await?;
    assert_eq!(table.read(&["a", "b"]).await?, rows);
    Ok(Verdict::Passed)
}

async fn large(place: Box<dyn Place>) -> Result<Verdict> {
    let table = Table::new(place.nearline().await?);
    let (name, other, text) = (filler(255), format!("{}Z", filler(254)), filler(1 << 20));
    let rows = [
        TestRow::new(1).with_cell(&name, &text).with_cell(&other, "short"),
        TestRow::new(2).with_cell(&name, "a text of some length").with_cell(&other, &text),
        TestRow::new(3).with_cell(&other, &filler(13)).with_cell(&name, &filler(12)),
    ];
    table.write(&rows).await?;
    assert!(table.read(&[&name, &other]).await? == rows, "the rows differ");
    Ok(Verdict::Passed)
}

async fn unknown_name(place: Box<dyn Place>) -> Result<Verdict> {
    let table = Table::new(place.nearline().await?);
    let rows = [TestRow::new(1).with_cell("a", "1"), TestRow::new(2)];
    table.write(&rows).await?;
    assert_eq!(table.read(&["nobody has it", "a"]).await?, rows);
    Ok(Verdict::Passed)
}

async fn heads(place: Box<dyn Place>) -> Result<Verdict> {
    let table = Table::new(place.nearline().await?);
    let mut rows = vec![
        TestRow { ingested_at: Timestamp::MAX.micros(), ..TestRow::new(1).with_time(Timestamp::MIN.micros()) },
        TestRow::new(2).with_time(-1),
        TestRow { id: 0, content: u128::MAX, ..TestRow::new(3).with_time(0) },
        TestRow { id: u128::MAX, content: 0, ..TestRow::new(4) },
        TestRow { position: Position::from_bytes([255; 24]), ..TestRow::new(5) },
        TestRow { ingested_at: Timestamp::MIN.micros(), ..TestRow::new(6).with_time(Timestamp::MAX.micros()) },
    ];
    rows.sort();
    for row in &mut rows {
        row.shard = "shardId-000000000042".to_owned();
    }
    table.write(&rows).await?;
    assert_eq!(table.read(&[]).await?, rows);
    Ok(Verdict::Passed)
}

async fn wide(place: Box<dyn Place>) -> Result<Verdict> {
    let table = Table::new(place.nearline().await?);
    let names: Vec<String> = (0..300).map(|number| format!("field {number}")).collect();
    let mut rows = Vec::new();
    for id in 0..20 {
        let of_row = names.iter().skip(id as usize).step_by(3);
        let cells = of_row.map(|name| (name.clone(), format!("{id} {name}")));
        let mut row = TestRow::new(id);
        row.cells = cells.collect();
        row.cells.sort();
        rows.push(row);
    }
    table.write(&rows).await?;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert_eq!(table.read(&names).await?, rows);
    Ok(Verdict::Passed)
}

async fn columns(place: Box<dyn Place>) -> Result<Verdict> {
    let table = Table::new(place.nearline().await?);
    table.write(&[TestRow::new(1).with_cell("a", "1").with_cell("b", "2")]).await?;
    let plain = || ScanRequest::new(table.tenant.clone(), table.metric.clone());
    let none = SystemColumns::default();
    let requests = [
        plain(),
        plain().with_names(["b", "a"]),
        plain().with_names(["a"]).with_system(SystemColumns { event_id: true, ..none }),
        plain().with_system(SystemColumns { position: true, ..none }),
        plain().with_system(SystemColumns { content: true, alias: true, ..none }),
        plain().with_system(SystemColumns { ingested_at: true, ..none }),
        table.request().with_names(["a", "b"]),
    ];
    for request in requests {
        let mut batches = table.store.scan(request.clone());
        let Some(batch) = batches.next().await.transpose()? else { panic!("the row is missing: {request:?}") };
        assert_eq!(batch.schema(), scan_schema(&request));
        assert_eq!(batch.num_rows(), 1);
        assert!(batches.next().await.is_none());
    }
    Ok(Verdict::Passed)
}

async fn tenants(place: Box<dyn Place>) -> Result<Verdict> {
    let store = place.nearline().await?;
    let names = ["a", "a.b", "A", "a-b", "ab", "n1"];
    for (number, name) in (0..).zip(names) {
        let table = Table { tenant: tenant(name), ..Table::new(store.clone()) };
        let row = TestRow::new(1).with_content(number).with_cell("owner", name);
        table.write(&[row]).await?;
    }
    for (number, name) in (0..).zip(names) {
        let table = Table { tenant: tenant(name), ..Table::new(store.clone()) };
        assert_eq!(table.read(&["owner"]).await?, [TestRow::new(1).with_content(number).with_cell("owner", name)]);
    }
    let nobody = Table { tenant: tenant("nobody"), ..Table::new(store) };
    assert_eq!(nobody.read(&["owner"]).await?, []);
    assert_eq!(nobody.store.metrics(&nobody.tenant).await?, []);
    Ok(Verdict::Passed)
}

async fn metrics(place: Box<dyn Place>) -> Result<Verdict> {
    let store = place.nearline().await?;
    let ids = [MetricId::numbered(1), MetricId::numbered(11), MetricId::numbered(2), MetricId::errors()];
    let of = |metric: &MetricId| Table { metric: metric.clone(), ..Table::new(store.clone()) };
    for metric in &ids {
        of(metric).write(&[TestRow::new(1).with_cell("metric", metric.as_str())]).await?;
    }
    for metric in &ids {
        let expected = TestRow::new(1).with_cell("metric", metric.as_str());
        assert_eq!(of(metric).read(&["metric"]).await?, [expected]);
    }
    assert_eq!(of(&MetricId::numbered(3)).read(&["metric"]).await?, []);
    Ok(Verdict::Passed)
}

async fn listed(place: Box<dyn Place>) -> Result<Verdict> {
    let table = Table::new(place.nearline().await?);
    for number in [2, 1, 11] {
        let of_metric = Table { metric: MetricId::numbered(number), ..table.clone() };
        of_metric.write(&[TestRow::new(1)]).await?;
    }
    let other = Table { tenant: tenant("other"), metric: MetricId::numbered(3), ..table.clone() };
    other.write(&[TestRow::new(1)]).await?;
    let of_acme = table.store.metrics(&table.tenant).await?;
    assert_eq!(of_acme, [MetricId::numbered(1), MetricId::numbered(11), MetricId::numbered(2)]);
    assert_eq!(other.store.metrics(&other.tenant).await?, [MetricId::numbered(3)]);
    Ok(Verdict::Passed)
}
