//! Bytes that no client sends: each row of what a door must bear, with its exact outcome (W01 to W19).

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::desk::Desk;

/// Sends `bytes` and says what came back until the door closed, or until it waits for more.
async fn said(desk: &Desk, bytes: &[u8]) -> Vec<u8> {
    let mut socket = TcpStream::connect(desk.pg).await.unwrap();
    // A door that closed already does not take the rest.
    let _ = socket.write_all(bytes).await;
    let _ = socket.shutdown().await;
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer).await;
    answer
}

fn startup(code: u32, parameters: &[(&str, &str)]) -> Vec<u8> {
    let mut body = code.to_be_bytes().to_vec();
    for (name, value) in parameters {
        body.extend_from_slice(name.as_bytes());
        body.push(0);
        body.extend_from_slice(value.as_bytes());
        body.push(0);
    }
    body.push(0);
    let mut message = (u32::try_from(body.len()).unwrap() + 4).to_be_bytes().to_vec();
    message.extend(body);
    message
}

fn state(answer: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(answer).into_owned();
    let at = text.find("\0C")?;
    Some(text[at + 2..].chars().take(5).collect())
}

#[tokio::test]
async fn a_first_message_that_is_none_is_refused() {
    // W01
    let desk = Desk::open().await;
    for length in [0_i32, 3, 7, i32::MAX, -1] {
        let mut bytes = length.to_be_bytes().to_vec();
        bytes.extend([0; 8]);
        let answer = said(&desk, &bytes).await;
        assert_eq!(state(&answer).as_deref(), Some("08P01"), "length {length}: {answer:?}");
    }
    for (code, expected) in [(0, "0A000"), (2 << 16, "0A000"), (4 << 16, "0A000")] {
        assert_eq!(state(&said(&desk, &startup(code, &[("user", "acme")])).await).as_deref(), Some(expected));
    }
    assert_eq!(state(&said(&desk, &startup(3 << 16, &[])).await).as_deref(), Some("28000"));
    let many: Vec<(String, String)> = (0..100_000).map(|index| (format!("p{index}"), "v".to_owned())).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(state(&said(&desk, &startup(3 << 16, &many)).await).as_deref(), Some("08P01"));
}

#[tokio::test]
async fn a_newer_minor_version_is_negotiated() {
    // W01
    let desk = Desk::open().await;
    let answer = said(&desk, &startup((3 << 16) | 9_999, &[("user", "acme")])).await;
    assert_eq!(answer.first(), Some(&b'v'), "{answer:?}");
}

#[tokio::test]
async fn encryption_is_asked_for_once() {
    // W04
    let desk = Desk::open().await;
    let ssl = [0, 0, 0, 8, 4, 210, 22, 47];
    let gss = [0, 0, 0, 8, 4, 210, 22, 48];
    assert_eq!(said(&desk, &[ssl, ssl, ssl].concat()).await, b"N");
    assert_eq!(said(&desk, &[gss, ssl, gss, gss].concat()).await, b"NN");
    assert_eq!(said(&desk, &[0x16, 3, 1, 0, 5, 1, 2, 3, 4, 5]).await, b"");
}

#[tokio::test]
async fn nobody_speaks_before_the_password() {
    // W06, W09
    let desk = Desk::open().await;
    let hello = startup(3 << 16, &[("user", "acme")]);
    let query = [b"Q".as_slice(), &[0, 0, 0, 13], b"SELECT 1\0"].concat();
    let parse = [b"P".as_slice(), &[0, 0, 0, 8], &[0, 0, 0xff, 0xff]].concat();
    for message in [query, parse, vec![b'X', 0, 0, 0, 4], vec![b'z', 0, 0, 0, 4], vec![b'p', 0x7f, 0xff, 0xff, 0xff]] {
        let answer = said(&desk, &[hello.clone(), message.clone()].concat()).await;
        assert_eq!(&answer[..1], b"R", "{message:?}");
        let rest = String::from_utf8_lossy(&answer);
        assert!(!rest.contains('Z'), "{message:?}: {rest}");
    }
}

#[tokio::test]
async fn a_proof_that_is_none_is_refused() {
    // W11
    let desk = Desk::open().await;
    let hello = startup(3 << 16, &[("user", "acme")]);
    let first = |text: &str| {
        let mut body = b"SCRAM-SHA-256\0".to_vec();
        body.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
        body.extend(text.as_bytes());
        let mut message = vec![b'p'];
        message.extend((u32::try_from(body.len()).unwrap() + 4).to_be_bytes());
        message.extend(body);
        message
    };
    let texts =
        ["", "n,,", "n,,n=,r=", "p=tls-unique,,n=,r=abc", "n,a=rival,n=,r=abc", "n,,n=,r=abc,x=1", "n,,r=abc", "y"];
    for text in texts {
        let answer = said(&desk, &[hello.clone(), first(text)].concat()).await;
        assert_eq!(state(&answer).as_deref(), Some("28P01"), "{text:?}");
    }
}

/// A small generator: the same bytes in every run.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

#[tokio::test]
async fn no_bytes_bring_the_door_down_or_reach_a_neighbour() {
    // W01, W06, W16: no crash, no hang, the canary sings on.
    let desk = Desk::open().await;
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    let hello = startup(3 << 16, &[("user", "acme"), ("database", "fineo")]);
    for _ in 0..300 {
        let mut bytes = if chance.next().is_multiple_of(2) { hello.clone() } else { Vec::new() };
        for _ in 0..chance.next() % 40 {
            bytes.push((chance.next() % 256) as u8);
        }
        if !bytes.is_empty() && chance.next().is_multiple_of(2) {
            let at = (chance.next() as usize) % bytes.len();
            bytes[at] ^= 1 << (chance.next() % 8);
        }
        let answer = tokio::time::timeout(std::time::Duration::from_secs(20), said(&desk, &bytes)).await;
        let answer = answer.unwrap_or_else(|_| panic!("the door hangs on {bytes:?}"));
        assert!(!String::from_utf8_lossy(&answer).contains("tweet"));
    }
    assert!(!desk.doors.is_finished());
    let mut config = tokio_postgres::Config::new();
    config.host("127.0.0.1").port(desk.pg.port()).user("rival").password(&desk.rival).dbname("fineo");
    let (client, connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    let secret: String = client.query_one("SELECT secret FROM canary", &[]).await.unwrap().get(0);
    assert_eq!(secret, "tweet");
}
