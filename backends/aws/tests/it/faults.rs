//! What AWS does and no emulator shows: partial failures, lost replies, expired iterators, items left unprocessed.

use std::{collections::BTreeSet, sync::Arc};

use fineo_backend_aws::{Aws, Endpoints};
use fineo_core::{
    ErrorKind, Outcome, Position, Result, SchemaRepo, ShardId, Stream, TenantId, Timestamp,
    repo::{Compared, Keep, Subject, Version, Write},
    stream::{Entry, ReadFrom},
};
use futures::StreamExt;
use serde_json::{Value, json};

use crate::{
    cases::{Run, trial},
    place::options,
    stub::{Answer, Stub},
};

/// The trials with a stub; they need no emulator.
pub(crate) fn trials() -> Vec<libtest_mimic::Trial> {
    let cases: [(&str, Run); 12] = [
        ("aws, N1: records fail one by one, whatever their number is said to be", || Box::pin(partly_put())),
        ("aws, N11: an append without an answer is unknown and was sent once", || Box::pin(lost_append())),
        ("aws: an expired iterator begins anew behind what was read", || Box::pin(expired())),
        ("aws, N4: records that are not ours are told by themselves, and end nothing", || Box::pin(foreign())),
        ("aws: a read through a stretch without records says that it goes on", || Box::pin(sparse())),
        ("aws, D8: a gap behind a record is found by reading one", || Box::pin(gap())),
        ("aws, N1: only items left unprocessed are sent again", || Box::pin(unprocessed())),
        ("aws, N11: a transaction that meets itself was written", || Box::pin(own_transaction())),
        ("aws, N11: a transaction without an answer is looked for", || Box::pin(lost_transaction())),
        ("aws, N2, N11: a transaction is sent under one token until it is answered for", || Box::pin(one_token())),
        ("aws: the doctor says of denied calls that they are denied", || Box::pin(denied())),
        ("aws: a table that takes every writer for the first is found out", || Box::pin(credulous())),
    ];
    cases.into_iter().map(trial).collect()
}

/// A place whose every service is the stub. Credentials stand for themselves: the environment may have none.
pub(crate) async fn place(answer: Answer) -> Result<(Aws, Stub)> {
    crate::place::endpoint("AWS_ACCESS_KEY_ID")?;
    let stub = Stub::start(answer).await;
    let endpoints = Endpoints::default()
        .with_kinesis(&stub.url)
        .with_dynamodb(&stub.url)
        .with_s3(&stub.url)
        .with_firehose(&stub.url);
    Ok((Aws::connect(options(endpoints)).await?, stub))
}

fn refusal(code: &str) -> Value {
    json!({ "__type": code, "message": "said the stub" })
}

fn entries(count: u64) -> Vec<Entry> {
    let tenant = TenantId::new("acme").unwrap();
    (0..count).map(|key| Entry { tenant: tenant.clone(), key, payload: "x".into() }).collect()
}

async fn denied() -> Result<()> {
    let (aws, _) = place(Box::new(|_, _| (403, refusal("AccessDeniedException")))).await?;
    let diagnosis = aws.doctor().await;
    let ill: Vec<&str> = diagnosis.findings.iter().skip(1).map(|finding| finding.message.as_str()).collect();
    assert_eq!(ill.len(), 5, "{diagnosis}");
    assert!(ill.iter().all(|message| message.contains("policy")), "{diagnosis}");
    assert!(!diagnosis.is_good());
    Ok(())
}

async fn credulous() -> Result<()> {
    let (aws, _) = place(Box::new(|_, _| (200, json!({ "Table": {} })))).await?;
    let diagnosis = aws.doctor().await.to_string();
    let told = diagnosis.lines().find(|line| line.contains("-repo:")).unwrap();
    assert!(told.starts_with("BAD") && told.contains("does not keep the conditions of writes"), "{diagnosis}");
    let told = diagnosis.lines().find(|line| line.contains("-rows:")).unwrap();
    assert!(told.starts_with("BAD") && told.contains("does not keep numbers as they are written"), "{diagnosis}");
    Ok(())
}

async fn partly_put() -> Result<()> {
    let record = |number: &str| json!({ "SequenceNumber": number, "ShardId": "shardId-000000000000" });
    let failed = json!({ "ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "Rate exceeded" });
    let answer = json!({ "FailedRecordCount": 0, "Records": [record("1"), failed, record("2")] });
    let (aws, stub) = place(Box::new(move |_, _| (200, answer.clone()))).await?;
    let outcomes = aws.stream("raw").append(entries(3)).await;
    let [Outcome::Done(_), Outcome::NotDone(error), Outcome::Done(_)] = outcomes.as_slice() else {
        panic!("expected done, not done, done: {outcomes:?}");
    };
    assert_eq!(error.kind(), ErrorKind::Throttled);
    assert_eq!(stub.names(), ["PutRecords"]);
    Ok(())
}

async fn lost_append() -> Result<()> {
    let (aws, stub) = place(Box::new(|_, _| (500, refusal("InternalFailure")))).await?;
    // The second request is not sent: its records would overtake those of the first.
    let outcomes = aws.stream("raw").append(entries(501)).await;
    assert!(outcomes[..500].iter().all(|outcome| matches!(outcome, Outcome::Unknown(_))));
    assert!(matches!(outcomes[500], Outcome::NotDone(_)));
    assert_eq!(stub.names(), ["PutRecords"]);
    Ok(())
}

async fn expired() -> Result<()> {
    let record = |number: &str| json!({ "SequenceNumber": number, "PartitionKey": "acme", "Data": "eA==", "ApproximateArrivalTimestamp": 1 });
    let page = |records: Vec<Value>, next: &str| {
        (200, json!({ "Records": records, "NextShardIterator": next, "MillisBehindLatest": 0 }))
    };
    let answer: Answer = Box::new(move |operation, arguments| match operation {
        "GetShardIterator" => (200, json!({ "ShardIterator": arguments["ShardIteratorType"] })),
        _ => match arguments["ShardIterator"].as_str().unwrap_or_default() {
            "TRIM_HORIZON" => page(vec![record("7")], "second"),
            "second" => (400, refusal("ExpiredIteratorException")),
            "AT_SEQUENCE_NUMBER" => page(vec![record("7"), record("8")], "last"),
            _ => page(Vec::new(), "last"),
        },
    });
    let (aws, stub) = place(answer).await?;
    let mut read = aws.stream("raw").read(&ShardId::new("shardId-000000000000")?, ReadFrom::Start);
    let mut positions = Vec::new();
    while positions.len() < 2 {
        positions.extend(read.next().await.unwrap()?.iter().map(|delivery| delivery.position.to_u128()));
    }
    assert_eq!(positions, [Some(7), Some(8)]);
    let calls = stub.calls();
    let (_, again) = calls.iter().rfind(|(name, _)| name == "GetShardIterator").unwrap();
    assert_eq!(again["StartingSequenceNumber"], "7");
    Ok(())
}

async fn foreign() -> Result<()> {
    // Two that something else wrote are between ours, and one is the last.
    let record = |number: u64| {
        let key = if [3, 4, 6].contains(&number) { "a b" } else { "acme" };
        json!({ "SequenceNumber": number.to_string(), "PartitionKey": key, "Data": "eA==", "ApproximateArrivalTimestamp": 1 })
    };
    let answer: Answer = Box::new(move |operation, arguments| match operation {
        "GetShardIterator" => {
            let first = arguments["StartingSequenceNumber"].as_str().unwrap_or("1");
            (200, json!({ "ShardIterator": first }))
        }
        _ => {
            let first: u64 = arguments["ShardIterator"].as_str().unwrap().parse().unwrap();
            let records: Vec<Value> = (first..=6).map(record).collect();
            (200, json!({ "Records": records, "NextShardIterator": "7", "MillisBehindLatest": 0 }))
        }
    });
    let (aws, _stub) = place(answer).await?;
    let (stream, shard) = (aws.stream("raw"), ShardId::new("shardId-000000000000")?);
    let (mut told, mut from) = (Vec::new(), ReadFrom::Start);
    while told.len() < 5 {
        let mut read = stream.read(&shard, from);
        while let Some(next) = read.next().await {
            match next {
                Ok(batch) => told.extend(batch.iter().map(|delivery| format!("ours {}", delivery.position))),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
                    let said = |wanted| error.context().iter().find(|(name, _)| *name == wanted).unwrap().1.clone();
                    told.push(format!("{} to {}", said("from"), said("to")));
                    from = ReadFrom::After(said("to").parse()?);
                }
            }
        }
    }
    let at = |number: u64| Position::from(number).to_string();
    let ours = |number: u64| format!("ours {}", at(number));
    let foreign = |first: u64, last: u64| format!("{} to {}", at(first), at(last));
    assert_eq!(told, [ours(1), ours(2), foreign(3, 4), ours(5), foreign(6, 6)][..]);
    // Who looks for the end finds the last of ours, whether or not he has read.
    for stream in [&stream, &Aws::connect(aws.options().clone()).await?.stream("raw")] {
        assert_eq!(stream.tail(&shard).await?, Some(Position::from(5)));
    }
    Ok(())
}

async fn sparse() -> Result<()> {
    // Nobody wrote for long: Kinesis answers page after page without a record.
    let answer: Answer = Box::new(move |operation, arguments| match operation {
        "GetShardIterator" => (200, json!({ "ShardIterator": "0" })),
        _ => {
            let page: u64 = arguments["ShardIterator"].as_str().unwrap().parse().unwrap();
            let record = json!({ "SequenceNumber": "9", "PartitionKey": "acme", "Data": "eA==", "ApproximateArrivalTimestamp": 1 });
            let (records, behind) = if page == 3 { (vec![record], 0) } else { (Vec::new(), 3 - page.min(3)) };
            let next = (page + 1).to_string();
            (200, json!({ "Records": records, "NextShardIterator": next, "MillisBehindLatest": behind }))
        }
    });
    let (aws, _stub) = place(answer).await?;
    let mut read = aws.stream("raw").read(&ShardId::new("shardId-000000000000")?, ReadFrom::Start);
    let mut counts = Vec::new();
    while counts.last() != Some(&1) {
        counts.push(read.next().await.unwrap()?.len());
    }
    assert_eq!(counts, [0, 0, 0, 1]);
    Ok(())
}

async fn gap() -> Result<()> {
    // The first five are trimmed.
    let record = |number: u64| json!({ "SequenceNumber": number.to_string(), "PartitionKey": "acme", "Data": "eA==", "ApproximateArrivalTimestamp": 1 });
    let answer: Answer = Box::new(move |operation, arguments| match operation {
        "GetShardIterator" => (200, json!({ "ShardIterator": arguments["StartingSequenceNumber"] })),
        _ => {
            let first: u64 = arguments["ShardIterator"].as_str().unwrap().parse().unwrap();
            let limit = arguments["Limit"].as_u64().unwrap();
            let records: Vec<Value> = (first.max(6)..=20).take(usize::try_from(limit).unwrap()).map(record).collect();
            (200, json!({ "Records": records, "NextShardIterator": "21", "MillisBehindLatest": 1 }))
        }
    });
    let (aws, stub) = place(answer).await?;
    let (stream, shard) = (aws.stream("raw"), ShardId::new("shardId-000000000000")?);
    for (after, first) in [(5_u64, Some(6_u64)), (6, None), (19, None)] {
        assert_eq!(stream.gap_behind(&shard, Position::from(after)).await?, first.map(Position::from), "{after}");
    }
    let calls = stub.calls();
    assert!(calls.len() == 6 && calls.iter().all(|(name, of)| name != "GetRecords" || of["Limit"] == 1), "{calls:?}");
    Ok(())
}

fn large_write() -> Write {
    let subject = Subject::system("large", Keep::Latest).unwrap();
    Write { subject, expected: Version::NONE, body: Some(vec![7; 700 << 10].into()) }
}

async fn unprocessed() -> Result<()> {
    let mut is_first = true;
    let answer: Answer = Box::new(move |operation, arguments| {
        if operation != "BatchWriteItem" || !std::mem::take(&mut is_first) {
            return (200, json!({}));
        }
        let (table, items) = arguments["RequestItems"].as_object().unwrap().iter().next().unwrap();
        (200, json!({ "UnprocessedItems": { table: [items[1]] } }))
    });
    let (aws, stub) = place(answer).await?;
    let written = aws.repo().append(vec![large_write()], Timestamp::default()).await.into_result()?;
    assert_eq!(written, Compared::Written);
    let batches: Vec<Value> =
        stub.calls().into_iter().filter(|(name, _)| name == "BatchWriteItem").map(|(_, arguments)| arguments).collect();
    let items =
        |batch: &Value| batch["RequestItems"].as_object().unwrap().values().next().unwrap().as_array().unwrap().clone();
    let [first, second] = batches.as_slice() else { panic!("two batches were sent: {}", batches.len()) };
    assert_eq!((items(first).len(), items(second)), (3, vec![items(first)[1].clone()]));
    Ok(())
}

fn small_write() -> Write {
    Write { body: Some("small".into()), ..large_write() }
}

async fn own_transaction() -> Result<()> {
    let answer: Answer = Box::new(|_, arguments| {
        let ours = &arguments["TransactItems"][0]["Put"]["Item"];
        let reasons = json!([{ "Code": "ConditionalCheckFailed", "Item": ours }]);
        (400, json!({ "__type": "TransactionCanceledException", "CancellationReasons": reasons }))
    });
    let (aws, _) = place(answer).await?;
    let found = aws.repo().append(vec![small_write()], Timestamp::default()).await.into_result()?;
    assert_eq!(found, Compared::Written);
    Ok(())
}

async fn lost_transaction() -> Result<()> {
    // Once it was made after all, once it was not: then nobody can say yet.
    for is_made in [true, false] {
        let mut sent = Value::Null;
        let answer: Answer = Box::new(move |operation, arguments| {
            if operation == "GetItem" {
                return (200, if is_made { json!({ "Item": sent }) } else { json!({}) });
            }
            sent = arguments["TransactItems"][0]["Put"]["Item"].clone();
            (500, refusal("InternalServerError"))
        });
        let (aws, stub) = place(answer).await?;
        let repo: Arc<dyn SchemaRepo> = aws.repo();
        let outcome = repo.append(vec![small_write()], Timestamp::default()).await;
        match is_made {
            true => assert_eq!(outcome.into_result()?, Compared::Written),
            false => assert!(matches!(outcome, Outcome::Unknown(_))),
        }
        assert_eq!(tokens(&stub).len(), 1, "a repeated transaction bears the token of the first");
    }
    Ok(())
}

fn tokens(stub: &Stub) -> BTreeSet<String> {
    let calls = stub.calls().into_iter();
    calls.filter_map(|(_, arguments)| arguments["ClientRequestToken"].as_str().map(str::to_owned)).collect()
}

/// It was made by the first call, whose answer is lost, and then another moved on what it wrote. Under a new token it
/// would be refused for that: an event's large values would be thrown away, an append told as not made.
async fn one_token() -> Result<()> {
    let mut seen = 0;
    let answer: Answer = Box::new(move |operation, _| {
        if operation != "TransactWriteItems" {
            return (200, json!({}));
        }
        seen += 1;
        let busy =
            |code: &str| json!({ "__type": "TransactionCanceledException", "CancellationReasons": [{ "Code": code }] });
        match seen {
            1 => (500, refusal("InternalServerError")),
            2 => (400, busy("TransactionConflict")),
            3 => (400, busy("ThrottlingError")),
            4 => (400, refusal("ProvisionedThroughputExceededException")),
            5 => (400, refusal("TransactionInProgressException")),
            _ => (200, json!({})),
        }
    });
    let (aws, stub) = place(answer).await?;
    let found = aws.repo().append(vec![small_write()], Timestamp::default()).await.into_result()?;
    assert_eq!(found, Compared::Written);
    assert_eq!((stub.names().len(), tokens(&stub).len()), (6, 1));
    Ok(())
}
