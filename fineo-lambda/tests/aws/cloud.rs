//! The few calls to CloudFormation and Lambda that the test makes, as the emulator takes them: unsigned.

use std::time::Duration;

use fineo_core::{Clock, SystemClock};
use serde_json::Value;

/// How long a stack may take to be made.
const STACK_WITHIN: Duration = Duration::from_secs(60);

/// An emulator of everything at one address.
pub(crate) struct Cloud {
    url: String,
    client: reqwest::Client,
}

impl Cloud {
    pub(crate) fn new(url: &str) -> Self {
        Self { url: url.trim_end_matches('/').to_owned(), client: reqwest::Client::new() }
    }

    async fn post(&self, service: &str, path: &str, kind: &str, body: String) -> String {
        let scope = format!("Credential=test/20260101/us-east-1/{service}/aws4_request");
        let call = self.client.post(format!("{}{path}", self.url)).header("content-type", kind).body(body);
        let call = call.header("authorization", format!("AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0"));
        call.send().await.unwrap().text().await.unwrap()
    }

    async fn formation(&self, action: &str, stack: &str, more: &[(String, String)]) -> String {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("Action", action).append_pair("Version", "2010-05-15").append_pair("StackName", stack);
        form.extend_pairs(more);
        self.post("cloudformation", "/", "application/x-www-form-urlencoded", form.finish()).await
    }

    /// Makes a stack and waits until it is there.
    pub(crate) async fn deploy(&self, stack: &str, template: &str, parameters: &[(&str, &str)]) {
        let mut more = vec![
            ("TemplateBody".to_owned(), template.to_owned()),
            ("Capabilities.member.1".to_owned(), "CAPABILITY_NAMED_IAM".to_owned()),
        ];
        for (number, (name, value)) in parameters.iter().enumerate() {
            let member = format!("Parameters.member.{}", number + 1);
            more.push((format!("{member}.ParameterKey"), (*name).to_owned()));
            more.push((format!("{member}.ParameterValue"), (*value).to_owned()));
        }
        let answer = self.formation("CreateStack", stack, &more).await;
        assert!(answer.contains("<StackId>"), "{answer}");
        let clock = SystemClock;
        let begun = clock.now();
        loop {
            let answer = self.formation("DescribeStacks", stack, &[]).await;
            if answer.contains("<StackStatus>CREATE_COMPLETE<") {
                return;
            }
            let is_late = clock.now().micros() - begun.micros() > i64::try_from(STACK_WITHIN.as_micros()).unwrap();
            if is_late || !answer.contains("<StackStatus>CREATE_IN_PROGRESS<") {
                panic!("{answer}\n{}", self.formation("DescribeStackEvents", stack, &[]).await);
            }
            clock.sleep(Duration::from_millis(100)).await;
        }
    }

    /// Deletes a stack, as far as the emulator goes.
    pub(crate) async fn delete(&self, stack: &str) {
        self.formation("DeleteStack", stack, &[]).await;
    }

    /// Calls a function and answers what it answers.
    pub(crate) async fn invoke(&self, function: &str, event: &Value) -> Value {
        let path = format!("/2015-03-31/functions/{function}/invocations");
        let answer = self.post("lambda", &path, "application/json", event.to_string()).await;
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {answer}"))
    }
}
