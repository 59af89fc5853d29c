//! Rows as DynamoDB has them: what other tools find, and what of it a scan reads.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use arrow_array::{Array, RecordBatch, StringViewArray};
use aws_sdk_dynamodb::{
    Client, config,
    types::AttributeValue::{self, Bool, N, S},
};
use fineo_backend_aws::{Aws, Endpoints, Resource};
use fineo_core::{
    ContentHash, EventId, MetricId, NearlineStore, Position, Result, ShardId, TenantId, Timestamp,
    nearline::{Predicate, RowHead, Rows, ScanRequest},
};
use futures::TryStreamExt;
use libtest_mimic::Trial;
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};

use serde_json::json;

use crate::{
    cases::{Run, trial},
    faults::place,
    place::{endpoint, options},
    stub::Answer,
};

/// The trials of rows.
pub(crate) fn trials() -> Vec<Trial> {
    let cases: [(&str, Run); 6] = [
        ("aws: other tools find numbers and truth values of their own types under the names as sent", || {
            Box::pin(typed())
        }),
        ("aws, N5: numbers of any form come back letter by letter", || Box::pin(numbers())),
        ("aws: what was stored as text before is found and read beside what is typed", || Box::pin(texts_of_before())),
        ("aws: more names than one expression takes are read by several queries", || Box::pin(wide())),
        ("aws: a row that is written anew between two queries is read from one answer", || Box::pin(torn())),
        ("aws: a day of few rows is one partition, and one of many is spread", || Box::pin(spread())),
    ];
    cases.into_iter().map(trial).collect()
}

/// A table of rows, and what speaks to it without us.
pub(crate) struct Table {
    pub(crate) aws: Aws,
    client: Client,
}

const METRIC: u64 = 1;

impl Table {
    pub(crate) async fn new() -> Result<Self> {
        let url = endpoint("FINEO_TEST_DYNAMODB_URL")?;
        let aws = Aws::connect(options(Endpoints::default().with_dynamodb(&url))).await?;
        aws.bootstrap(&[Resource::Rows]).await?;
        let config = config::Builder::new()
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .behavior_version_latest()
            .endpoint_url(url)
            .credentials_provider(config::Credentials::new("test", "test", None, None, "test"))
            .region(config::Region::new("us-east-1"));
        Ok(Self { aws, client: Client::from_conf(config.build()) })
    }

    pub(crate) async fn write(&self, rows: Rows) -> Result<()> {
        let (tenant, metric) = owner();
        for outcome in self.aws.nearline().write(&tenant, &metric, rows).await {
            outcome.into_result()?;
        }
        Ok(())
    }

    pub(crate) async fn scan(&self, request: ScanRequest) -> Result<Vec<RecordBatch>> {
        self.aws.nearline().scan(request).try_collect().await
    }

    /// Every item whose partition begins with `prefix`.
    pub(crate) async fn items(&self, prefix: &str) -> Vec<HashMap<String, AttributeValue>> {
        let call = self.client.scan().table_name(format!("{}-rows", self.aws.options().prefix));
        let items = call.into_paginator().items().send().try_collect().await.unwrap();
        items.into_iter().filter(|item| item["_fineo_pk"].as_s().unwrap().starts_with(prefix)).collect()
    }
}

pub(crate) fn owner() -> (TenantId, MetricId) {
    (TenantId::new("acme").unwrap(), MetricId::numbered(METRIC))
}

pub(crate) fn request() -> ScanRequest {
    let (tenant, metric) = owner();
    ScanRequest::new(tenant, metric)
}

pub(crate) fn head(number: u64) -> RowHead {
    RowHead {
        timestamp: Timestamp::default().plus_micros(i64::try_from(number).unwrap()),
        id: EventId(u128::from(number).to_be_bytes()),
        content: ContentHash::default(),
        position: Position::from(number + 1),
        ingested_at: Timestamp::default(),
    }
}

pub(crate) fn rows() -> Rows {
    Rows::new(ShardId::new("s0").unwrap())
}

/// The texts of a column, row by row.
fn column(batches: &[RecordBatch], name: &str) -> Vec<Option<String>> {
    let mut texts = Vec::new();
    for batch in batches {
        let column = batch.column_by_name(name).unwrap().as_any().downcast_ref::<StringViewArray>().unwrap();
        texts.extend(column.iter().map(|text| text.map(str::to_owned)));
    }
    texts
}

async fn typed() -> Result<()> {
    let table = Table::new().await?;
    let cells = [
        ("PM2.5", "21.5", N("21.5".to_owned())),
        ("温度", "-3", N("-3".to_owned())),
        ("select", "true", Bool(true)),
        ("site", "north", S("north".to_owned())),
        // What DynamoDB would write in another way, and what it would refuse.
        ("zip", "01234", S("01234".to_owned())),
        ("version", "1.0", S("1.0".to_owned())),
        ("far", "1e400", S("1e400".to_owned())),
        ("_fineo_pk", "7", N("7".to_owned())),
    ];
    let mut rows = rows();
    rows.row(head(0), "pump");
    cells.iter().for_each(|(name, text, _)| rows.cell(name, text));
    table.write(rows).await?;
    let items = table.items("r:").await;
    let [item] = items.as_slice() else { panic!("one row: {items:?}") };
    for (name, _, attribute) in &cells {
        let name = if *name == "_fineo_pk" { "_fineo=_fineo_pk" } else { name };
        assert_eq!(item.get(name), Some(attribute), "{name}");
    }
    let batches = table.scan(request().with_names(cells.iter().map(|(name, ..)| *name))).await?;
    for (name, text, _) in &cells {
        assert_eq!(column(&batches, name), [Some((*text).to_owned())], "{name}");
    }
    Ok(())
}

async fn numbers() -> Result<()> {
    let table = Table::new().await?;
    let forms = proptest::prop_oneof![
        "[-+]?[0-9]{1,40}",
        "-?(0|[1-9][0-9]{0,20})\\.[0-9]{1,20}",
        "-?0\\.0{0,8}[1-9]{1,30}",
        "-?[1-9]0{0,37}",
        "-?[0-9]{1,3}[eE][-+]?[0-9]{1,3}",
    ];
    let mut runner = TestRunner::deterministic();
    let texts: Vec<String> = (0..1_000).map(|_| forms.new_tree(&mut runner).unwrap().current()).collect();
    let mut rows = rows();
    for (number, text) in (0..).zip(&texts) {
        rows.row(head(number), "pump");
        rows.cell("value", text);
    }
    table.write(rows).await?;
    let read = column(&table.scan(request().with_names(["value"])).await?, "value");
    let read: Vec<&str> = read.iter().flatten().map(String::as_str).collect();
    assert_eq!(read, texts);
    let numbers = table.items("r:").await.iter().filter(|item| item["value"].is_n()).count();
    assert!((200..800).contains(&numbers), "both kinds are tried: {numbers}");
    Ok(())
}

async fn texts_of_before() -> Result<()> {
    let table = Table::new().await?;
    let mut rows = rows();
    for number in 0..2 {
        rows.row(head(number), "pump");
        rows.cell("speed", "7");
        rows.cell("on", "true");
    }
    table.write(rows).await?;
    let mut before = table.items("r:").await.remove(0);
    for (name, text) in [("speed", "7"), ("on", "true")] {
        before.insert(name.to_owned(), S(text.to_owned()));
    }
    let put = table.client.put_item().table_name(format!("{}-rows", table.aws.options().prefix));
    put.set_item(Some(before)).send().await.unwrap();
    for (name, text, count) in [("speed", "7", 2), ("on", "true", 2), ("speed", "7.0", 0), ("on", "1", 0)] {
        let predicate = Predicate::AnyText { names: vec![name.into()], texts: vec!["north".into(), text.into()] };
        let found = table.scan(request().with_names([name]).with_predicate(predicate)).await?;
        assert_eq!(column(&found, name), vec![Some(text.to_owned()); count], "{name} = {text}");
    }
    Ok(())
}

async fn wide() -> Result<()> {
    let table = Table::new().await?;
    let names: Vec<Arc<str>> = (0..2_500).map(|number| format!("field {number}").into()).collect();
    let mut rows = rows();
    for number in 0..60 {
        rows.row(head(number), "pump");
        // Each row has every tenth name: of a page, other rows have other names.
        for name in names.iter().skip(usize::try_from(number % 10).unwrap()).step_by(10) {
            rows.cell(name, &format!("{number} {name}"));
        }
    }
    table.write(rows).await?;
    let predicate = Predicate::AnyPresent { names: vec!["field 3".into(), "field 2499".into()] };
    for (request, rows) in [(request(), 60), (request().with_predicate(predicate), 12)] {
        let found = table.scan(request.with_names(names.clone())).await?;
        assert_eq!(found.iter().map(RecordBatch::num_rows).sum::<usize>(), rows);
        for name in &names {
            let column = column(&found, name);
            let texts: Vec<&String> = column.iter().flatten().collect();
            let is_whole = texts.iter().all(|text| text.ends_with(&format!(" {name}")));
            assert!(is_whole && (rows < 60 || texts.len() == 6), "{name}: {texts:?}");
        }
    }
    Ok(())
}

async fn torn() -> Result<()> {
    let names: Vec<Arc<str>> = (0..1_200).map(|number| format!("field {number}").into()).collect();
    let name = format!("{:018}:{}", Timestamp::default().micros().abs_diff(Timestamp::MIN.micros()), EventId([7; 16]));
    let row = move |position: &str, cells: &[(&str, &str)]| {
        let position = format!("{position:A>32}"); // 24 bytes in Base64
        let mut item =
            json!({ "_fineo_sk": { "S": name }, "_fineo_shard": { "S": "s0" }, "_fineo_position": { "B": position } });
        for (name, text) in cells {
            item[*name] = json!({ "S": text });
        }
        item
    };
    let answer: Answer = Box::new(move |operation, arguments| {
        let partition = arguments["ExpressionAttributeValues"][":pk"]["S"].as_str().unwrap_or_default();
        let is_first = arguments["ProjectionExpression"].as_str().is_some_and(|asked| asked.len() > 3_000);
        match (operation, is_first) {
            ("GetItem", _) => (200, json!({ "Item": row("B", &[("field 0", "new"), ("field 1199", "new")]) })),
            _ if partition.starts_with("d:") => {
                let day = json!({ "_fineo_sk": { "S": "0000719162" }, "_fineo_spread": { "N": "1" }, "_fineo_touched": { "N": "0" } });
                (200, json!({ "Items": [day] }))
            }
            (_, true) => (200, json!({ "Items": [row("A", &[("field 0", "old")])] })),
            (_, false) => (200, json!({ "Items": [row("B", &[("field 1199", "new")])] })),
        }
    });
    let (aws, stub) = place(answer).await?;
    let found: Vec<RecordBatch> = aws.nearline().scan(request().with_names(names)).try_collect().await?;
    for name in ["field 0", "field 1199"] {
        assert_eq!(column(&found, name), [Some("new".to_owned())], "{name}");
    }
    assert_eq!(stub.names(), ["Query", "Query", "Query", "GetItem"]);
    Ok(())
}

async fn spread() -> Result<()> {
    let mut table = Table::new().await?;
    // The last by another process, which spreads none by itself but learns that others do.
    for (rows_before, rows_after, others, partitions) in [(0, 4, 0, 1), (4, 50, 1, 2), (50, 90, 30, 2)] {
        if rows_before == 50 {
            table.aws = Aws::connect(table.aws.options().clone().with_unspread_max(1_000)).await?;
        }
        let mut rows = rows();
        for number in rows_before..rows_after {
            rows.row(head(number), "pump");
        }
        table.write(rows).await?;
        let items = table.items("r:").await;
        let found: BTreeSet<&String> = items.iter().map(|item| item["_fineo_pk"].as_s().unwrap()).collect();
        let in_others = items.iter().filter(|item| item["_fineo_pk"].as_s().unwrap().ends_with(":001")).count();
        assert_eq!((found.len(), in_others > others), (partitions, partitions > 1), "{rows_after} rows: {found:?}");
        let read: usize = table.scan(request()).await?.iter().map(RecordBatch::num_rows).sum();
        assert_eq!(u64::try_from(read).unwrap(), rows_after);
    }
    Ok(())
}
