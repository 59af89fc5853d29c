//! What `fineo ingest` reads: files, standard input, objects of S3.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use fineo::ingest::{ImportFormat, Object};

use crate::{failure::Failure, input, place::Place};

/// Where events are read.
#[derive(Debug)]
pub(crate) enum Source {
    /// A file, perhaps packed.
    Path(PathBuf),
    /// Standard input, perhaps packed.
    Stdin,
    /// An object of this URL, perhaps packed.
    Object(String, Object),
}

/// What `names` are names of: standard input for `-` and for none at all. Each is looked at, so that an import does not
/// stop half-way for a typing error.
pub(crate) async fn named(names: &[PathBuf]) -> Result<Vec<Source>, Failure> {
    if names.is_empty() {
        return Ok(vec![Source::Stdin]);
    }
    let mut sources = Vec::new();
    for name in names {
        match url(name) {
            Some(url) => {
                let found = Place::objects(url).await?;
                sources.extend(found.into_iter().map(|(url, object)| Source::Object(url, object)));
            }
            None if input::is_stdin(name) => sources.push(Source::Stdin),
            None => {
                input::check_readable(name)?;
                sources.push(Source::Path(name.clone()));
            }
        }
    }
    Ok(sources)
}

fn url(name: &Path) -> Option<&str> {
    name.to_str().filter(|name| name.starts_with("s3://"))
}

impl Source {
    /// Whether its events are rows of CSV, where `format` leaves that to its name.
    pub(crate) fn is_csv(&self, format: ImportFormat) -> bool {
        let name = match (format, self) {
            (ImportFormat::Csv, _) => return true,
            (ImportFormat::Json, _) | (ImportFormat::Auto, Self::Stdin) => return false,
            (ImportFormat::Auto, Self::Path(path)) => path.to_string_lossy().to_ascii_lowercase(),
            (ImportFormat::Auto, Self::Object(url, _)) => url.to_ascii_lowercase(),
        };
        let name = name.strip_suffix(".gz").or(name.strip_suffix(".zst")).unwrap_or(&name);
        name.ends_with(".csv")
    }

    /// Whether it is standard input.
    pub(crate) fn is_stdin(&self) -> bool {
        matches!(self, Self::Stdin)
    }

    /// Its bytes as stored, where that is known.
    pub(crate) fn length(&self) -> Option<u64> {
        match self {
            Self::Path(path) => fs::metadata(path).ok().filter(fs::Metadata::is_file).map(|metadata| metadata.len()),
            Self::Stdin => None,
            Self::Object(_, object) => Some(object.length()),
        }
    }

    /// Begins to read it.
    pub(crate) fn open(self) -> Result<Box<dyn io::Read + Send>, Failure> {
        Ok(match self {
            Self::Path(path) => Box::new(fs::File::open(path)?),
            Self::Stdin => Box::new(io::stdin()),
            Self::Object(_, object) => object.open(),
        })
    }
}

/// Its name.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Stdin => f.write_str("-"),
            Self::Object(url, _) => f.write_str(url),
        }
    }
}
