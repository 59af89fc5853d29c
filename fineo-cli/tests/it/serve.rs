//! While a server holds the directory, the other verbs work as they always do.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use crate::program::{Program, counts};

/// A server that is asked to stop, as a service manager would, when it goes out of scope.
pub(crate) struct Served {
    child: Child,
    address: String,
    /// What it said so far.
    said: Arc<Mutex<Vec<String>>>,
}

pub(crate) const SERVE: &str = "serve --http-addr 127.0.0.1:0 --pg-addr 127.0.0.1:0 --flight-addr 127.0.0.1:0";

impl Served {
    fn new(program: &Program) -> Self {
        Self::of(program.command(SERVE))
    }

    pub(crate) fn of(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut first = Vec::new();
        let mut says = lines.by_ref().map_while(Result::ok).inspect(|line| first.push(line.clone()));
        let address = says.find_map(|line| line.strip_prefix("http listens on ").map(str::to_owned)).unwrap();
        let said = Arc::new(Mutex::new(first));
        let kept = Arc::clone(&said);
        // What it says later must not fill its pipe.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| kept.lock().unwrap().push(line)));
        Self { child, address, said }
    }

    fn has_said(&self, what: &str) -> bool {
        self.said.lock().unwrap().iter().any(|line| line.contains(what))
    }

    /// Sends a request without a body, such as `GET /healthz`, and gives the whole answer.
    pub(crate) fn ask(&self, line: &str, token: &str) -> String {
        let head = format!("{line} HTTP/1.1\r\nauthorization: Bearer {token}\r\ncontent-length: 0\r\n");
        said(&self.address, &head, b"")
    }

    fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap().success());
    }

    /// Asks it to stop and gives its exit code.
    pub(crate) fn stop(mut self) -> i32 {
        self.signal("-TERM");
        self.child.wait().unwrap().code().unwrap_or(-1)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.signal("-TERM");
            let _ended = self.child.wait();
        }
    }
}

/// Sends a request of this head and body to `address`, and gives all that comes back.
pub(crate) fn said(address: &str, head: &str, body: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(format!("{head}host: x\r\nconnection: close\r\n\r\n").as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

// N12
#[test]
fn every_verb_asks_the_server_that_holds_the_directory() {
    let program = Program::new();
    let served = Served::new(&program);
    let events = "{\"metrictype\":\"m\",\"timestamp\":1,\"temp\":\"20\"}\n{\"metrictype\":\"m\",\"temp\":1}\n{\"metrictype\":\"m\",\"timestamp\":1,\"temp\":\"20\"}";
    assert_eq!(counts(&program.ingest(events)), [2, 1, 1]);
    assert_eq!(program.ask("SELECT temp FROM m"), "temp\n20\n");
    program.done("schema --tenant t field add m temperature double --alias temp");
    assert_eq!(program.ask("SELECT temperature FROM m"), "temperature\n20.0\n");
    assert!(program.done("schema --tenant t export").contains("temperature"));
    assert!(program.done("schema --tenant t history").contains("temperature"));
    assert!(program.done("schema --tenant t discovered").len() > 1);
    assert!(program.done("errors --tenant t --format csv").contains("timestamp_missing"));
    program.done("schema --tenant t set --missing-timestamp arrival");
    assert!(program.done("replay --tenant t --stage raw --errors-only").starts_with("replayed 1,"));
    let told = program.run("replay --tenant t --stage raw --restore 7");
    assert!(told.code == 2 && told.stderr.contains("nothing in a directory is cold"), "{told:?}");
    assert!(program.done("status").contains("tenant t"));
    assert!(program.done("capabilities").contains("local"));
    program.done("tables --tenant t");
    let wrong = program.try_ask("SELECT * FROM nonesuch");
    assert_eq!(wrong.code, 1, "{wrong:?}");
    assert!(wrong.stderr.contains("nonesuch"), "{wrong:?}");

    let token = program.done("token create --tenant new --note x");
    let token = token.trim();
    assert!(program.done("token list").contains("new") && !program.done("token list").contains(token));
    assert!(served.address.starts_with("127.0.0.1:"));
    let id = token.split('_').nth(1).unwrap();
    program.done(&format!("token revoke {id}"));
    assert_eq!(served.stop(), 0);
    assert_eq!(program.ask("SELECT count(*) FROM m"), "count(*)\n2\n", "the directory is free again, with all in it");
}

// D2, F1, N12
#[test]
fn what_could_be_queried_before_a_kill_is_there_for_the_first_question_after_it() {
    // Whether rows are there already when nobody waits for them is chance.
    (0..4).for_each(|_| a_kill_and_a_question());
}

fn a_kill_and_a_question() {
    let program = Program::new();
    let mut served = Served::new(&program);
    let token = program.done("token create --tenant t");
    for batch in 0..20 {
        let event = |n: u32| format!("{{\"metrictype\":\"m\",\"timestamp\":{n},\"seq\":{n}}}\n");
        let body: String = (batch * 100..(batch + 1) * 100).map(event).collect();
        let head = format!(
            "POST /v1/events?ack=queryable HTTP/1.1\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n",
            token.trim(),
            body.len()
        );
        let answer = said(&served.address, &head, body.as_bytes());
        assert!(answer.contains("\"accepted\":100"), "{answer}");
    }
    served.signal("-KILL");
    served.child.wait().unwrap();
    assert_eq!(program.ask("SELECT count(*) AS n, sum(CAST(seq AS BIGINT)) AS s FROM m"), "n,s\n2000,1999000\n");
}

#[test]
fn a_second_server_and_an_open_address_are_refused() {
    let program = Program::new();
    let exposed = program.run("serve --http-addr 0.0.0.0:0");
    assert_eq!(exposed.code, 1, "{exposed:?}");
    assert!(exposed.stderr.contains("a certificate and a token"), "{exposed:?}");
    for (line, help) in
        [("serve --http-addr localhost", "127.0.0.1:8080"), ("token create --tenant t --expires soon", "90d")]
    {
        let wrong = program.run(line);
        assert!(wrong.code != 0 && wrong.stderr.contains(help), "{wrong:?}");
    }
    let config = program.file("server.toml", "[http]\nadress = '127.0.0.1:0'\n");
    let unknown = program.run(&format!("serve --config {}", config.display()));
    assert!(unknown.code == 1 && unknown.stderr.contains("expected"), "{unknown:?}");
    let doubled = program.run("serve --http-addr 127.0.0.1:7999 --pg-addr 127.0.0.1:7999");
    assert!(doubled.code == 1 && doubled.stderr.contains("http.address, postgres.address"), "{doubled:?}");
    let filter = program.command(SERVE).env("RUST_LOG", "a=b=c").output().unwrap();
    assert!(String::from_utf8_lossy(&filter.stderr).contains("telemetry.log=a=b=c"), "{filter:?}");
    let served = Served::new(&program);
    let second = program.run("serve --http-addr 127.0.0.1:0");
    assert_eq!(second.code, 1, "{second:?}");
    assert!(second.stderr.contains("end that one") && !second.stderr.contains("in a moment"), "{second:?}");
    assert_eq!(served.stop(), 0);
}

#[test]
fn a_crowd_leaves_descriptors_for_files_and_the_door_serves_again_when_it_has_gone() {
    // W26
    let program = Program::new();
    let serve = program.command(SERVE);
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -n 100; exec \"$0\" \"$@\""]).arg(serve.get_program()).args(serve.get_args());
    limited.current_dir(serve.get_current_dir().unwrap()).env("FINEO_DATA_DIR", program.path("store"));
    let served = Served::of(limited);
    assert!(served.has_said("at most 50 connections"), "{:?}", served.said);
    let crowd: Vec<TcpStream> = (0..150).map(|_| TcpStream::connect(&served.address).unwrap()).collect();
    drop(crowd);
    #[expect(clippy::disallowed_methods, reason = "another process is waited for")]
    let begun = Instant::now();
    // Who comes before the crowd has gone is turned away.
    while !is_healthy(&served.address) {
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", served.said);
        std::thread::yield_now();
    }
    assert_eq!(served.stop(), 0);
}

fn is_healthy(address: &str) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

#[test]
fn a_certificate_that_is_replaced_is_read_again_when_the_server_hears_of_it() {
    let program = Program::new();
    let tls = concat!(env!("CARGO_MANIFEST_DIR"), "/../fineo-server/tests/tls");
    let settings = format!("[tls]\ncertificate = '{tls}/first.pem'\nkey = '{tls}/first.key.pem'\n");
    let config = program.file("server.toml", &settings);
    let served = Served::of(program.command(&format!("{SERVE} --config {}", config.display())));
    served.signal("-HUP");
    #[expect(clippy::disallowed_methods, reason = "another process is waited for")]
    let begun = Instant::now();
    while !served.has_said("the certificate was read again") {
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", served.said);
        std::thread::yield_now();
    }
    assert_eq!(served.stop(), 0);
}

// P6
#[test]
fn no_log_shows_a_token_however_much_is_logged() {
    let program = Program::new();
    let mut serve = program.command(SERVE);
    serve.env("RUST_LOG", "trace");
    let served = Served::of(serve);
    let token = program.done("token create --tenant t").trim().to_owned();
    assert!(served.ask("GET /v1/tenant", &token).starts_with("HTTP/1.1 200"));
    let (all_but_last, last) = token.split_at(token.len() - 1);
    let wrong = format!("{all_but_last}{}", if last == "0" { "1" } else { "0" });
    assert!(served.ask("GET /v1/tenant", &wrong).starts_with("HTTP/1.1 401"));
    let said = Arc::clone(&served.said);
    assert_eq!(served.stop(), 0);
    let said = said.lock().unwrap().join("\n");
    assert!(said.contains("TRACE"), "{}", said.len());
    for secret in [&token, &wrong] {
        let place = said.find(secret.rsplit('_').next().unwrap());
        assert_eq!(place, None, "{:?}", place.map(|at| &said[at.saturating_sub(300)..at]));
    }
}
