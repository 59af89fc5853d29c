//! The socket in the data directory, by which the operator's other commands reach the server that holds it.

use std::{
    io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

use fineo::{Error, Result};
use tokio::net::UnixListener;

use crate::{
    Shared, Shutdown,
    http::{Entrance, Room, accept_loop, router},
};

/// The folder of the socket: nobody else may even look into it.
const FOLDER: &str = "serve";
/// The socket in it.
const NAME: &str = "socket";

/// Where the server of `directory` listens.
pub fn socket_path(directory: &Path) -> PathBuf {
    directory.join(FOLDER).join(NAME)
}

/// The socket of a running server; it is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Socket {
    listener: UnixListener,
    guard: Guard,
}

#[derive(Debug)]
struct Guard(PathBuf);

impl Drop for Guard {
    fn drop(&mut self) {
        // What is left behind is replaced by the next server.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Socket {
    /// Listens in `directory`, which the caller holds: a socket that is there is a dead server's.
    ///
    /// # Errors
    ///
    /// `Unsupported` when the path is too long for a socket, or `Unavailable` when it cannot be made.
    pub(crate) fn listen(directory: &Path) -> Result<Self> {
        let folder = directory.join(FOLDER);
        let path = folder.join(NAME);
        let failed = |source: io::Error| {
            let error = match source.kind() {
                io::ErrorKind::InvalidInput => {
                    Error::new(fineo::ErrorKind::Unsupported, "the path is too long for a socket")
                }
                _ => Error::unavailable("the socket cannot be made"),
            };
            error.with("socket", path.display()).with_source(source)
        };
        match std::fs::DirBuilder::new().mode(0o700).create(&folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made.map_err(failed)?,
        }
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700)).map_err(failed)?;
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let listener = UnixListener::bind(&path).map_err(failed)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
        Ok(Self { listener, guard: Guard(path) })
    }

    /// Serves the operator until `shutdown` is requested.
    pub(crate) async fn serve(self, shared: Shared, shutdown: Shutdown) {
        let Self { listener, guard } = self;
        let room = Room::new(shared, Entrance::Socket, shutdown.clone());
        accept_loop(listener, None, router(room.clone()), &room, shutdown).await;
        drop(guard);
    }
}
