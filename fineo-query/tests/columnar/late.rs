//! Declared after the files were written: answers change at once, without a byte written, and back again.

use fineo_schema::Change;

use crate::{
    equal::{QUESTIONS, check, events},
    world::{Compacted, Sees, World, ask},
};

fn field(name: &str) -> (String, String) {
    ("thermostat".to_owned(), name.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_change_of_the_schema_answers_over_files_without_a_put() {
    let world = World::new();
    world.change(vec![Change::CreateMetric { name: "thermostat".to_owned(), aliases: vec!["therm".to_owned()] }]).await;
    world.send(&events().join("\n")).await;
    world.compact(Compacted::Stay).await;
    let puts = world.objects.puts();

    world.declare("thermostat", &[("temp", "double", &["t"]), ("device", "string", &["dev"])]).await;
    check(&world, "declared").await;
    let (metric, temp) = field("temp");
    let alias = Change::AddFieldAlias { metric: metric.clone(), field: temp.clone(), alias: "T2".to_owned() };
    world.change(vec![alias]).await;
    check(&world, "aliased").await;
    let engine = world.engine(Sees::Everything, 2);
    let mut before = Vec::new();
    for sql in QUESTIONS {
        before.push(ask(&engine, sql).await);
    }
    for field_type in ["long", "string", "decimal(9,2)", "float", "int", "json", "boolean"] {
        let (metric, field) = field("temp");
        world.change(vec![Change::RetypeField { metric, field, field_type: field_type.to_owned() }]).await;
        check(&world, field_type).await;
    }
    let (metric, field) = field("temp");
    world.change(vec![Change::RetypeField { metric, field, field_type: "double".to_owned() }]).await;
    let engine = world.engine(Sees::Everything, 2);
    for (sql, before) in QUESTIONS.into_iter().zip(&before) {
        assert_eq!(&ask(&engine, sql).await, before, "{sql}");
    }
    let (metric, field) = (metric_of(), "temp".to_owned());
    world.change(vec![Change::HideField { metric: metric.clone(), field: field.clone() }]).await;
    check(&world, "hidden").await;
    world.change(vec![Change::UnhideField { metric: metric.clone(), field: field.clone() }]).await;
    world.change(vec![Change::UndeclareField { metric, field }]).await;
    check(&world, "undeclared").await;
    assert_eq!(world.objects.puts(), puts, "a change of the schema wrote to the object store");
}

fn metric_of() -> String {
    "thermostat".to_owned()
}
