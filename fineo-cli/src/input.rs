//! Files that are named on the command line.

use std::{fs::File, io, path::Path};

use fineo::core::Error;

/// Whether `file` stands for standard input.
pub(crate) fn is_stdin(file: &Path) -> bool {
    file.as_os_str() == "-"
}

/// Checks that `file` is there and can be read.
pub(crate) fn check_readable(file: &Path) -> Result<(), Error> {
    let open = File::open(file).map_err(|error| unreadable(file, &error))?;
    if open.metadata().is_ok_and(|metadata| metadata.is_dir()) {
        return Err(Error::invalid("is a directory").with("file", file.display()));
    }
    Ok(())
}

/// All of `file` or of standard input as text, at most `bytes_max`.
pub(crate) fn read_text(file: &Path, bytes_max: u64) -> Result<String, Error> {
    use io::Read;
    let mut text = String::new();
    let read = match is_stdin(file) {
        true => io::stdin().lock().take(bytes_max + 1).read_to_string(&mut text),
        false => File::open(file).and_then(|open| open.take(bytes_max + 1).read_to_string(&mut text)),
    };
    let bytes = read.map_err(|error| unreadable(file, &error))?;
    if bytes as u64 > bytes_max {
        return Err(Error::invalid("the file is too long").with("file", file.display()).with("bytes_max", bytes_max));
    }
    Ok(text)
}

/// The error of `file` that cannot be read.
fn unreadable(file: &Path, error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound => Error::not_found("no such file"),
        _ => Error::invalid(format!("cannot read: {error}")),
    }
    .with("file", file.display())
}
