//! Every verb that works on a place, beside the same on a directory.

use crate::place::Place;

const EVENTS: &str = "{\"metrictype\":\"meter\",\"timestamp\":\"14/02/2016 0:00\",\"kwh\":\"50\",\"site\":\"north\"}\n\
     {\"metrictype\":\"meter\",\"timestamp\":\"2016-02-14T00:10:00Z\",\"power\":51.5}\n\
     {\"metrictype\":\"meter\",\"timestamp\":1455409200000,\"power\":\"warm\",\"site\":\"south\"}\n\
     {\"metrictype\":\"meter\",\"power\":1}\n";

pub(crate) fn answers_every_verb(place: &Place) {
    place.bootstrap();
    place.program.file("events.json", EVENTS);
    let answers = ["aws", "local"].map(|backend| {
        let done = |words: &[&str]| place.done(&[&["--backend", backend], words].concat());
        let ask = |sql: &str| done(&["sql", "--tenant", "acme", "--format", "csv", sql]);
        let all = "SELECT * FROM meter ORDER BY timestamp";
        let ingested = done(&["ingest", "--tenant", "acme", "events.json"]);
        assert!(ingested.starts_with("accepted 2, rejected 2, duplicates 0"), "{ingested}");
        let mut answers = vec![ask(all), ask("SELECT code, message FROM errors.stream ORDER BY code")];
        done(&["schema", "--tenant", "acme", "set", "--timestamp-formats", "%d/%m/%Y %H:%M"]);
        done(&[
            "schema", "--tenant", "acme", "field", "add", "meter", "energy", "double", "--alias", "kwh", "--alias",
            "power",
        ]);
        answers.push(done(&["replay", "--tenant", "acme", "--stage", "raw", "--errors-only"]));
        answers.push(ask(all));
        let errors = done(&["errors", "--tenant", "acme", "--format", "csv", "--open"]);
        assert!(errors.contains("timestamp_missing") && !errors.contains("timestamp_unreadable"), "{errors}");
        answers.push(done(&["compact", "--tenant", "acme"]));
        let tables = done(&["tables", "--tenant", "acme", "--output", "json"]);
        assert!(tables.contains("\"rows\":3"), "{tables}");
        answers.push(ask(all));
        // The same file again is known, whether its rows are in a table by now or not.
        let again = done(&["ingest", "--tenant", "acme", "events.json"]);
        assert!(again.starts_with("accepted 3, rejected 1, duplicates 3"), "{again}");
        answers.push(ask(all));
        let status = done(&["status"]);
        assert!(status.contains("tenant acme: schema version 3, metrics: meter"), "{status}");
        assert!(done(&["capabilities"]).contains("survives"));
        answers
    });
    assert_eq!(answers[0], answers[1], "AWS and a directory answer alike");
}
