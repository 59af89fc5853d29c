//! Where the store is: in a directory, or on AWS where that is compiled in.

use std::path::PathBuf;

use fineo::{Builder, Fineo, ingest::Object};
use fineo_server::Folders;

use crate::{args::BootstrapArgs, failure::Failure};

/// Where the store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// In this directory.
    Directory(PathBuf),
    /// On AWS, under names that begin with `prefix`.
    Aws { prefix: String, bucket: Option<String> },
}

impl Place {
    /// Opens an instance there.
    pub(crate) fn builder(&self) -> Result<Builder, Failure> {
        match self {
            Self::Directory(directory) => Ok(Fineo::local(directory)),
            Self::Aws { prefix, bucket } => aws::builder(prefix, bucket.as_deref()),
        }
    }

    /// Where work that does not fit into memory goes.
    pub(crate) fn scratch(&self) -> PathBuf {
        match self {
            Self::Directory(directory) => directory.join("scratch"),
            Self::Aws { prefix, .. } => std::env::temp_dir().join(format!("fineo-{prefix}-scratch")),
        }
    }

    /// Makes what an instance there needs.
    pub(crate) async fn bootstrap(&self, args: &BootstrapArgs) -> Result<(), Failure> {
        match self {
            Self::Directory(_) => Err(only_on_aws()),
            Self::Aws { prefix, bucket } => aws::bootstrap(prefix, bucket.as_deref(), args).await,
        }
    }

    /// Connects the folders of batches that are in object stores.
    pub(crate) async fn connect(folders: &mut Folders) -> Result<(), Failure> {
        for url in folders.elsewhere() {
            aws::connect(folders, &url).await?;
        }
        Ok(())
    }

    /// The objects that a URL of S3 names, with the URL of each.
    pub(crate) async fn objects(url: &str) -> Result<Vec<(String, Object)>, Failure> {
        aws::objects(url).await
    }

    /// Says what keeps an instance there from working.
    pub(crate) async fn doctor(&self) -> Result<(), Failure> {
        match self {
            Self::Directory(_) => Err(only_on_aws()),
            Self::Aws { prefix, bucket } => aws::doctor(prefix, bucket.as_deref()).await,
        }
    }
}

fn only_on_aws() -> Failure {
    Failure::Misuse("a directory needs no preparation: this verb is for --backend aws".to_owned())
}

#[cfg(feature = "aws")]
mod aws {
    //! With the AWS backend.

    use std::io::Write;

    use fineo::{
        Builder, Fineo,
        aws::{Aws, AwsOptions, ColdAfter, Resource, TableUnits},
        core::Error,
        ingest::Object,
    };
    use fineo_server::Folders;

    use crate::{
        args::BootstrapArgs,
        failure::{Failure, say},
    };

    fn options(prefix: &str, bucket: Option<&str>) -> AwsOptions {
        let options = AwsOptions::new(prefix);
        match bucket {
            Some(bucket) => options.with_bucket(bucket),
            None => options,
        }
    }

    pub(super) fn builder(prefix: &str, bucket: Option<&str>) -> Result<Builder, Failure> {
        // Whoever types a verb gets what is there, not new streams that cost money: bootstrap makes those.
        Ok(Fineo::aws(options(prefix, bucket).with_creates_missing(false)))
    }

    pub(super) async fn connect(folders: &mut Folders, url: &str) -> Result<(), Failure> {
        folders.connect(url, &fineo::aws::folder(url, AwsOptions::new("fineo")).await?);
        Ok(())
    }

    pub(super) async fn objects(url: &str) -> Result<Vec<(String, Object)>, Failure> {
        let (store, found) = fineo::aws::objects(url, AwsOptions::new("fineo")).await?;
        let bucket: String = url.split_inclusive('/').take(3).collect();
        let bucket = bucket.trim_end_matches('/');
        let named = found.into_iter().map(|meta| {
            let url = format!("{bucket}/{}", meta.location);
            (url, Object::new(std::sync::Arc::clone(&store), meta))
        });
        Ok(named.collect())
    }

    pub(super) async fn bootstrap(prefix: &str, bucket: Option<&str>, args: &BootstrapArgs) -> Result<(), Failure> {
        let units = args.read_units.zip(args.write_units).map(|(reads, writes)| TableUnits { reads, writes });
        let cold = args.cold_after_days.map(|days| ColdAfter { days, class: args.cold_class.clone() });
        let options = options(prefix, bucket).with_shards(args.shards).with_rows_units(units).with_archive_cold(cold);
        let aws = Aws::connect(options).await?;
        aws.bootstrap(&Resource::all()).await?;
        say(&format!("{aws}: everything is there"));
        Ok(())
    }

    pub(super) async fn doctor(prefix: &str, bucket: Option<&str>) -> Result<(), Failure> {
        let diagnosis = Aws::connect(options(prefix, bucket)).await?.doctor().await;
        write!(std::io::stdout().lock(), "{diagnosis}")?;
        if diagnosis.is_good() {
            return Ok(());
        }
        Err(Error::invalid("something keeps the instance from working, see above").into())
    }
}

#[cfg(not(feature = "aws"))]
mod aws {
    //! Without the AWS backend: says how to get it.

    use fineo::{Builder, ingest::Object};
    use fineo_server::Folders;

    use crate::{args::BootstrapArgs, failure::Failure};

    fn compiled_out() -> Failure {
        Failure::Misuse(
            "this build has no AWS backend: build it with `cargo build --release -p fineo-cli --features aws`"
                .to_owned(),
        )
    }

    pub(super) fn builder(_prefix: &str, _bucket: Option<&str>) -> Result<Builder, Failure> {
        Err(compiled_out())
    }

    pub(super) async fn connect(_folders: &mut Folders, _url: &str) -> Result<(), Failure> {
        Err(compiled_out())
    }

    pub(super) async fn objects(_url: &str) -> Result<Vec<(String, Object)>, Failure> {
        Err(compiled_out())
    }

    pub(super) async fn bootstrap(_prefix: &str, _bucket: Option<&str>, _args: &BootstrapArgs) -> Result<(), Failure> {
        Err(compiled_out())
    }

    pub(super) async fn doctor(_prefix: &str, _bucket: Option<&str>) -> Result<(), Failure> {
        Err(compiled_out())
    }
}
