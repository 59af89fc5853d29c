//! A session that was let in and then says what no client says: each row with its exact outcome (W06 to W19, Q27).

use std::time::Duration;

use fineo_server::DoorLimits;
use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::desk::Desk;

/// A session of `acme`, byte by byte.
struct Raw(TcpStream);

/// A message: its kind, its length, what it says.
fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap() + 4;
    [&[kind], length.to_be_bytes().as_slice(), body].concat()
}

fn query(sql: &str) -> Vec<u8> {
    message(b'Q', format!("{sql}\0").as_bytes())
}

fn parse(name: &str, sql: &str) -> Vec<u8> {
    message(b'P', format!("{name}\0{sql}\0\0\0").as_bytes())
}

/// Values for a statement: their formats, and the values with their lengths.
fn bind(statement: &str, formats: &[u8], values: &[u8]) -> Vec<u8> {
    message(b'B', &[b"\0", statement.as_bytes(), b"\0", formats, values, &[0, 0]].concat())
}

fn execute(rows_max: i32) -> Vec<u8> {
    message(b'E', &[b"\0".as_slice(), &rows_max.to_be_bytes()].concat())
}

fn sync() -> Vec<u8> {
    message(b'S', b"")
}

impl Raw {
    async fn open(desk: &Desk) -> Self {
        let mut this = Self(TcpStream::connect(desk.pg).await.unwrap());
        let hello = b"\0\x03\0\0user\0acme\0database\0fineo\0application_name\0a\x1b[31m\nb\0\0";
        let length = u32::try_from(hello.len()).unwrap() + 4;
        this.send(&[length.to_be_bytes().as_slice(), hello].concat()).await;
        let mut scram = ScramSha256::new(desk.token.as_bytes(), ChannelBinding::unsupported());
        assert_eq!(this.next().await.0, b'R');
        let first = scram.message();
        let length = u32::try_from(first.len()).unwrap().to_be_bytes();
        this.send(&message(b'p', &[b"SCRAM-SHA-256\0", length.as_slice(), first].concat())).await;
        scram.update(&this.next().await.1[4..]).unwrap();
        this.send(&message(b'p', scram.message())).await;
        scram.finish(&this.next().await.1[4..]).unwrap();
        this.until_ready().await;
        this
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    async fn next(&mut self) -> (u8, Vec<u8>) {
        let read = async {
            let kind = self.0.read_u8().await?;
            let length = self.0.read_u32().await?;
            let mut body = vec![0; usize::try_from(length).unwrap() - 4];
            self.0.read_exact(&mut body).await?;
            Ok::<_, std::io::Error>((kind, body))
        };
        tokio::time::timeout(Duration::from_secs(20), read).await.expect("the door answers").unwrap()
    }

    /// The kinds of the messages up to the one that says the door is ready, an error as its state.
    async fn until_ready(&mut self) -> Vec<String> {
        let mut kinds = Vec::new();
        loop {
            let (kind, body) = self.next().await;
            match kind {
                b'Z' => return kinds,
                b'S' | b'K' => {}
                b'E' => kinds.push(state(&body)),
                kind => kinds.push(char::from(kind).to_string()),
            }
        }
    }

    async fn answers(&mut self, messages: &[Vec<u8>]) -> Vec<String> {
        self.send(&messages.concat()).await;
        self.until_ready().await
    }
}

/// The SQLSTATE among the fields of an error.
fn state(body: &[u8]) -> String {
    let mut fields = body.split(|byte| *byte == 0);
    let code = fields.find_map(|field| field.strip_prefix(b"C")).unwrap();
    String::from_utf8(code.to_vec()).unwrap()
}

/// The neighbour notices nothing.
async fn canary(desk: &Desk) {
    let mut config = tokio_postgres::Config::new();
    config.host("127.0.0.1").port(desk.pg.port()).user("rival").password(&desk.rival).dbname("fineo");
    let (client, connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    let secret: String = client.query_one("SELECT secret FROM canary", &[]).await.unwrap().get(0);
    assert_eq!(secret, "tweet");
}

#[tokio::test]
async fn counts_that_lie_are_an_error_and_the_session_goes_on() {
    // W06, W16
    let desk = Desk::open().await;
    let mut raw = Raw::open(&desk).await;
    let lies = [
        ("65,535 types", message(b'P', b"\0SELECT 1\0\xff\xff")),
        ("a value longer than its message", bind("", &[0, 0], &[0, 1, 0, 0, 0, 9, b'1'])),
        ("a value of 2^31-1 bytes", bind("", &[0, 0], &[0, 1, 0x7f, 0xff, 0xff, 0xff])),
        ("a value of a negative length", bind("", &[0, 0], &[0, 1, 0xff, 0xff, 0xff, 0xf0])),
        ("formats without bytes", message(b'B', b"\0\0\xff\xff")),
        ("a format that is none", bind("", &[0, 1, 0, 9], &[0, 0])),
        ("more bytes than its content", message(b'D', b"S\0rest")),
        ("neither statement nor portal", message(b'D', b"Q\0")),
        ("no end", message(b'Q', b"SELECT 1")),
    ];
    for (what, lie) in lies {
        let is_query = lie[0] == b'Q';
        let messages = if is_query { vec![lie] } else { vec![lie, sync()] };
        assert_eq!(raw.answers(&messages).await, ["08P01"], "{what}");
        assert_eq!(raw.answers(&[query("SELECT 1")]).await, ["T", "D", "C"], "after {what}");
    }
    canary(&desk).await;
}

#[tokio::test]
async fn a_message_that_is_too_long_or_unknown_ends_the_session() {
    // W16
    let desk = Desk::open().await;
    for wrong in
        [&[b'Q', 0x7f, 0xff, 0xff, 0xff][..], &[b'Q', 0xff, 0xff, 0xff, 0xff], &[b'Q', 0, 0, 0, 3], b"~\0\0\0\x04"]
    {
        let mut raw = Raw::open(&desk).await;
        raw.send(wrong).await;
        let (kind, body) = raw.next().await;
        assert_eq!((kind, state(&body).as_str()), (b'E', "08P01"), "{wrong:?}");
        assert!(raw.0.read_u8().await.is_err(), "closed after {wrong:?}");
    }
    canary(&desk).await;
}

#[tokio::test]
async fn a_message_that_is_too_long_is_passed_over_and_said_to_be() {
    // W16
    let desk = Desk::open().await;
    let mut raw = Raw::open(&desk).await;
    let long = "x".repeat(17 << 20);
    let value = [&[0, 1][..], &(17_u32 << 20).to_be_bytes(), long.as_bytes()].concat();
    for messages in [
        vec![query(&format!("SELECT '{long}'"))],
        vec![parse("", "SELECT $1"), bind("", &[0, 0], &value), execute(0), sync()],
    ] {
        let told = raw.answers(&messages).await;
        assert_eq!(told.last().map(String::as_str), Some("54000"), "{told:?}");
        assert_eq!(raw.answers(&[query("SELECT 1")]).await, ["T", "D", "C"]);
    }
    canary(&desk).await;
}

#[tokio::test]
async fn a_number_of_rows_that_is_none_means_all() {
    // W07
    let desk = Desk::open().await;
    let mut raw = Raw::open(&desk).await;
    for rows_max in [-1, i32::MIN, i32::MAX, 0] {
        let messages =
            [parse("", "SELECT device FROM thermostat"), bind("", &[0, 0], &[0, 0]), execute(rows_max), sync()];
        assert_eq!(raw.answers(&messages).await, ["1", "2", "D", "D", "D", "C"], "{rows_max}");
    }
}

#[tokio::test]
async fn after_an_error_everything_up_to_sync_is_passed_over() {
    // W09
    let desk = Desk::open().await;
    let mut raw = Raw::open(&desk).await;
    let cases = [
        (vec![message(b'D', b"Snone\0"), sync()], vec!["26000"]),
        (vec![message(b'D', b"Pnone\0"), sync()], vec!["34000"]),
        (vec![execute(0), sync()], vec!["34000"]),
        (vec![bind("none", &[0, 0], &[0, 0]), sync()], vec!["26000"]),
        (vec![parse("", "SELECT $1"), bind("", &[0, 0], &[0, 0]), execute(0), sync()], vec!["1", "08P01"]),
        (
            vec![parse("", "SELEC 1"), bind("", &[0, 0], &[0, 0]), execute(0), execute(0), sync()],
            vec!["1", "2", "42601"],
        ),
        (vec![parse("", "SELECT 1; SELECT 2"), execute(0), query("SELECT 1"), sync()], vec!["42601"]),
        (vec![message(b'F', b"\0\0\0\x01"), sync()], vec!["0A000", ""]),
    ];
    for (messages, expected) in cases {
        let found = raw.answers(&messages).await;
        let expected: Vec<&str> = expected.into_iter().filter(|kind| !kind.is_empty()).collect();
        assert_eq!(found, expected);
        if messages[0][0] == b'F' {
            raw.until_ready().await;
        }
    }
    let many: Vec<Vec<u8>> = (0..10_000).map(|_| sync()).collect();
    raw.send(&many.concat()).await;
    for _ in 0..10_000 {
        assert_eq!(raw.until_ready().await, Vec::<String>::new());
    }
    assert_eq!(raw.answers(&[query("SELECT 1")]).await, ["T", "D", "C"]);
}

#[tokio::test]
async fn a_value_of_the_wrong_width_or_no_text_is_refused() {
    // W17
    let desk = Desk::open().await;
    let mut raw = Raw::open(&desk).await;
    let number = "SELECT device FROM thermostat WHERE temp > $1";
    let text = "SELECT device FROM thermostat WHERE device = $1";
    let cases = [
        (number, [0, 1, 0, 1], &[0, 1, 0, 0, 0, 3, 1, 2, 3][..], "22P03"),
        (number, [0, 1, 0, 0], &[0, 1, 0, 0, 0, 1, b'x'], "22P02"),
        (text, [0, 1, 0, 0], &[0, 1, 0, 0, 0, 2, 0xc0, 0x80], "22021"),
        (text, [0, 1, 0, 1], &[0, 1, 0, 0, 0, 1, 0xff], "22021"),
        (text, [0, 1, 0, 0], &[0, 1, 0, 0, 0, 1, 0], "22021"),
    ];
    for (sql, formats, values, expected) in cases {
        let messages = [parse("", sql), bind("", &formats, values), execute(0), sync()];
        assert_eq!(raw.answers(&messages).await, ["1", expected], "{sql} {values:?}");
    }
    assert_eq!(raw.answers(&[message(b'Q', b"SELECT '\xff'\0")]).await, ["22021"]);
}

#[tokio::test]
async fn a_client_that_never_reads_is_answered_no_faster_than_it_reads() {
    // W19
    let desk = Desk::open().await;
    let raw = Raw::open(&desk).await;
    let (mut reader, mut writer) = raw.0.into_split();
    let queries = query("SELECT 1").repeat(1_000);
    let mut sent = 0_u32;
    // What the door does not take in waits with the client.
    while sent < 3_000 && tokio::time::timeout(Duration::from_secs(2), writer.write_all(&queries)).await.is_ok() {
        sent += 1;
    }
    assert!(sent < 3_000, "three million queries were taken in, and no answer was read");
    let mut first = [0];
    reader.read_exact(&mut first).await.unwrap();
    assert_eq!(first, [b'T']);
    canary(&desk).await;
}

#[tokio::test]
async fn answers_that_are_many_come_although_nobody_asked_for_them_yet() {
    // B1, W19
    let desk = Desk::open().await;
    let mut raw = Raw::open(&desk).await;
    let wide = format!("SELECT 1 AS \"{}\"", "x".repeat(10_000));
    raw.send(&[parse("", &wide), message(b'D', b"S\0").repeat(100)].concat()).await;
    assert_eq!(raw.next().await.0, b'1');
    for _ in 0..50 {
        assert_eq!([raw.next().await.0, raw.next().await.0], *b"tT");
    }
    assert_eq!(raw.answers(&[sync()]).await.len(), 100);
}

#[tokio::test]
async fn a_text_that_is_too_long_is_refused_before_anything_looks_into_it() {
    // B1, B3
    let desk = Desk::open().await;
    let mut raw = Raw::open(&desk).await;
    let many = "1;".repeat(200_000);
    assert_eq!(raw.answers(&[query(&many)]).await, ["54001"]);
    assert_eq!(raw.answers(&[parse("", &many), sync()]).await, ["54001"]);
    assert_eq!(raw.answers(&[query("SELECT 1; SELECT 2")]).await, ["T", "D", "C", "T", "D", "C"]);
}

#[tokio::test]
async fn statements_and_portals_hold_so_many_bytes_and_no_more() {
    // B1, Q27
    let desk = Desk::open().await;
    let mut raw = Raw::open(&desk).await;
    let typed = |index: usize| {
        let name = format!("t{index}\0SELECT 1\0");
        message(b'P', &[name.as_bytes(), &[0xff, 0xff], &[0; 4].repeat(65_535)].concat())
    };
    let statements: Vec<Vec<u8>> = (0..17).map(typed).chain([sync()]).collect();
    assert_eq!(raw.answers(&statements).await, [vec!["1"; 15], vec!["53400"]].concat());
    assert_eq!(raw.answers(&[query("DEALLOCATE ALL; BEGIN"), parse("s", "SELECT $1"), sync()]).await, ["C", "C"]);
    assert_eq!(raw.until_ready().await, ["1"]);
    let value = "x".repeat(14 << 20);
    let portal = |index: usize| {
        let (name, length) = (format!("p{index}\0s\0"), u32::try_from(value.len()).unwrap().to_be_bytes());
        message(b'B', &[name.as_bytes(), &[0, 0, 0, 1], &length, value.as_bytes(), &[0, 0]].concat())
    };
    let portals: Vec<Vec<u8>> = (0..8).map(portal).chain([sync()]).collect();
    assert_eq!(raw.answers(&portals).await, [vec!["2"; 6], vec!["53400"]].concat());
    canary(&desk).await;
}

#[tokio::test]
async fn a_session_keeps_so_many_statements_and_portals_and_no_more() {
    // Q27
    let desk = Desk::open().await;
    let mut raw = Raw::open(&desk).await;
    let statements: Vec<Vec<u8>> = (0..512).map(|index| parse(&format!("s{index}"), "SELECT 1")).collect();
    raw.send(&[statements.concat(), sync()].concat()).await;
    assert_eq!(raw.until_ready().await.len(), 512);
    assert_eq!(raw.answers(&[parse("one more", "SELECT 1"), sync()]).await, ["53400"]);
    assert_eq!(raw.answers(&[parse("s1", "SELECT 1"), sync()]).await, ["42P05"], "a name in use");
    assert_eq!(raw.answers(&[query("BEGIN")]).await, ["C"]);
    let portal = |index: usize| message(b'B', format!("p{index}\0s0\0\0\0\0\0\0\0").as_bytes());
    let portals: Vec<Vec<u8>> = (0..128).map(portal).collect();
    raw.send(&[portals.concat(), sync()].concat()).await;
    assert_eq!(raw.until_ready().await.len(), 128);
    assert_eq!(raw.answers(&[portal(128), sync()]).await, ["53400"]);
    assert_eq!(raw.answers(&[query("ROLLBACK; DEALLOCATE ALL")]).await, ["C", "C"]);
    assert_eq!(raw.answers(&[parse("one more", "SELECT 1"), sync()]).await, ["1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_still_reads_rows_when_the_server_has_waited_long_enough_is_told_that_it_ends() {
    let mut limits = DoorLimits::default();
    limits.drain_max = Duration::from_secs(1);
    let desk = Desk::with_limits(limits).await;
    let mut raw = Raw::open(&desk).await;
    raw.send(&query("SELECT value, repeat('x', 1000) AS text FROM generate_series(1, 100000000)")).await;
    assert_eq!([raw.next().await.0, raw.next().await.0], *b"TD");
    desk.shutdown.request();
    let told = loop {
        match raw.next().await {
            (b'D', _) => {}
            (b'E', body) => break state(&body),
            (kind, _) => panic!("{}", char::from(kind)),
        }
    };
    assert_eq!(told, "57P01");
    assert_eq!(raw.0.read(&mut [0]).await.unwrap(), 0, "it is closed");
}
