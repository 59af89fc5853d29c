//! The template of CloudFormation makes what `bootstrap` makes.

use serde_norway::Value;

use crate::{
    Aws, AwsOptions, ColdAfter,
    bucket::{UPLOADS, with_cold},
    nearline, repo,
};

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

#[test]
fn old_segments_move_to_a_cold_class_by_the_same_rules() {
    let cold = ColdAfter { days: 90, class: "GLACIER".to_owned() };
    let ours = with_cold("", "PREFIX", "PREFIX/archive", &cold).unwrap();
    let rules = resource("DataBucket")["LifecycleConfiguration"]["Rules"].clone();
    let rules: Vec<Value> = rules.as_sequence().unwrap().iter().skip(2).map(|rule| plain(rule)[1].clone()).collect();
    assert_eq!(rules.len(), 2);
    for rule in rules {
        for (tag, name) in [("ID", "Id"), ("Prefix", "Prefix")] {
            assert!(ours.contains(&format!("<{tag}>{}</{tag}>", named(&rule[name]))), "{rule:?}");
        }
        let transition = &rule["Transitions"][0];
        let told = [&transition["StorageClass"], &transition["TransitionInDays"]].map(plain);
        assert_eq!(told.map(|value| value.as_str().unwrap().to_owned()), ["ColdClass", "ColdAfterDays"]);
    }
    let template: Value = serde_norway::from_str(TEMPLATE).unwrap();
    let classes = template["Parameters"]["ColdClass"]["AllowedValues"].as_sequence().unwrap();
    assert_eq!(classes.iter().map(|class| class.as_str().unwrap()).collect::<Vec<_>>(), ColdAfter::CLASSES);
}
