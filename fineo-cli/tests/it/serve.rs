//! While a server holds the directory, the other verbs work as they always do.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
};

use crate::program::{Program, counts};

/// A server that is asked to stop, as a service manager would, when it goes out of scope.
struct Served {
    child: Child,
    address: String,
}

const SERVE: &str = "serve --http-addr 127.0.0.1:0 --pg-addr 127.0.0.1:0 --flight-addr 127.0.0.1:0";

impl Served {
    fn new(program: &Program) -> Self {
        Self::of(program.command(SERVE))
    }

    fn of(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut says = lines.by_ref().map_while(Result::ok);
        let address = says.find_map(|line| line.strip_prefix("http listens on ").map(str::to_owned)).unwrap();
        // What it says later must not fill its pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address }
    }

    /// Asks it to stop and gives its exit code.
    fn stop(mut self) -> i32 {
        assert!(Command::new("kill").arg(self.child.id().to_string()).status().unwrap().success());
        self.child.wait().unwrap().code().unwrap_or(-1)
    }
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

#[test]
fn a_second_server_and_an_open_address_are_refused() {
    let program = Program::new();
    let exposed = program.run("serve --http-addr 0.0.0.0:0");
    assert_eq!(exposed.code, 1, "{exposed:?}");
    assert!(exposed.stderr.contains("a certificate and a token"), "{exposed:?}");
    let config = program.file("server.toml", "[http]\nadress = '127.0.0.1:0'\n");
    let unknown = program.run(&format!("serve --config {}", config.display()));
    assert!(unknown.code == 1 && unknown.stderr.contains("expected"), "{unknown:?}");
    let served = Served::new(&program);
    let second = program.run("serve --http-addr 127.0.0.1:0");
    assert_eq!(second.code, 1, "{second:?}");
    assert_eq!(served.stop(), 0);
}

#[test]
fn a_door_that_has_no_file_descriptors_left_opens_again_when_it_has() {
    // W26
    let program = Program::new();
    let serve = program.command(SERVE);
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -n 100; exec \"$0\" \"$@\""]).arg(serve.get_program()).args(serve.get_args());
    limited.current_dir(serve.get_current_dir().unwrap()).env("FINEO_DATA_DIR", program.path("store"));
    let served = Served::of(limited);
    let crowd: Vec<TcpStream> = (0..150).map(|_| TcpStream::connect(&served.address).unwrap()).collect();
    drop(crowd);
    let mut stream = TcpStream::connect(&served.address).unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(served.stop(), 0);
}
