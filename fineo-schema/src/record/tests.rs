//! Records: written by us, read by us and by another Avro library.

use apache_avro::{Schema, types::Value};
use fineo_core::{ContentHash, ErrorKind, EventId, MetricId, Timestamp};
use proptest::prelude::*;

use super::{Cell, RecordHead, RecordLayout, RecordValue, RecordVisitor, SentName, ValueVisitor};
use crate::{FieldId, FieldType, Slot};

const TYPES: [FieldType; 11] = [
    FieldType::String,
    FieldType::Boolean,
    FieldType::Int,
    FieldType::Long,
    FieldType::Float,
    FieldType::Double,
    FieldType::Decimal { precision: 10, scale: 2 },
    FieldType::Timestamp,
    FieldType::Date,
    FieldType::Bytes,
    FieldType::Json,
];

#[derive(Debug, Default, PartialEq)]
struct Texts(Vec<(String, String)>);

impl RecordVisitor for Texts {
    fn head(&mut self, _: &RecordHead<'_>) {}
    fn cell(&mut self, name: &str, text: &str) {
        self.0.push((name.to_owned(), text.to_owned()));
    }
}

fn layout(types: &[FieldType]) -> RecordLayout {
    let fields = (1..).zip(types).map(|(number, field_type)| (FieldId(number), *field_type));
    RecordLayout::new(&MetricId::numbered(1), fields)
}

fn head() -> RecordHead<'static> {
    RecordHead {
        alias: "pump",
        timestamp: Timestamp::from_micros(1_453_415_532_345_678).unwrap(),
        written_at: Timestamp::from_micros(1_453_415_533_000_000).unwrap(),
        id: EventId([7; 16]),
        content: ContentHash([9; 16]),
    }
}

fn cell<'a>(name: &'a str, text: &'a str, slot: Option<(u32, u32)>) -> Cell<'a> {
    Cell { name, text, slot: slot.map(|(field, rank)| Slot { field, rank }) }
}

fn written(layout: &RecordLayout, cells: &[Cell<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    layout.write(&head(), cells, &mut out);
    out
}

fn read(layout: &RecordLayout, bytes: &[u8]) -> fineo_core::Result<Vec<(String, String)>> {
    let mut texts = Texts::default();
    let found = layout.read(bytes, head().id, &mut texts)?;
    assert_eq!(found, head());
    Ok(texts.0)
}

fn avro(layout: &RecordLayout, bytes: &[u8]) -> Value {
    let schema = Schema::parse_str(&layout.avro_schema().to_string()).unwrap();
    let mut rest = bytes;
    let reader = apache_avro::reader::datum::GenericDatumReader::builder(&schema).build().unwrap();
    let value = reader.read_value(&mut rest).unwrap();
    assert!(rest.is_empty());
    value
}

#[test]
fn a_record_is_read_as_it_was_sent_and_any_avro_reader_reads_it() {
    let layout = layout(&TYPES);
    let cells = [
        cell("name", "a \"b\" 温度", Some((0, 0))),
        cell("on", "true", Some((1, 0))),
        cell("n", "1.0", Some((2, 0))),
        cell("big", "9007199254740993", Some((3, 0))),
        cell("f", "0.1", Some((4, 0))),
        cell("temp", "warm", Some((5, 0))),
        cell("price", "-12.30", Some((6, 0))),
        cell("at", "2016-02-14T00:00:00Z", Some((7, 0))),
        cell("day", "2016-02-14", Some((8, 0))),
        cell("raw", "AQI=", Some((9, 0))),
        cell("doc", "{\"a\":1}", Some((10, 0))),
        cell("PM2.5", "1e400", None),
        cell("empty", "", None),
    ];
    let bytes = written(&layout, &cells);
    let mut texts = read(&layout, &bytes).unwrap();
    let mut sent: Vec<_> = cells.iter().map(|cell| (cell.name.to_owned(), cell.text.to_owned())).collect();
    texts.sort();
    sent.sort();
    assert_eq!(texts, sent);

    let Value::Record(fields) = avro(&layout, &bytes) else { panic!("not a record") };
    let names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["baseFields", "f1", "f2", "f3", "f4", "f5", "f6", "f7", "f8", "f9", "f10", "f11"]);
    // Name, rank, value, text.
    let value = |index: usize, part: usize| match &fields[index].1 {
        Value::Union(1, instance) => match &**instance {
            Value::Record(parts) => parts[part].1.clone(),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    assert_eq!(value(3, 2), Value::Union(1, Box::new(Value::Int(1))));
    assert_eq!(value(3, 3), Value::Union(1, Box::new(Value::String("1.0".into()))));
    assert_eq!(value(4, 2), Value::Union(1, Box::new(Value::Long(9_007_199_254_740_993))));
    assert_eq!(value(4, 3), Value::Union(0, Box::new(Value::Null)));
    assert_eq!(value(6, 2), Value::Union(0, Box::new(Value::Null)));
    assert_eq!(value(9, 2), Value::Union(1, Box::new(Value::Date(16_845))));
}

#[test]
fn of_several_aliases_the_best_fills_the_field_and_none_is_lost() {
    // SC4
    let layout = layout(&[FieldType::Long]);
    let cells = [cell("c", "3", Some((0, 2))), cell("a", "1", Some((0, 0))), cell("b", "2", Some((0, 1)))];
    let bytes = written(&layout, &cells);
    let texts = read(&layout, &bytes).unwrap();
    assert_eq!(texts.last().unwrap(), &("a".to_owned(), "1".to_owned()));
    assert_eq!(texts.len(), 3);
}

#[test]
fn bytes_that_are_no_record_are_corrupt_and_take_no_memory() {
    let layout = layout(&[FieldType::Double]);
    let whole = written(&layout, &[cell("t", "21.5", Some((0, 0))), cell("u", "x", None)]);
    for length in 0..whole.len() {
        let error = layout.read(&whole[..length], EventId::default(), &mut Texts::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
    }
    // E46: a count of 2^62, a negative count with a lying size, a number of eleven bytes.
    let mut lying = vec![0, 0, 0];
    crate::avro::write_long(1 << 62, &mut lying);
    layout.read(&lying, EventId::default(), &mut Texts::default()).unwrap_err();
    let mut negative = vec![0, 0, 0];
    crate::avro::write_long(i64::MIN, &mut negative);
    crate::avro::write_long(1 << 40, &mut negative);
    layout.read(&negative, EventId::default(), &mut Texts::default()).unwrap_err();
    layout.read(&[0xff; 11], EventId::default(), &mut Texts::default()).unwrap_err();
    // E49: in place of each byte one that names a branch, a symbol or a length that there is none of.
    for at in 0..whole.len() {
        for odd in [0x01, 0x14, 0x7f, 0xff] {
            let mut harmed = whole.clone();
            harmed[at] = odd;
            if let Err(error) = layout.read(&harmed, EventId::default(), &mut Texts::default()) {
                assert_eq!(error.kind(), ErrorKind::Corrupt, "{odd:#x} at {at}");
            }
        }
    }
}

#[test]
fn a_schema_that_contains_itself_is_no_layout() {
    // E47: a value of it may be as deep as its bytes are many.
    let list = serde_json::json!({ "type": "record", "name": "n1", "fields": [
        { "name": "baseFields", "type": "BaseFields" },
        { "name": "f1", "type": ["null", "n1"] },
    ] });
    assert_eq!(RecordLayout::of_avro_schema(&list).unwrap_err().kind(), ErrorKind::Corrupt);
}

// SC7
#[test]
fn a_layout_is_read_back_from_its_avro_schema() {
    let layout = layout(&TYPES);
    let again = RecordLayout::of_avro_schema(&layout.avro_schema()).unwrap();
    assert_eq!(again.fields(), layout.fields());
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "-?[0-9]{1,20}(\\.[0-9]{0,6})?(e-?[0-9]{1,3})?",
        any::<f64>().prop_map(|value| value.to_string()),
        any::<i64>().prop_map(|value| value.to_string()),
        "true|false|TRUE|[A-Za-z0-9+/]{0,8}={0,2}|2016-02-1[0-9]|2016-02-14T0[0-9]:00:00Z",
    ]
}

#[test]
fn a_name_of_the_schema_is_told_by_its_rank_and_a_number_of_few_digits_exactly() {
    let names = |names: &[&str]| names.iter().map(|name| (*name).into()).collect();
    let fields = [
        (FieldId(1), FieldType::Double, names(&["temp", "temperature"])),
        (FieldId(2), FieldType::Float, names(&["hum", "rh"])),
    ];
    let layout = RecordLayout::named(&MetricId::numbered(1), fields.into_iter());
    let cells = [cell("temperature", "-21.25", Some((0, 1))), cell("rh", "0.125", Some((1, 1)))];
    let bytes = written(&layout, &cells);
    let sent: Vec<_> = cells.iter().map(|cell| (cell.name.to_owned(), cell.text.to_owned())).collect();
    assert_eq!(read(&layout, &bytes).unwrap(), sent);
    let is_in_bytes = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(!is_in_bytes("temperature") && !is_in_bytes("21"), "the schema says the name, a number the text");

    // Another Avro library reads it; the names are in the schema.
    let Value::Record(fields) = avro(&layout, &bytes) else { panic!("not a record") };
    let Value::Union(1, instance) = &fields[1].1 else { panic!("{fields:?}") };
    let Value::Record(parts) = &**instance else { panic!("{instance:?}") };
    assert_eq!(parts[1].1, Value::Union(1, Box::new(Value::Int(1))));
    let short = vec![("unscaled".to_owned(), Value::Long(-2125)), ("places".to_owned(), Value::Int(2))];
    assert_eq!(parts[2].1, Value::Union(2, Box::new(Value::Record(short))));
    let again = RecordLayout::of_avro_schema(&layout.avro_schema()).unwrap();
    assert_eq!(read(&again, &bytes).unwrap(), sent);

    // A rank that no name has is no record of this layout.
    let without = RecordLayout::new(&MetricId::numbered(1), layout.fields().iter().copied());
    assert_eq!(without.read(&bytes, head().id, &mut Texts::default()).unwrap_err().kind(), ErrorKind::Corrupt);
}

#[test]
fn the_content_hash_is_in_the_record_only_where_it_is_not_the_id() {
    let layout = layout(&[]);
    let same = RecordHead { content: ContentHash(head().id.0), ..head() };
    let mut short = Vec::new();
    layout.write(&same, &[] as &[Cell<'_>], &mut short);
    assert_eq!(layout.read(&short, same.id, &mut Texts::default()).unwrap(), same);
    assert_eq!(RecordLayout::read_head(&short, same.id).unwrap(), same);
    assert_eq!(written(&layout, &[]).len(), short.len() + 16);
}

#[derive(Debug, Default)]
struct Values(Vec<(String, Option<String>, Option<String>)>);

impl<'a> ValueVisitor<'a> for Values {
    fn undeclared(&mut self, name: &'a str, text: &'a str) {
        self.0.push((name.to_owned(), None, Some(text.to_owned())));
    }

    fn declared(&mut self, _: usize, name: SentName<'a>, value: Option<RecordValue<'a>>, text: Option<&'a str>) {
        self.0.push((name.text.to_owned(), value.map(|value| format!("{value:?}")), text.map(str::to_owned)));
    }
}

#[test]
fn values_are_read_as_values() {
    let layout = layout(&[FieldType::Double, FieldType::Float, FieldType::Double]);
    let cells = [
        cell("t", "21.5", Some((0, 0))),
        cell("h", "0.1", Some((1, 0))),
        cell("u", "1.50", Some((2, 0))),
        cell("x", "1e3", None),
    ];
    let mut values = Values::default();
    layout.read_values(&written(&layout, &cells), head().id, &mut values).unwrap();
    let row = |name: &str, value: Option<&str>, text: Option<&str>| {
        (name.to_owned(), value.map(str::to_owned), text.map(str::to_owned))
    };
    let expected = [
        row("x", None, Some("1e3")),
        row("t", Some("Double(21.5)"), None),
        row("h", Some("Float(0.1)"), None),
        row("u", Some("Double(1.5)"), Some("1.50")),
    ];
    assert_eq!(values.0, expected);
}

proptest! {
    // SC5
    #[test]
    fn any_text_under_any_type_is_read_as_it_was_sent(
        sent in proptest::collection::vec((any_text(), 0..TYPES.len() + 2), 0..20),
    ) {
        let layout = layout(&TYPES);
        let names: Vec<String> = (0..sent.len()).map(|number| format!("name{number:02}")).collect();
        let cells: Vec<Cell<'_>> = (0_u32..).zip(sent.iter().zip(&names)).map(|(rank, ((text, field), name))| {
            let field = u32::try_from(*field).unwrap();
            cell(name, text, (field < 11).then_some((field, rank)))
        }).collect();
        let bytes = written(&layout, &cells);
        avro(&layout, &bytes);
        let mut texts = read(&layout, &bytes).unwrap();
        texts.sort();
        let expected: Vec<(String, String)> = names.into_iter().zip(sent).map(|(name, (text, _))| (name, text)).collect();
        prop_assert_eq!(texts, expected);
    }

    #[test]
    fn no_bytes_at_all_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = layout(&TYPES).read(&bytes, EventId::default(), &mut Texts::default());
    }
}
