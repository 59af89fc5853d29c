//! Changing what data means: every verb of `fineo schema`.

use crate::program::Program;

fn program() -> Program {
    let program = Program::new();
    program.ingest(
        "{\"metrictype\":\"m\",\"timestamp\":1,\"temp\":\"20\",\"site\":\"x\"}\n\
         {\"metrictype\":\"m\",\"timestamp\":2,\"temperature\":\"21.5\"}\n\
         {\"metrictype\":\"m\",\"timestamp\":3,\"temperature\":\"warm\"}\n\
         {\"metrictype\":\"m2\",\"timestamp\":4,\"tempF\":212}\n",
    );
    program
}

#[test]
fn a_late_declaration_and_an_alias_answer_for_everything_ever_sent() {
    // SC3, SC5
    let program = program();
    program.done("schema --tenant t field add m temp double");
    assert_eq!(program.ask("SELECT temp FROM m ORDER BY timestamp"), "temp\n20.0\n\n\n");
    program.done("schema --tenant t field alias m temp temperature");
    assert_eq!(program.ask("SELECT temp FROM m ORDER BY timestamp"), "temp\n20.0\n21.5\n\n");
    assert_eq!(program.ask("SELECT temperature FROM m ORDER BY timestamp"), "temperature\n20.0\n21.5\n\n");
    assert_eq!(program.ask("SELECT count, sample FROM fineo_conflicts"), "count,sample\n1,warm\n");
}

#[test]
fn a_merged_metric_in_another_unit_answers_converted() {
    let program = program();
    program.done("schema --tenant t field add m temp double --alias temperature --alias tempF");
    program.done("schema --tenant t field unit m temp --unit C");
    program.done("schema --tenant t field unit m temp --unit F --alias tempF");
    program.done("schema --tenant t metric merge m2 m");
    let last = "SELECT round(temp) AS temp FROM m WHERE timestamp >= to_timestamp_millis(4)";
    assert_eq!(program.ask(last), "temp\n100.0\n");
    program.done("schema --tenant t field unit m temp --scale 2 --offset -32 --to 1970-01-01T00:00:00.002Z");
    assert_eq!(program.ask("SELECT temp FROM m ORDER BY timestamp LIMIT 1"), "temp\n8.0\n");
}

#[test]
fn every_change_is_one_line_and_can_be_undone() {
    // SC1, SC2
    let program = program();
    for line in [
        "metric create door --alias gate",
        "metric alias m mm",
        "metric unalias m mm",
        "metric rename door portal",
        "field add m temp double",
        "field rename m temp heat",
        "field alias m heat temperature",
        "field unalias m heat temperature",
        "field retype m heat string",
        "field hide m heat",
        "field unhide m heat",
        "field rule-out m site",
        "field rule-in m site",
        "field undeclare m heat",
        "field add m temp double",
        "field delete m temp",
        "metric rule-out m2",
        "metric rule-in m2",
        "metric delete m2",
        "set --metric-keys metrictype,kind --unknown-metric reject --identity content",
        "set --metric m --timestamp-aliases when --timestamp-formats epoch_s --missing-timestamp arrival",
    ] {
        program.done(&format!("schema --tenant t {line}"));
    }
    let last = program.done("schema --tenant t history --format csv");
    let id = last.lines().last().and_then(|line| line.split(',').nth(1)).unwrap().to_owned();
    program.done(&format!("schema --tenant t undo {id}"));
    assert_eq!(program.run("schema --tenant t undo 00000000000000000000000000000000").code, 1);
}

#[test]
fn what_a_field_takes_over_is_shown_and_a_deletion_is_said_to_be_for_ever() {
    let program = program();
    let taken = "field temp takes over 2 values sent as temperature";
    program.file("alias.yaml", "metrics: {m: {fields: {temp: {aliases: [temperature]}}}}");
    let untyped = program.run("schema --tenant t apply alias.yaml");
    assert_eq!(untyped.code, 1, "{untyped:?}");
    assert!(untyped.stderr.contains("needs a type") && untyped.stderr.contains("field=temp"), "{untyped:?}");

    program.done("schema --tenant t field add m temp double");
    let dry = program.done("schema --tenant t apply alias.yaml --dry-run");
    assert_eq!(dry, program.done("schema --tenant t apply alias.yaml"), "it prints the plan, and makes it true");
    assert!(dry.contains("field temp: add alias temperature") && dry.contains(taken), "{dry}");
    assert!(program.done("schema --tenant t apply alias.yaml").contains("nothing to change"));
    program.done("schema --tenant t field unalias m temp temperature");
    let added = program.done("schema --tenant t field alias m temp temperature");
    assert!(added.contains(taken), "{added}");

    let deleted = program.run("schema --tenant t field delete m temp");
    assert!(deleted.stderr.contains("for ever") && !deleted.stderr.contains("undo"), "{deleted:?}");
}

#[test]
fn what_cannot_be_changed_is_refused_and_says_why() {
    // S04, S09
    let program = program();
    program.done("schema --tenant t field add m temp double --alias temperature");
    for (line, why) in [
        ("field add m other double --alias temperature", "temp"),
        ("field add m other decimal(76,80)", "decimal"),
        ("field add none x double", "none"),
        ("field alias m none x", "none"),
        ("metric rename m2 m", "m"),
        ("set --timestamp-formats %Q%Q", "%Q"),
    ] {
        let answer = program.run(&format!("schema --tenant t {line}"));
        assert_eq!(answer.code, 1, "{line}: {answer:?}");
        assert!(answer.stderr.contains(why), "{line}: {answer:?}");
    }
    assert_eq!(program.run("schema --tenant t set").code, 2);
}

#[test]
fn lists_show_what_is_declared_and_what_was_discovered() {
    let program = program();
    program.done("schema --tenant t field add m temp double --alias temperature");
    let metrics = program.done("schema --tenant t metric list --format csv");
    let names: Vec<_> = metrics.lines().filter_map(|line| line.split(',').next()).collect();
    assert_eq!(names, ["metric", "m", "m2"]);
    let fields = program.done("schema --tenant t metric show m --format csv");
    assert!(fields.contains("temp,double,,temperature,declared"), "{fields}");
    assert!(fields.contains("site,text,,\"\",undeclared"), "{fields}");
    let discovered = program.done("schema --tenant t discovered --format csv");
    assert!(discovered.contains("m2,tempF,1,"), "{discovered}");
    assert_eq!(program.run("schema --tenant t metric show none").code, 1);
    assert!(!program.run("schema --tenant t discovered --metric none").stderr.contains("near"));
    program.done("schema --tenant t suggest");
}

#[test]
fn a_suggestion_throws_no_reading_away_and_a_type_that_does_says_so() {
    let program = Program::new();
    let event = |hour: u64| {
        let rain = if hour % 30 == 7 { "0.4" } else { "0" };
        format!("{{\"metrictype\":\"air\",\"timestamp\":{},\"RAIN\":{rain},\"n\":{hour}}}\n", hour * 3_600_000)
    };
    program.ingest(&(0..300).map(event).collect::<String>());
    let suggested = program.done("schema --tenant t suggest --format csv");
    let rain = suggested.lines().find(|line| line.contains("declare RAIN as double")).unwrap();
    assert!(suggested.contains("declare n as long"), "{suggested}");

    let id = rain.split(',').next().unwrap();
    let applied = program.run(&format!("schema --tenant t suggest --apply {id}"));
    assert!(applied.code == 0 && !applied.stderr.contains("fineo_conflicts"), "{applied:?}");
    let sum = "SELECT round(sum(RAIN), 1) AS sum, count(RAIN) AS count FROM air";
    assert_eq!(program.ask(sum), "sum,count\n4.0,300\n");

    program.file("long.yaml", "metrics: {air: {fields: {RAIN: {type: long}}}}");
    for line in ["field retype air RAIN long", "apply long.yaml", "field add air RAIN long"] {
        let narrowed = program.run(&format!("schema --tenant t {line}"));
        let (count, rest) = narrowed.stderr.split_once(" values that were tried as RAIN are not long").unwrap();
        assert!(narrowed.code == 0 && count.contains("note: metric air: "), "{line}: {narrowed:?}");
        assert!(rest.contains("fineo sql --tenant t 'SELECT * FROM fineo_conflicts'"), "{line}: {narrowed:?}");
        let back = if line.starts_with("apply") { "undeclare air RAIN" } else { "retype air RAIN double" };
        program.done(&format!("schema --tenant t field {back}"));
    }

    let other = Program::new();
    other.ingest(&(0..300).map(event).collect::<String>());
    other.file("example.json", event(0));
    let example = other.run("schema --tenant t metric create air --from-example example.json");
    assert_eq!(example.code, 0, "{example:?}");
    assert!(example.stdout.contains("RAIN as double") && example.stdout.contains("n as long"), "{example:?}");
    other.file("example.json", "{\"count\":1}");
    let alone = other.run("schema --tenant t metric create new --from-example example.json");
    assert!(alone.stderr.contains("the example shows whole numbers only as count"), "{alone:?}");
}

#[test]
fn seconds_that_were_read_as_milliseconds_are_told_when_they_come_and_are_read_as_seconds_when_asked() {
    let program = Program::new();
    let ingest = |second: u64| {
        program.file("s.json", format!("{{\"metrictype\":\"m\",\"timestamp\":{second},\"v\":1}}"));
        program.run("ingest --tenant t s.json").stderr
    };
    let told = ingest(1_767_600_000);
    assert!(told.contains("note: metric m: 1 of 1 rows are of the first weeks of 1970"), "{told}");
    let line = told.lines().find(|line| line.starts_with("fineo schema --tenant t suggest --apply ")).unwrap();
    let (command, _) = line.split_once(" reads").unwrap();
    program.done(command.strip_prefix("fineo ").unwrap());
    for second in [1_767_600_001, 1_767_600_002_000] {
        assert!(!ingest(second).contains("1970"));
    }
    let times = "timestamp\n1970-01-21T11:00:00Z\n2026-01-05T08:00:01Z\n2026-01-05T08:00:02Z\n";
    assert_eq!(program.ask("SELECT timestamp FROM m ORDER BY 1"), times);
    assert!(!program.done("schema --tenant t suggest").contains("seconds"));
}

#[test]
fn an_example_declares_its_fields() {
    let program = Program::new();
    let event = "{\"metrictype\":\"pump\",\"timestamp\":1,\"flow\":1.5,\"on\":true,\"gps\":{\"lat\":1.5}}";
    program.file("example.json", event);
    program.done("schema --tenant t metric create pump --from-example example.json");
    let fields = program.done("schema --tenant t metric show pump --format csv");
    for declared in ["flow,double", "on,boolean", "gps.lat,double"] {
        assert!(fields.contains(declared), "{fields}");
    }
    assert_eq!(program.ask("SELECT flow FROM pump"), "flow\n");
}

#[test]
fn what_is_exported_can_be_applied_elsewhere() {
    let program = program();
    program.done("schema --tenant t field add m temp double --alias temperature");
    program.done("schema --tenant t set --missing-timestamp arrival");
    let exported = program.done("schema --tenant t export");
    let for_anyone = exported.replace("tenant: t\n", "");
    program.file("t.yaml", &for_anyone);
    let plan = program.done("schema --tenant copy apply t.yaml --dry-run");
    assert!(plan.contains("temp"), "{plan}");
    assert_eq!(program.done("schema --tenant copy metric list --format csv").lines().count(), 1);
    program.done("schema --tenant copy apply t.yaml");
    assert_eq!(program.done("schema --tenant copy export").replace("tenant: copy\n", ""), for_anyone);
    program.done("schema --tenant copy apply t.yaml");
    program.file("theirs.yaml", exported);
    let theirs = program.run("schema --tenant copy apply theirs.yaml");
    assert_eq!(theirs.code, 1, "{theirs:?}");
    assert!(theirs.stderr.contains("another tenant") && theirs.stderr.contains("hint: take the line"), "{theirs:?}");
    program.file("bad.yaml", "metrics: 7");
    assert_eq!(program.run("schema --tenant copy apply bad.yaml").code, 1);
}
