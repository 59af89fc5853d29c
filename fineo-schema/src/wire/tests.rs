//! Stored documents, whole and damaged.

use std::sync::Arc;

use fineo_core::{Cover, ErrorKind, MetricId, Position, ShardId, TenantId, Timestamp, repo::Version};

use super::{
    ChangeRecord, NamesHead, TenantState, TenantVersion, decode_head, decode_metric, decode_names, encode_head,
    encode_metric, encode_names,
};
use crate::{Change, ChangeId, Identity, NameStats, RetainDays, StatedConversion, edit::Edit};

fn sample() -> (Edit, Vec<Change>) {
    let strings = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let shard = ShardId::new("s0").unwrap();
    let through: Cover = [(shard, Position::from(20))].into_iter().collect();
    let (pump, temp) = ("pump".to_owned(), "temp".to_owned());
    let changes = vec![
        Change::CreateMetric { name: pump.clone(), aliases: strings(&["pmp"]) },
        Change::AddField {
            metric: pump.clone(),
            name: temp.clone(),
            field_type: "double".into(),
            aliases: strings(&["t", "温度"]),
            unit: Some("C".into()),
        },
        Change::AddConversion {
            metric: pump.clone(),
            field: temp.clone(),
            conversion: StatedConversion {
                unit: Some("F".into()),
                name: Some("t".into()),
                from: Some(Timestamp::from_micros(5).unwrap()),
                ..StatedConversion::default()
            },
        },
        Change::HideField { metric: pump.clone(), field: temp },
        Change::DeleteField { metric: pump.clone(), field: "old".into(), through },
        Change::RuleOutField { metric: pump.clone(), field: "bad".into() },
        Change::SetTimestampFormats { metric: Some(pump.clone()), formats: strings(&["epoch_s"]) },
        Change::SetTimestampAliases { metric: Some(pump.clone()), aliases: strings(&["at"]) },
        Change::SetIdentity { metric: Some(pump), identity: Some(Identity::Arrival) },
        Change::SetRetainDays { metric: Some("pump".to_owned()), days: Some("30".parse().unwrap()) },
        Change::SetRetainDays { metric: None, days: Some(RetainDays::Forever) },
        Change::SetMetricKeys { keys: strings(&["kind"]) },
        Change::SetIdentity { metric: None, identity: Some(Identity::Key) },
        Change::DiscoverMetrics { names: vec!["fan".into()] },
        Change::MergeMetric { from: "fan".into(), into: "pump".into() },
    ];
    // The merge is refused after the deletion, so it is left out of what is applied.
    let mut edit = Edit::new(crate::document::State::default(), Timestamp::from_micros(7).unwrap());
    for change in &changes[..14] {
        edit.apply(change).unwrap();
    }
    edit.apply(&changes[14]).unwrap_err();
    (edit, changes)
}

#[test]
fn documents_are_read_as_they_were_written() {
    let (edit, changes) = sample();
    let tenant = TenantId::new("acme").unwrap();
    let change = ChangeRecord {
        id: ChangeId::of_bytes([3; 16]),
        at: Timestamp::from_micros(7).unwrap(),
        author: Some("ada".into()),
        changes,
        summary: edit.summary.clone(),
        deltas: crate::undo::deltas(&crate::document::State::default(), &edit.state).unwrap(),
    };
    let version = TenantVersion { version: Version(4), document: edit.state.tenant.clone(), change };
    let body = version.encode(&tenant).unwrap();
    assert_eq!(TenantVersion::decode(&body, &tenant, Version(4)).unwrap(), version);
    let state = TenantState::decode(&body, &tenant, Version(4)).unwrap();
    assert_eq!((state.document, state.changed_at), (version.document, version.change.at));

    let document = Arc::clone(&edit.state.metrics[&1]);
    let id = MetricId::numbered(1);
    let body = encode_metric(&id, Version(2), &document).unwrap();
    assert_eq!(decode_metric(&body, &id, Version(2)).unwrap(), document);
}

#[test]
fn what_is_no_document_or_another_one_is_corrupt() {
    // S14
    let (edit, _) = sample();
    let id = MetricId::numbered(1);
    let body = encode_metric(&id, Version(2), &edit.state.metrics[&1]).unwrap();
    let kind = |body: &[u8], version| decode_metric(body, &id, Version(version)).unwrap_err().kind();
    assert_eq!(kind(&body, 3), ErrorKind::Corrupt);
    assert_eq!(kind(b"garbage", 2), ErrorKind::Corrupt);
    for length in 0..body.len() {
        assert_eq!(kind(&body[..length], 2), ErrorKind::Corrupt);
    }
    for at in 0..body.len() {
        let mut flipped = body.to_vec();
        flipped[at] ^= 0x80;
        // Some flips leave a legal document; none may panic.
        let _ = decode_metric(&flipped, &id, Version(2));
    }
}

// S14
#[test]
fn damage_of_a_tenants_document_is_found_also_where_its_change_is_not_needed() {
    let (edit, changes) = sample();
    let tenant = TenantId::new("acme").unwrap();
    let (id, at) = (ChangeId::of_bytes([3; 16]), Timestamp::from_micros(7).unwrap());
    let change = ChangeRecord { id, at, author: None, changes, summary: Vec::new(), deltas: Vec::new() };
    let version = TenantVersion { version: Version(4), document: edit.state.tenant.clone(), change };
    let body = version.encode(&tenant).unwrap();
    let kind = |body: &[u8], version| TenantState::decode(body, &tenant, Version(version)).unwrap_err().kind();
    assert_eq!(kind(&body, 3), ErrorKind::Corrupt);
    for length in 0..body.len() {
        assert_eq!(kind(&body[..length], 4), ErrorKind::Corrupt);
    }
    let at = body.windows(14).position(|found| found == b"create_metric\"").expect("the change is within");
    let mut broken = body.to_vec();
    broken[at + 13] = b'x';
    assert_eq!(kind(&broken, 4), ErrorKind::Corrupt, "the change is no JSON");
}

// SC6
#[test]
fn a_document_of_the_time_before_a_field_was_added_is_read() {
    let header = &super::METADATA.former[0].header;
    assert_ne!(header, &super::METADATA.latest.header);
    let mut former: serde_json::Value = serde_json::from_str(super::METADATA_SCHEMA).unwrap();
    super::remove_field(&mut former, super::LATER_FIELDS.last().unwrap());
    // The canonical name alone: its length and bytes, an empty map, and a null for each other field.
    let nulls = former["fields"].as_array().unwrap().len() - 2;
    let body = [&header[..], &[8], b"acme", &[0], &vec![0; nulls]].concat();
    let read: super::metadata::Metadata = super::METADATA.decode(&body).unwrap();
    assert_eq!((read.canonical_name.as_str(), read.canonical_names_to_aliases.len()), ("acme", 0));
    let one_more = [&body[..], &[0]].concat();
    assert!(super::METADATA.decode::<super::metadata::Metadata>(&one_more).is_err());
}

// SC6
#[test]
fn the_head_of_names_of_the_time_before_rows_were_counted_is_read() {
    let former = super::NAMES.former.last().expect("the oldest");
    // The branch of a head, two names, not full, no position, no masks, no names.
    let body = [&former.header[..], &[2, 4, 0, 0, 0, 0]].concat();
    let head = decode_head(&body).unwrap();
    assert_eq!(head, NamesHead { count: 2, ..NamesHead::default() });
    let counted = NamesHead { rows: 7, early: 3, ..head };
    assert_eq!(decode_head(&encode_head(counted.clone()).unwrap()).unwrap(), counted);
}

#[test]
fn names_are_read_by_their_schema_as_they_were_written() {
    let shard = ShardId::new("s0").unwrap();
    let full = NameStats {
        name: "température".into(),
        count: u64::MAX / 2,
        first: Timestamp::from_micros(-7).unwrap(),
        last: Timestamp::from_micros(8).unwrap(),
        last_position: Some((shard.clone(), Position::from(300))),
        samples: ["21.5".into(), String::new().into()].into(),
        tried: u32::MAX,
        fits: [0, 1, 2, 127, 128, u32::MAX],
        range: Some((-0.5, 1e300)),
    };
    let bare = NameStats { name: "x".into(), last_position: None, samples: [].into(), range: None, ..full.clone() };
    for names in [vec![], vec![bare.clone()], vec![full.clone(), bare, full]] {
        assert_eq!(decode_names(&encode_names(names.iter()), &shard).unwrap(), names);
    }
}
