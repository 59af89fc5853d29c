//! A place of its own on the emulators, and the program that works there.

use std::{process::Command, sync::Arc};

use fineo::{
    aws::{Aws, AwsOptions, Endpoints, Resource},
    core::{Entropy, SystemEntropy},
};
use object_store::{ObjectStore, ObjectStoreExt, path::Path};

use crate::program::{Answer, Program, answer};

/// The emulators: the variable that the SDK asks for, and the one that has the endpoint for tests.
const SERVICES: [(&str, &str); 3] = [
    ("AWS_ENDPOINT_URL_S3", "FINEO_TEST_S3_URL"),
    ("AWS_ENDPOINT_URL_KINESIS", "FINEO_TEST_KINESALITE_URL"),
    ("AWS_ENDPOINT_URL_DYNAMODB", "FINEO_TEST_DYNAMODB_URL"),
];

pub(crate) struct Place {
    pub(crate) program: Program,
    /// What its names begin with; also its bucket.
    pub(crate) prefix: String,
    urls: [String; 3],
}

impl Place {
    /// A place that has not been made, or why there is none.
    pub(crate) fn new() -> Result<Self, String> {
        let mut urls: [String; 3] = Default::default();
        for (url, (_, variable)) in urls.iter_mut().zip(SERVICES) {
            let missing = || format!("{variable} is not set: run scripts/services start");
            *url = std::env::var(variable).ok().filter(|url| !url.is_empty()).ok_or_else(missing)?;
        }
        let prefix = format!("t{:032x}", u128::from_be_bytes(SystemEntropy::new().id()));
        Ok(Self { program: Program::new(), prefix, urls })
    }

    /// The program with these words, to work here.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = self.program.command_of(words);
        command.env("FINEO_BACKEND", "aws").env("FINEO_AWS_PREFIX", &self.prefix).env_remove("AWS_PROFILE");
        command.env("AWS_REGION", "us-east-1").env("AWS_EC2_METADATA_DISABLED", "true");
        command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
        // Nobody's own configuration counts here.
        command.env("AWS_CONFIG_FILE", "/dev/null").env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
        for ((variable, _), url) in SERVICES.iter().zip(&self.urls) {
            command.env(variable, url);
        }
        command
    }

    /// Where its objects are.
    pub(crate) fn s3(&self) -> &str {
        &self.urls[0]
    }

    pub(crate) fn run(&self, words: &[&str]) -> Answer {
        answer(&self.command(words).output().unwrap())
    }

    /// Runs it and expects it to be done.
    pub(crate) fn done(&self, words: &[&str]) -> String {
        let answer = self.run(words);
        assert_eq!(answer.code, 0, "{words:?}: {answer:?}");
        answer.stdout
    }

    pub(crate) fn bootstrap(&self) {
        self.done(&["bootstrap", "--shards", "2"]);
    }

    /// Puts objects into its bucket, which is made.
    pub(crate) fn put(&self, objects: &[(&str, Vec<u8>)]) {
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let options = AwsOptions::new(&self.prefix)
                .with_region("us-east-1")
                .with_endpoints(Endpoints::default().with_s3(&self.urls[0]));
            let aws = Aws::connect(options).await.unwrap();
            aws.bootstrap(&[Resource::Bucket]).await.unwrap();
            let store: Arc<dyn ObjectStore> = aws.bucket().store();
            for (key, bytes) in objects {
                store.put(&Path::parse(key).unwrap(), bytes.clone().into()).await.unwrap();
            }
        });
    }
}
