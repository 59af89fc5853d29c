//! The proxy itself: takes a call, lets it go wrong or passes it on, and counts.

use std::{
    fmt, io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use fineo_core::{Clock, SystemClock};
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

use crate::{
    Cold, Plan, Tally,
    call::{Answer, Call, Service},
    glacier::Glacier,
    kinesis::{Shards, record_bytes},
    plan::Chance,
    quota::Quotas,
    refusal,
};

/// A proxy on the loopback interface. It ends with the runtime that it was started on.
#[derive(Debug)]
pub struct FaultProxy {
    url: String,
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    upstream: String,
    plan: Plan,
    chance: Chance,
    shards: Mutex<Shards>,
    quotas: Mutex<Quotas>,
    glacier: Mutex<Glacier>,
    tally: Mutex<Tally>,
}

/// Breaks the connection: there is no answer.
#[derive(Debug)]
struct Cut(String);

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Cut {}

fn cut(error: impl fmt::Display) -> Cut {
    Cut(error.to_string())
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What becomes of a call.
enum Deed {
    Pass,
    Refuse(&'static str, Answer),
    /// It is carried out, and its answer lost.
    Lose,
    /// Some of its records are not taken: for each whether it is.
    Records(Vec<bool>),
    /// Some of its items are left: these.
    Items {
        rest: Value,
        left: Value,
    },
}

impl FaultProxy {
    /// Stands before `upstream`, such as `http://127.0.0.1:4568`.
    ///
    /// # Errors
    ///
    /// When no port is free.
    pub async fn start(upstream: &str, plan: Plan) -> io::Result<Self> {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let inner = Arc::new(Inner {
            upstream: upstream.trim_start_matches("http://").trim_end_matches('/').to_owned(),
            chance: Chance::new(plan.seed),
            plan,
            shards: Mutex::default(),
            quotas: Mutex::default(),
            glacier: Mutex::default(),
            tally: Mutex::default(),
        });
        let serving = Arc::clone(&inner);
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(serve(connection, Arc::clone(&serving)));
            }
        });
        Ok(Self { url, inner })
    }

    /// Where it answers.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// From now on objects of S3 whose path has `part` in it are cold. One that is asked for is back after so many looks at it.
    pub fn freeze(&self, part: &str, cold: Cold, looks: u32) {
        locked(&self.inner.glacier).freeze(part, cold, looks);
    }

    /// What was restored is cold again, as after its days.
    pub fn expire_restored(&self) {
        locked(&self.inner.glacier).expire();
    }

    /// What it was asked so far, and what went wrong.
    pub fn tally(&self) -> Tally {
        locked(&self.inner.tally).clone()
    }
}

async fn serve(connection: TcpStream, inner: Arc<Inner>) {
    let service = service_fn(move |request| {
        let inner = Arc::clone(&inner);
        async move { inner.answer(request).await }
    });
    // A connection that was cut, by either side, ends with an error.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(connection), service).await;
}

impl Inner {
    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Cut> {
        let call = Call::read(request).await.map_err(cut)?;
        let is_head = call.operation == "HEAD";
        let answer = match self.decide(&call).await? {
            Deed::Pass => self.carry_out(&call).await?,
            Deed::Refuse(fault, answer) => {
                self.count_fault(fault);
                answer
            }
            Deed::Lose => {
                self.count_fault("a reply was lost");
                let answer = self.carry_out(&call).await?;
                self.count(&call, &answer);
                return Err(Cut("the reply is lost".to_owned()));
            }
            Deed::Records(taken) => self.some_records(&call, &taken).await?,
            Deed::Items { rest, left } => self.some_items(&call, &rest, left).await?,
        };
        self.count(&call, &answer);
        self.learn(&call, &answer);
        Ok(answer.into_response(is_head))
    }

    async fn decide(&self, call: &Call) -> Result<Deed, Cut> {
        if !call.is_of_data() {
            return Ok(Deed::Pass);
        }
        let (plan, chance) = (&self.plan, &self.chance);
        let is_append = matches!(call.operation.as_str(), "PutRecords" | "PutRecord");
        if chance.strikes(plan.throttled) {
            return Ok(Deed::Refuse("a call was throttled", refusal::throttled(call)));
        }
        // Whether a call that failed was carried out, nobody knows: of an append that is as bad as a lost reply.
        if chance.strikes(if is_append { plan.failed.min(plan.lost_appends) } else { plan.failed }) {
            return Ok(Deed::Refuse("a service failed", refusal::failed(call)));
        }
        if chance.strikes(if is_append { plan.lost_appends } else { plan.lost }) {
            return Ok(Deed::Lose);
        }
        if chance.strikes(plan.conflicting)
            && let Some(answer) = refusal::conflicting(call)
        {
            return Ok(Deed::Refuse("a write met another", answer));
        }
        if call.is_part() && chance.strikes(plan.refused_parts) {
            return Ok(Deed::Refuse("a part was refused", refusal::denied()));
        }
        match (call.service, call.operation.as_str()) {
            (Service::Kinesis, "PutRecords" | "PutRecord") => self.decide_records(call).await,
            (Service::Kinesis, "GetRecords") => Ok(self.decide_read(call)),
            (Service::DynamoDb, "BatchWriteItem") => Ok(self.decide_items(call)),
            _ => Ok(Deed::Pass),
        }
    }

    async fn decide_records(&self, call: &Call) -> Result<Deed, Cut> {
        let body = call.json();
        let stream = body["StreamName"].as_str().unwrap_or_default();
        if self.plan.has_quotas && !locked(&self.shards).knows(stream) {
            let list = call.beside("ListShards", &json!({ "StreamName": stream }));
            let found = self.forward(&list).await?.value();
            locked(&self.shards).list(stream, &found);
        }
        let Some(records) = body["Records"].as_array() else {
            let takes = self.takes(stream, &body);
            let refusal = || Deed::Refuse("a shard was full", refusal::throttled(call));
            return Ok(if takes { Deed::Pass } else { refusal() });
        };
        let taken: Vec<bool> = records
            .iter()
            .map(|record| !self.chance.strikes(self.plan.partial) && self.takes(stream, record))
            .collect();
        Ok(if taken.iter().all(|taken| *taken) { Deed::Pass } else { Deed::Records(taken) })
    }

    fn takes(&self, stream: &str, record: &Value) -> bool {
        let shards = locked(&self.shards);
        match shards.of_record(stream, record) {
            Some(shard) if self.plan.has_quotas => {
                locked(&self.quotas).takes(shard, record_bytes(record), SystemClock.now())
            }
            Some(_) | None => true,
        }
    }

    fn decide_read(&self, call: &Call) -> Deed {
        if self.chance.strikes(self.plan.expired) {
            return Deed::Refuse("an iterator had expired", refusal::expired());
        }
        let body = call.json();
        let shards = locked(&self.shards);
        let shard = shards.of_iterator(body["ShardIterator"].as_str().unwrap_or_default());
        match shard {
            Some(shard) if self.plan.has_quotas && !locked(&self.quotas).answers(shard, SystemClock.now()) => {
                Deed::Refuse("a shard was read too often", refusal::throttled(call))
            }
            Some(_) | None => Deed::Pass,
        }
    }

    fn decide_items(&self, call: &Call) -> Deed {
        let body = call.json();
        let (mut rest, mut left) = (json!({}), json!({}));
        let mut is_all = true;
        for (table, writes) in body["RequestItems"].as_object().into_iter().flatten() {
            let writes = writes.as_array().into_iter().flatten().cloned();
            let (behind, taken): (Vec<Value>, Vec<Value>) =
                writes.partition(|_| self.chance.strikes(self.plan.partial));
            // AWS takes something of every batch, or refuses all of it.
            if taken.is_empty() {
                return Deed::Pass;
            }
            rest[table] = taken.into();
            if !behind.is_empty() {
                is_all = false;
                left[table] = behind.into();
            }
        }
        if is_all { Deed::Pass } else { Deed::Items { rest, left } }
    }

    async fn some_records(&self, call: &Call, taken: &[bool]) -> Result<Answer, Cut> {
        self.count_fault("records were not taken");
        let mut body = call.json();
        let records = body["Records"].take();
        let kept = records.as_array().into_iter().flatten().zip(taken).filter(|(_, taken)| **taken);
        let kept: Vec<Value> = kept.map(|(record, _)| record.clone()).collect();
        let refused =
            json!({ "ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "said the proxy" });
        let (answer, outcomes) = if kept.is_empty() {
            (Answer::json(200, &Value::Null), Vec::new())
        } else {
            body["Records"] = kept.into();
            let answer = self.forward(&call.with_json(&body)).await?;
            let Value::Array(outcomes) = answer.value()["Records"].take() else { return Ok(answer) };
            (answer, outcomes)
        };
        let mut outcomes = outcomes.into_iter();
        let all =
            taken.iter().map(|taken| if *taken { outcomes.next().unwrap_or(Value::Null) } else { refused.clone() });
        let all: Vec<Value> = all.collect();
        let failed = all.iter().filter(|outcome| !outcome["ErrorCode"].is_null()).count();
        Ok(answer.with_json(&json!({ "FailedRecordCount": failed, "Records": all })))
    }

    async fn some_items(&self, call: &Call, rest: &Value, left: Value) -> Result<Answer, Cut> {
        self.count_fault("items were left");
        let mut body = call.json();
        body["RequestItems"] = rest.clone();
        let answer = self.forward(&call.with_json(&body)).await?;
        if !answer.status.is_success() {
            return Ok(answer);
        }
        let mut value = answer.value();
        value["UnprocessedItems"] = left;
        Ok(answer.with_json(&value))
    }

    async fn carry_out(&self, call: &Call) -> Result<Answer, Cut> {
        let own = locked(&self.glacier).answer(call);
        if let Some((fault, answer)) = own {
            self.count_fault(fault);
            return Ok(answer);
        }
        let answer = self.forward(call).await?;
        Ok(locked(&self.glacier).seen(call, answer))
    }

    async fn forward(&self, call: &Call) -> Result<Answer, Cut> {
        let connection = TcpStream::connect(&self.upstream).await.map_err(cut)?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(connection)).await.map_err(cut)?;
        tokio::spawn(connection);
        let response = sender.send_request(call.clone().into_request()).await.map_err(cut)?;
        Answer::read(response).await.map_err(cut)
    }

    /// Keeps of a call and its answer what later calls are judged by.
    fn learn(&self, call: &Call, answer: &Answer) {
        if call.service != Service::Kinesis || !answer.status.is_success() {
            return;
        }
        let mut shards = locked(&self.shards);
        match call.operation.as_str() {
            "GetShardIterator" => {
                let body = call.json();
                let shard = [&body["StreamName"], &body["ShardId"]].map(|name| name.as_str().unwrap_or_default());
                if let Some(iterator) = answer.value()["ShardIterator"].as_str() {
                    shards.begin(iterator, shard.join(" "));
                }
            }
            "GetRecords" => {
                let (body, found) = (call.json(), answer.value());
                let iterator = body["ShardIterator"].as_str().unwrap_or_default();
                let records = found["Records"].as_array().into_iter().flatten();
                let bytes = records.map(record_bytes).sum();
                if let Some(shard) = shards.of_iterator(iterator) {
                    locked(&self.quotas).answered(shard, bytes, SystemClock.now());
                }
                shards.go_on(iterator, found["NextShardIterator"].as_str());
            }
            "SplitShard" | "MergeShards" | "UpdateShardCount" | "DeleteStream" => {
                shards.forget(call.json()["StreamName"].as_str().unwrap_or_default());
            }
            _ => {}
        }
    }

    fn count(&self, call: &Call, answer: &Answer) {
        let mut tally = locked(&self.tally);
        let calls = tally.calls.entry(call.name()).or_default();
        calls.requests += 1;
        calls.bytes_sent += call.body.len() as u64;
        calls.bytes_received += answer.body.len() as u64;
    }

    fn count_fault(&self, name: &'static str) {
        *locked(&self.tally).faults.entry(name).or_default() += 1;
    }
}
