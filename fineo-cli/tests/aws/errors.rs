//! Mistakes that somebody makes who begins, and what he is told.

use crate::{
    place::Place,
    program::{Answer, answer},
};

fn told(answer: &Answer, texts: &[&str]) {
    assert_eq!(answer.code, 1, "{answer:?}");
    for text in texts {
        assert!(answer.stderr.contains(text) || answer.stdout.contains(text), "{text}: {answer:?}");
    }
    let waits = answer.stderr.contains("try again in a moment");
    assert!(!waits || answer.stderr.matches("hint:").count() == 1, "waiting does not help: {answer:?}");
}

pub(crate) fn are_told(place: &Place) {
    let with = |variable: &str, value: &str| answer(&place.command(&["status"]).env(variable, value).output().unwrap());
    let nobody =
        place.command(&["status"]).env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY").output();
    told(&answer(&nobody.unwrap()), &["no credentials were found", "hint: log in, or set AWS_PROFILE"]);
    let nowhere = place.command(&["status"]).env_remove("AWS_REGION").env_remove("AWS_DEFAULT_REGION").output();
    told(&answer(&nowhere.unwrap()), &["no region is chosen", "AWS_REGION"]);
    told(&place.run(&["status"]), &["repo", "region=us-east-1", "`fineo bootstrap` with the same prefix"]);
    told(
        &with("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:9"),
        &["DynamoDB", "look at the region, at AWS_ENDPOINT_URL"],
    );
    told(&with("FINEO_AWS_PREFIX", "a b"), &["not a prefix of names on AWS", "a b"]);
    told(&with("FINEO_AWS_BUCKET", "A_B"), &["not the name of a bucket", "A_B"]);
    let in_a_directory = place.run(&["bootstrap", "--backend", "local"]);
    assert_eq!(in_a_directory.code, 2, "{in_a_directory:?}");
}

pub(crate) fn the_doctor_finds_them(place: &Place) {
    let nobody =
        place.command(&["doctor"]).env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY").output();
    let nobody = answer(&nobody.unwrap());
    told(&nobody, &["BAD   credentials: no credentials were found", "AWS_PROFILE"]);
    assert!(!nobody.stdout.contains("stream"), "{nobody:?}");
    let ill = place.run(&["doctor"]);
    told(&ill, &["see above"]);
    assert_eq!(ill.stdout.matches("is missing: `fineo bootstrap` makes it").count(), 5, "{ill:?}");
    assert_eq!(ill.stdout.lines().count(), 6, "what hangs on the bucket is not looked at without one: {ill:?}");
    place.bootstrap();
    // Making what is there changes nothing.
    place.bootstrap();
    let healthy = place.done(&["doctor"]);
    assert!(!healthy.contains("BAD"), "{healthy}");
    assert!(healthy.contains("2 open shards"), "{healthy}");
}
