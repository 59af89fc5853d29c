//! Disk and loopback, in wall time: waiting is what they cost.
#![expect(clippy::disallowed_methods, reason = "real time is what is measured here")]

use std::fs::File;
use std::io::{Read, Result, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::Instant;

use crate::meter::Meter;

/// Sequential writes with one sync, and small durable appends.
pub fn disk(meter: &mut Meter, folder: &Path) -> Result<()> {
    let path = folder.join("limits.tmp");
    let chunk = vec![7u8; 4 << 20];
    let mut rates = Vec::new();
    for _ in 0..5 {
        let start = Instant::now();
        let mut file = File::create(&path)?;
        for _ in 0..128 {
            file.write_all(&chunk)?;
        }
        file.sync_all()?;
        rates.push(128.0 * chunk.len() as f64 / start.elapsed().as_secs_f64() / 1e6);
    }
    meter.sample("disk_seq_write_512MiB+fsync", rates, "MB/s wall");
    let mut file = File::create(&path)?;
    for (name, size, number) in [("append_4KiB+fdatasync", 4 << 10, 300), ("append_1MiB+fdatasync", 1 << 20, 100)] {
        let mut latencies = Vec::new();
        for _ in 0..number {
            let start = Instant::now();
            file.write_all(&chunk[..size])?;
            file.sync_data()?;
            latencies.push(start.elapsed().as_secs_f64() * 1e6);
        }
        meter.sample(name, latencies, "us wall");
    }
    std::fs::remove_file(&path)
}

/// Round trips of 64 bytes over loopback.
pub fn loopback(meter: &mut Meter) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let echo = std::thread::spawn(move || -> Result<()> {
        let (mut peer, _) = listener.accept()?;
        peer.set_nodelay(true)?;
        let mut message = [0u8; 64];
        while peer.read_exact(&mut message).is_ok() {
            peer.write_all(&message)?;
        }
        Ok(())
    });
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut message = [0u8; 64];
    let mut latencies = Vec::new();
    for _ in 0..20_000 {
        let start = Instant::now();
        stream.write_all(&message)?;
        stream.read_exact(&mut message)?;
        latencies.push(start.elapsed().as_secs_f64() * 1e6);
    }
    drop(stream);
    echo.join().expect("the echo does not panic")?;
    meter.sample("loopback_rtt_64B", latencies.split_off(500), "us wall");
    Ok(())
}
