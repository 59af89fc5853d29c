//! The template says of the functions what the functions say of themselves.

use std::collections::BTreeMap;

use fineo_lambda::{Settings, metrics};
use serde_norway::Value;

const TEMPLATE: &str = include_str!("../../../deploy/aws/template.yaml");

/// The binaries of this crate.
const BINARIES: [&str; 4] = ["compact", "import", "raw", "staged"];

/// A value without CloudFormation's functions: what is left is their argument.
fn plain(value: &Value) -> Value {
    match value {
        Value::Tagged(tagged) => plain(&tagged.value),
        Value::Sequence(items) => Value::Sequence(items.iter().map(plain).collect()),
        Value::Mapping(entries) => {
            Value::Mapping(entries.iter().map(|(key, value)| (key.clone(), plain(value))).collect())
        }
        other => other.clone(),
    }
}

/// The properties of every resource of a type, by name.
fn of_type(wanted: &str) -> BTreeMap<String, Value> {
    let template: Value = serde_norway::from_str(TEMPLATE).unwrap();
    let resources = plain(&template["Resources"]);
    let found = resources.as_mapping().unwrap().iter().filter(|(_, resource)| resource["Type"] == wanted);
    found.map(|(name, resource)| (name.as_str().unwrap().to_owned(), resource["Properties"].clone())).collect()
}

#[test]
fn every_binary_has_a_function_that_its_settings_are_enough_for() {
    let functions = of_type("AWS::Lambda::Function");
    let mut found: Vec<&str> = Vec::new();
    for function in functions.values() {
        let package = function["Code"]["S3Key"].as_str().unwrap();
        let name = package.strip_prefix("${CodePrefix}fineo-lambda-").unwrap().strip_suffix(".zip").unwrap();
        found.push(BINARIES.into_iter().find(|binary| *binary == name).unwrap());
        assert_eq!(
            (function["Handler"].as_str(), function["Runtime"].as_str()),
            (Some("bootstrap"), Some("provided.al2023"))
        );
        let variables = &function["Environment"]["Variables"];
        let settings = Settings::read(|name| variables.get(name)?.as_str().map(str::to_owned)).unwrap();
        assert_eq!((settings.aws.prefix.as_str(), settings.aws.bucket.as_str()), ("Prefix", "Bucket"));
        for name in variables.as_mapping().unwrap().keys() {
            let known = include_str!("../../src/settings.rs").contains(&format!("\"{}\"", name.as_str().unwrap()));
            // What is no setting of ours is one of the allocator's.
            assert!(known || name == "MALLOC_ARENA_MAX", "{name:?} is no setting");
        }
    }
    found.sort_unstable();
    assert_eq!(found, BINARIES);
}

#[test]
fn mappings_deliver_every_record_in_order_until_it_is_done() {
    let mappings = of_type("AWS::Lambda::EventSourceMapping");
    let of_streams: Vec<_> = mappings.values().filter(|mapping| mapping.get("StartingPosition").is_some()).collect();
    assert_eq!((mappings.len(), of_streams.len()), (3, 2));
    for mapping in mappings.values() {
        assert_eq!(mapping["FunctionResponseTypes"], Value::from(vec!["ReportBatchItemFailures"]));
        assert!(mapping.get("FilterCriteria").is_none());
    }
    for mapping in of_streams {
        assert_eq!(mapping["StartingPosition"], Value::from("TRIM_HORIZON"));
        assert_eq!(mapping["ParallelizationFactor"], Value::from(1));
        assert_eq!(
            (&mapping["MaximumRetryAttempts"], &mapping["MaximumRecordAgeInSeconds"]),
            (&Value::from(-1), &Value::from(-1))
        );
        assert_eq!(mapping["BisectBatchOnFunctionError"], Value::from(true));
        assert_eq!(mapping["DestinationConfig"]["OnFailure"]["Destination"], Value::from("StageFailures.Arn"));
    }
}

#[test]
fn alarms_look_at_metrics_that_there_are() {
    let alarms = of_type("AWS::CloudWatch::Alarm");
    let mut ours: Vec<&str> = Vec::new();
    for alarm in alarms.values() {
        let (namespace, metric) = (alarm["Namespace"].as_str().unwrap(), alarm["MetricName"].as_str().unwrap());
        match namespace {
            metrics::NAMESPACE => ours.push(metric),
            "AWS/Lambda" => assert!(["IteratorAge", "Errors"].contains(&metric)),
            "AWS/SQS" => assert_eq!(metric, "ApproximateNumberOfMessagesVisible"),
            "AWS/Firehose" => assert_eq!(metric, "DeliveryToS3.DataFreshness"),
            other => panic!("{other} is nobody's namespace"),
        }
    }
    ours.sort_unstable();
    assert_eq!(ours, ["Commit", "Losses", "Malformed"]);
}

// Lambda calls a function that fails three times in all, whatever its schedule: at least two of the errors are of one hour.
#[test]
fn compaction_that_fails_is_told_of_at_any_schedule() {
    let alarm = of_type("AWS::CloudWatch::Alarm").remove("CompactErrorsAlarm").unwrap();
    let number = |name: &str| alarm[name].as_u64().unwrap();
    assert_eq!(
        (alarm["Statistic"].as_str(), alarm["ComparisonOperator"].as_str()),
        (Some("Sum"), Some("GreaterThanThreshold"))
    );
    assert_eq!((number("Period"), number("DatapointsToAlarm"), number("Threshold")), (3_600, 1, 1));
    assert_eq!(number("Period") * number("EvaluationPeriods"), 86_400, "CloudWatch looks back a day at most");
}

#[test]
fn what_holds_events_outlives_the_stack() {
    let template: Value = serde_norway::from_str(TEMPLATE).unwrap();
    let mut kept: Vec<&str> = Vec::new();
    for (name, resource) in template["Resources"].as_mapping().unwrap() {
        let kind = resource["Type"].as_str().unwrap();
        let holds = ["Kinesis::Stream", "DynamoDB::Table", "S3::Bucket", "KinesisFirehose::DeliveryStream"];
        let is_kept = resource.get("DeletionPolicy").is_some();
        assert!(is_kept || !holds.iter().any(|held| kind == format!("AWS::{held}")), "{name:?}");
        if is_kept {
            let policies = (resource["DeletionPolicy"].as_str(), resource["UpdateReplacePolicy"].as_str());
            assert_eq!(policies, (Some("Retain"), Some("Retain")), "{name:?}");
            kept.push(name.as_str().unwrap());
        }
    }
    kept.sort_unstable();
    // Firehose delivers with its role.
    let expected =
        ["ArchiveDelivery", "ArchiveDeliveryRole", "DataBucket", "RawStream", "RepoTable", "RowsTable", "StagedStream"];
    assert_eq!(kept, expected);
}

/// Whether a condition of the template holds when `ArchiveBy` has this value.
fn holds(condition: &Value, archive_by: &str) -> bool {
    let Value::Tagged(tagged) = condition else { panic!("{condition:?}") };
    let arguments = tagged.value.as_sequence().unwrap();
    match tagged.tag.to_string().as_str() {
        "!Equals" => plain(&arguments[0]) == "ArchiveBy" && arguments[1] == archive_by,
        "!Not" => !holds(&arguments[0], archive_by),
        other => panic!("{other}"),
    }
}

/// What is left of `value` when `ArchiveBy` has this value.
fn chosen<'a>(value: &'a Value, conditions: &Value, archive_by: &str) -> Option<&'a Value> {
    match value {
        Value::Tagged(tagged) if tagged.tag == "!If" => {
            let [name, yes, no] = &tagged.value.as_sequence().unwrap()[..] else { panic!("{value:?}") };
            let chosen = if holds(&conditions[name], archive_by) { yes } else { no };
            let is_none = matches!(chosen, Value::Tagged(tagged) if tagged.value == "AWS::NoValue");
            (!is_none).then_some(chosen)
        }
        other => Some(other),
    }
}

// The way back from Firehose: the stages write again, and compaction still files what was delivered.
#[test]
fn who_writes_and_who_files_the_archive_have_the_names_and_the_rights_for_it() {
    let template: Value = serde_norway::from_str(TEMPLATE).unwrap();
    let (resources, conditions) = (&template["Resources"], &template["Conditions"]);
    for (archive_by, hands_over, files) in
        [("s3", false, false), ("firehose", true, true), ("s3-after-firehose", false, true)]
    {
        assert!(
            template["Parameters"]["ArchiveBy"]["AllowedValues"].as_sequence().unwrap().contains(&archive_by.into())
        );
        let has_stream = &resources["ArchiveDelivery"]["Condition"];
        assert_eq!(holds(&conditions[has_stream], archive_by), files, "{archive_by}");
        for (of, expected) in [("Raw", hands_over), ("Staged", hands_over), ("Compact", files)] {
            let function = &resources[format!("{of}Function")]["Properties"]["Environment"]["Variables"];
            let name = chosen(&function["FINEO_AWS_DELIVERY"], conditions, archive_by).unwrap();
            assert_eq!(plain(name) == "${Prefix}-archive", expected, "{archive_by}: {of}");
            let policy = &resources[format!("{of}Role")]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"];
            let statements = policy.as_sequence().unwrap().iter();
            let statements: Vec<String> = statements
                .filter_map(|statement| chosen(statement, conditions, archive_by))
                .map(|statement| serde_json::to_string(&plain(statement)).unwrap())
                .collect();
            let may = |action: &str, place: &str| {
                statements.iter().any(|statement| statement.contains(action) && statement.contains(place))
            };
            let is_stage = of != "Compact";
            assert_eq!(
                may("firehose:PutRecordBatch", "ArchiveDelivery.Arn"),
                is_stage && hands_over,
                "{archive_by}: {of}"
            );
            assert_eq!(
                may("s3:PutObject", "/archive/"),
                if is_stage { !hands_over } else { files },
                "{archive_by}: {of}"
            );
            assert_eq!(
                may("s3:AbortMultipartUpload", "/archive/"),
                may("s3:PutObject", "/archive/"),
                "{archive_by}: {of}"
            );
            assert_eq!(may("s3:DeleteObject", "/delivered/"), !is_stage && files, "{archive_by}: {of}");
            // Only whoever opens an instance tries the store out.
            assert!(!may("s3:", "/_uploads/"), "{archive_by}: {of}");
        }
    }
}

#[test]
fn roles_may_do_what_is_named_and_nothing_else() {
    let roles = of_type("AWS::IAM::Role");
    // One of each function, and Firehose's.
    assert_eq!(roles.len(), BINARIES.len() + 1);
    for (name, role) in roles {
        for policy in role["Policies"].as_sequence().unwrap() {
            for statement in policy["PolicyDocument"]["Statement"].as_sequence().unwrap() {
                // `!If` has the condition, what holds with it, and what holds without.
                let either = match statement {
                    Value::Tagged(either) => either.value.as_sequence().unwrap()[1..].iter().collect(),
                    plain => vec![plain],
                };
                let statements = either.into_iter().filter(|statement| statement.is_mapping());
                for statement in statements {
                    let actions = match &statement["Action"] {
                        Value::String(one) => vec![one.clone()],
                        many => serde_norway::from_value(many.clone()).unwrap(),
                    };
                    assert!(actions.iter().all(|action| !action.contains('*')), "{name}: {actions:?}");
                    let anywhere = statement["Resource"] == "*";
                    assert!(!anywhere || actions == ["kinesis:ListStreams"], "{name}: {actions:?} on everything");
                }
            }
        }
    }
    let readers = of_type("AWS::IAM::ManagedPolicy").remove("TenantReaderPolicy").unwrap();
    let statement = &readers["PolicyDocument"]["Statement"][0];
    let keys: Vec<String> =
        serde_norway::from_value(statement["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"].clone())
            .unwrap();
    assert!(keys.iter().all(|key| key.contains("${ReaderTenant}")) && keys.len() == 4, "{keys:?}");
}
