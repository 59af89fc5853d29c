//! Events as types of a program: the struct is the schema.

use base64::{Engine, engine::general_purpose::STANDARD};
use fineo_core::Timestamp;

use fineo_schema::{Declaration, Ordered};
pub use fineo_schema::{FieldDeclaration, MetricDeclaration};

/// A kind of event that a program knows: a metric with its fields, and values of it.
///
/// It is best derived (`fineo::FineoEvent`, feature `derive`).
pub trait FineoEvent {
    /// The name of the metric.
    const METRIC: &'static str;

    /// What there is to declare of the metric.
    fn declaration() -> MetricDeclaration;

    /// Writes this value's fields.
    fn write(&self, event: &mut EventWriter);
}

/// What a field of an event may be.
pub trait EventValue {
    /// What the field is declared as.
    const FIELD_TYPE: &'static str;

    /// The value in JSON; none for a field that the event does not have.
    fn json(&self) -> Option<String>;
}

/// Writes one event as a JSON object.
#[derive(Debug)]
pub struct EventWriter(String);

impl EventWriter {
    /// Adds a field, unless there is no value.
    pub fn value(&mut self, name: &str, value: &impl EventValue) {
        if let Some(json) = value.json() {
            self.0.push(',');
            self.0.push_str(&text(name));
            self.0.push(':');
            self.0.push_str(&json);
        }
    }
}

/// `event` as a JSON object, as it is sent. The metric key is `metrictype`.
pub fn to_json<E: FineoEvent>(event: &E) -> String {
    let mut writer = EventWriter(format!("{{\"metrictype\":{}", text(E::METRIC)));
    event.write(&mut writer);
    writer.0.push('}');
    writer.0
}

/// `events` as lines, as they are sent.
pub fn to_lines<'a, E: FineoEvent + 'a>(events: impl IntoIterator<Item = &'a E>) -> String {
    let mut lines = String::new();
    for event in events {
        lines.push_str(&to_json(event));
        lines.push('\n');
    }
    lines
}

/// The file that declares the metric of `E`: making it true again changes nothing.
pub fn declaration<E: FineoEvent>() -> String {
    let metrics = Ordered(vec![(E::METRIC.to_owned(), E::declaration())]);
    let declaration = Declaration { metrics, ..Declaration::default() };
    serde_json::to_string(&declaration).expect("names and texts can be written as JSON")
}

/// A metric of these fields; what derived code calls.
pub fn declared(aliases: &[&str], fields: Vec<(String, FieldDeclaration)>) -> MetricDeclaration {
    MetricDeclaration { aliases: owned(aliases), fields: Ordered(fields), ..MetricDeclaration::default() }
}

/// A field; what derived code calls.
pub fn field(name: &str, field_type: &str, aliases: &[&str], unit: Option<&str>) -> (String, FieldDeclaration) {
    let field_type = Some(field_type.to_owned());
    let declared =
        FieldDeclaration { field_type, aliases: owned(aliases), unit: unit.map(str::to_owned), ..Default::default() };
    (name.to_owned(), declared)
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// `value` as a JSON string.
fn text(value: &str) -> String {
    serde_json::Value::from(value).to_string()
}

macro_rules! values {
    ($($rust:ty => $field_type:literal, $value:ident => $json:expr;)*) => {$(
        impl EventValue for $rust {
            const FIELD_TYPE: &'static str = $field_type;

            fn json(&self) -> Option<String> {
                let $value = self;
                $json
            }
        }
    )*};
}

values! {
    bool => "boolean", value => Some(value.to_string());
    i8 => "int", value => Some(value.to_string());
    i16 => "int", value => Some(value.to_string());
    i32 => "int", value => Some(value.to_string());
    i64 => "long", value => Some(value.to_string());
    u8 => "int", value => Some(value.to_string());
    u16 => "int", value => Some(value.to_string());
    u32 => "long", value => Some(value.to_string());
    // Without end or no number at all: JSON has no such number, and the event none either.
    f32 => "float", value => value.is_finite().then(|| value.to_string());
    f64 => "double", value => value.is_finite().then(|| value.to_string());
    String => "string", value => Some(text(value));
    &str => "string", value => Some(text(value));
    Vec<u8> => "bytes", value => Some(text(&STANDARD.encode(value)));
    Timestamp => "timestamp", value => Some(text(&value.to_string()));
    serde_json::Value => "json", value => Some(value.to_string());
}

impl<T: EventValue> EventValue for Option<T> {
    const FIELD_TYPE: &'static str = T::FIELD_TYPE;

    fn json(&self) -> Option<String> {
        self.as_ref().and_then(T::json)
    }
}

#[cfg(test)]
mod tests {
    use super::{EventValue, EventWriter, FineoEvent, MetricDeclaration, declaration, declared, field, to_lines};

    struct Door {
        open: Option<bool>,
        angle: f64,
    }

    impl FineoEvent for Door {
        const METRIC: &'static str = "door";

        fn declaration() -> MetricDeclaration {
            declared(
                &["gate"],
                vec![field("open", bool::FIELD_TYPE, &[], None), field("a\"", "double", &["w"], Some("deg"))],
            )
        }

        fn write(&self, event: &mut EventWriter) {
            event.value("open", &self.open);
            event.value("a\"", &self.angle);
        }
    }

    #[test]
    fn an_event_has_the_fields_that_have_a_value() {
        let doors = [Door { open: None, angle: 1.5 }, Door { open: Some(true), angle: f64::NAN }];
        assert_eq!(
            to_lines(&doors),
            "{\"metrictype\":\"door\",\"a\\\"\":1.5}\n{\"metrictype\":\"door\",\"open\":true}\n"
        );
    }

    #[test]
    fn a_metric_is_declared_with_its_names_types_and_units() {
        let expected = r#"{"metrics":{"door":{"aliases":["gate"],"fields":{"open":{"type":"boolean"},"a\"":{"type":"double","aliases":["w"],"unit":"deg"}}}}}"#;
        assert_eq!(declaration::<Door>(), expected);
    }
}
