//! `fineo serve`: holds the directory and opens the doors.

use std::{sync::Arc, time::Duration};

use fineo::{
    core::{SystemClock, SystemEntropy},
    query::QueryLimits,
};
use fineo_server::{Config, Credentials, Server, Telemetry, Tls};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::{
    args::ServeArgs,
    failure::{Failure, say},
    place::Place,
    stop::{HangUps, stop_asked},
};

/// So many descriptors are left for files where there are enough.
const DESCRIPTORS_OF_FILES: usize = 512;

/// Serves until it is asked to stop.
pub(crate) async fn run(args: &ServeArgs, place: &Place) -> Result<(), Failure> {
    let mut config = config(args)?;
    leave_descriptors(&mut config);
    // Before a directory is taken for it.
    if let (Some(certificate), Some(key)) = (&config.tls.certificate, &config.tls.key) {
        Tls::load(certificate, key)?;
    }
    let telemetry = Telemetry::begin(&config.telemetry_options())?;
    let fineo = place.builder()?.with_query_limits(query_limits(&config)).open().await?;
    let repo = Arc::clone(&fineo.parts().repo);
    let credentials = Credentials::open(repo, Arc::new(SystemClock), Arc::new(SystemEntropy::new())).await?;
    let has_no_token = credentials.is_empty();
    // Where no directory is held, the other verbs go to the stores themselves.
    let directory = match place {
        Place::Directory(directory) => Some(directory.clone()),
        Place::Aws { .. } => None,
    };
    let mut server = Server::open(&config, fineo, credentials, directory).await?;
    Place::connect(server.folders_mut()).await?;
    // Whoever reads that it listens may signal at once.
    let renewed = server.shared().tls.clone().map(|tls| (tls, HangUps::new()));
    for (door, address) in server.addresses() {
        say(&format!("{door} listens on {address}"));
    }
    if has_no_token {
        say("nobody has a token yet: fineo token create --tenant T");
    }
    let renewal = renewed.map(|(tls, hang_ups)| tokio::spawn(renew(tls, hang_ups)));
    let shutdown = server.shutdown().clone();
    let watch = tokio::spawn(async move {
        stop_asked().await;
        say("stopping: what is under way may finish");
        shutdown.request();
    });
    let outcome = server.run().await;
    watch.abort();
    if let Some(renewal) = renewal {
        renewal.abort();
    }
    telemetry.end();
    outcome?;
    say("stopped");
    Ok(())
}

/// What one query may cost, at any door.
fn query_limits(config: &Config) -> QueryLimits {
    QueryLimits::default()
        .with_time_max(Duration::from_secs(config.limits.query_seconds_max))
        .with_memory_bytes_max(config.limits.query_memory_bytes_max)
        .with_text_bytes_max(config.limits.sql_bytes_max)
}

/// Takes as many descriptors as the system gives, and lets in no more connections than leave some for files: a store that
/// cannot open its files takes nothing any more.
fn leave_descriptors(config: &mut Config) {
    let Ok((current, maximum)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    // Where it may not be raised, what there is has to do.
    let there = setrlimit(Resource::RLIMIT_NOFILE, maximum, maximum).map_or(current, |()| maximum);
    let connections = beside_files(usize::try_from(there).unwrap_or(usize::MAX));
    if config.limits.connections_max > connections {
        say(&format!("{there} descriptors may be open: at most {connections} connections are let in (see ulimit -n)"));
        config.limits.connections_max = connections;
    }
}

fn beside_files(descriptors: usize) -> usize {
    descriptors.saturating_sub(DESCRIPTORS_OF_FILES).max(descriptors / 2)
}

/// Reads the certificate again whenever the process hears SIGHUP, without waiting for the next look at it.
async fn renew(tls: Tls, mut hang_ups: HangUps) {
    while hang_ups.next().await {
        match tls.reload() {
            Ok(()) => say("the certificate was read again"),
            Err(error) => say(&format!("the certificate cannot be read again; the one before stays: {error}")),
        }
    }
}

fn config(args: &ServeArgs) -> Result<Config, Failure> {
    let mut config = match &args.config {
        Some(file) => Config::read(file)?,
        None => Config::default(),
    };
    config.http.address = args.http_addr.or(config.http.address);
    config.postgres.address = args.pg_addr.or(config.postgres.address);
    config.flight.address = args.flight_addr.or(config.flight.address);
    if args.listen_beyond_loopback_without_tls_or_tokens {
        config.security.listen_beyond_loopback_without_tls_or_tokens = true;
    }
    if let Ok(filter) = std::env::var("RUST_LOG") {
        config.telemetry.log = filter;
    }
    config.check_doors()?;
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::{Config, QueryLimits, beside_files, query_limits};

    #[test]
    fn limits_of_queries_are_those_that_were_set() {
        let config = Config::parse("limits = { sql_bytes_max = 7, query_memory_bytes_max = 8, query_seconds_max = 9 }");
        let limits = query_limits(&config.unwrap());
        let set = (limits.text_bytes_max, limits.memory_bytes_max, limits.time_max.as_secs());
        assert_eq!(set, (7, 8, 9));
        let (usual, unset) = (QueryLimits::default(), query_limits(&Config::default()));
        assert_eq!(
            (unset.text_bytes_max, unset.memory_bytes_max, unset.time_max),
            (usual.text_bytes_max, usual.memory_bytes_max, usual.time_max)
        );
    }

    #[test]
    fn connections_leave_descriptors_for_files() {
        for (descriptors, connections) in [(64, 32), (1_024, 512), (4_096, 3_584), (1_048_576, 1_048_064)] {
            assert_eq!(beside_files(descriptors), connections);
        }
    }
}
