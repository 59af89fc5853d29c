//! The template of CloudFormation makes what `bootstrap` makes.

use serde_norway::Value;

use crate::{Aws, AwsOptions, bucket::UPLOADS, nearline, repo};

const TEMPLATE: &str = include_str!("../../../../deploy/aws/template.yaml");

/// A value without CloudFormation's functions: what is left is their argument.
fn plain(value: &Value) -> Value {
    match value {
        Value::Tagged(tagged) => plain(&tagged.value),
        other => other.clone(),
    }
}

fn resource(name: &str) -> Value {
    let template: Value = serde_norway::from_str(TEMPLATE).unwrap();
    template["Resources"][name]["Properties"].clone()
}

async fn instance() -> Aws {
    Aws::connect(AwsOptions::new("PREFIX").with_bucket("bucket").with_region("us-east-1")).await.unwrap()
}

fn named(name: &Value) -> String {
    plain(name).as_str().unwrap().replace("${Prefix}", "PREFIX")
}

#[tokio::test]
async fn streams_bear_the_same_names_and_are_encrypted() {
    let aws = instance().await;
    for (found, name) in [("RawStream", "raw"), ("StagedStream", "staged")] {
        let stream = resource(found);
        assert_eq!(named(&stream["Name"]), aws.stream_name(name));
        assert_eq!(stream["StreamEncryption"]["KeyId"].as_str(), Some(super::MANAGED_KEY));
    }
}

#[tokio::test]
async fn tables_bear_the_same_names_and_keys_and_are_encrypted() {
    let aws = instance().await;
    let tables = [
        ("RepoTable", "repo", [repo::OWNER, repo::NAME]),
        ("RowsTable", "rows", [nearline::PARTITION, nearline::SORT]),
    ];
    for (found, name, [partition, sort]) in tables {
        let table = resource(found);
        assert_eq!(named(&table["TableName"]), aws.table(name).name);
        let keys = table["KeySchema"].as_sequence().unwrap();
        let keys = keys.iter().map(|key| (key["AttributeName"].as_str().unwrap(), key["KeyType"].as_str().unwrap()));
        assert_eq!(keys.collect::<Vec<_>>(), [(partition, "HASH"), (sort, "RANGE")]);
        assert_eq!(table["BillingMode"].as_str(), Some("PAY_PER_REQUEST"));
        assert_eq!(table["SSESpecification"]["SSEEnabled"].as_bool(), Some(true));
    }
}

#[test]
fn the_bucket_is_encrypted_and_lets_abandoned_uploads_go() {
    let bucket = resource("DataBucket");
    let rules = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"].as_sequence().unwrap();
    assert!(rules[0]["ServerSideEncryptionByDefault"]["SSEAlgorithm"].is_string());
    let rules = bucket["LifecycleConfiguration"]["Rules"].as_sequence().unwrap();
    assert_eq!(rules[0]["Prefix"].as_str(), Some(format!("{UPLOADS}/").as_str()));
    assert_eq!(rules[1]["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"].as_u64(), Some(1));
}
