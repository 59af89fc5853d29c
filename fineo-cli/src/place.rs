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
    /// On AWS.
    Aws(AwsNames),
}

/// What an instance's things are called on AWS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AwsNames {
    /// What the names of streams and tables begin with.
    pub(crate) prefix: String,
    /// The bucket; none for one that is called like the prefix.
    pub(crate) bucket: Option<String>,
    /// The delivery stream that writes the archive.
    pub(crate) delivery: Option<String>,
}

impl Place {
    /// Opens an instance there.
    pub(crate) fn builder(&self) -> Result<Builder, Failure> {
        match self {
            Self::Directory(directory) => Ok(Fineo::local(directory)),
            Self::Aws(names) => aws::builder(names),
        }
    }

    /// Where work that does not fit into memory goes.
    pub(crate) fn scratch(&self) -> PathBuf {
        match self {
            Self::Directory(directory) => directory.join("scratch"),
            Self::Aws(names) => std::env::temp_dir().join(format!("fineo-{}-scratch", names.prefix)),
        }
    }

    /// Makes what an instance there needs.
    pub(crate) async fn bootstrap(&self, args: &BootstrapArgs) -> Result<(), Failure> {
        match self {
            Self::Directory(_) => Err(only_on_aws()),
            Self::Aws(names) => aws::bootstrap(names, args).await,
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
            Self::Aws(names) => aws::doctor(names).await,
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

    use super::AwsNames;
    use crate::{
        args::BootstrapArgs,
        failure::{Failure, say},
    };

    fn options(names: &AwsNames) -> AwsOptions {
        let options = AwsOptions::new(&names.prefix).with_archive_delivery(names.delivery.clone());
        match &names.bucket {
            Some(bucket) => options.with_bucket(bucket),
            None => options,
        }
    }

    pub(super) fn builder(names: &AwsNames) -> Result<Builder, Failure> {
        // Whoever types a verb gets what is there, not new streams that cost money: bootstrap makes those.
        Ok(Fineo::aws(options(names).with_creates_missing(false)))
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

    pub(super) async fn bootstrap(names: &AwsNames, args: &BootstrapArgs) -> Result<(), Failure> {
        let units = args.read_units.zip(args.write_units).map(|(reads, writes)| TableUnits { reads, writes });
        let cold = args.cold_after_days.map(|days| ColdAfter { days, class: args.cold_class.clone() });
        let options = options(names).with_shards(args.shards).with_rows_units(units).with_archive_cold(cold);
        let aws = Aws::connect(options).await?;
        aws.bootstrap(&Resource::all()).await?;
        say(&format!("{aws}: everything is there"));
        Ok(())
    }

    pub(super) async fn doctor(names: &AwsNames) -> Result<(), Failure> {
        let diagnosis = Aws::connect(options(names)).await?.doctor().await;
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

    use super::AwsNames;
    use crate::{args::BootstrapArgs, failure::Failure};

    fn compiled_out() -> Failure {
        Failure::Misuse(
            "this build has no AWS backend: build it with `cargo build --release -p fineo-cli --features aws`"
                .to_owned(),
        )
    }

    pub(super) fn builder(_names: &AwsNames) -> Result<Builder, Failure> {
        Err(compiled_out())
    }

    pub(super) async fn connect(_folders: &mut Folders, _url: &str) -> Result<(), Failure> {
        Err(compiled_out())
    }

    pub(super) async fn objects(_url: &str) -> Result<Vec<(String, Object)>, Failure> {
        Err(compiled_out())
    }

    pub(super) async fn bootstrap(_names: &AwsNames, _args: &BootstrapArgs) -> Result<(), Failure> {
        Err(compiled_out())
    }

    pub(super) async fn doctor(_names: &AwsNames) -> Result<(), Failure> {
        Err(compiled_out())
    }
}
