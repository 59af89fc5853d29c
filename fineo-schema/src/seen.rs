//! The names that the events of a metric bore so far.

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use fineo_core::{Cover, Position, ShardId, Timestamp};

use crate::{FieldType, Metric};

/// What is known of one stored name.
#[derive(Debug, Clone, PartialEq)]
pub struct NameStats {
    /// The name as sent.
    pub name: Arc<str>,
    /// How many values were stored under it.
    pub count: u64,
    /// When the first of them arrived.
    pub first: Timestamp,
    /// When the last of them arrived.
    pub last: Timestamp,
    /// Where the last of them stands in the staged stream.
    pub last_position: Option<(ShardId, Position)>,
    /// Some of the values, cut to [`NameStats::SAMPLE_CHARS_MAX`] characters.
    pub samples: Arc<[Arc<str>]>,
    /// How many values were tried as each type.
    pub tried: u32,
    /// How many of those were each of [`NameStats::TYPES`].
    pub fits: [u32; Self::TYPES.len()],
    /// The least and greatest of the numbers that were tried.
    pub range: Option<(f64, f64)>,
}

impl NameStats {
    /// The most samples that are kept.
    pub const SAMPLES_MAX: usize = 5;
    /// The most characters of a sample.
    pub const SAMPLE_CHARS_MAX: usize = 64;
    /// The types that values are tried as.
    pub const TYPES: [FieldType; 6] = [
        FieldType::Boolean,
        FieldType::Long,
        FieldType::Double,
        FieldType::Timestamp,
        FieldType::Date,
        FieldType::Json,
    ];

    /// The same without what tells values.
    fn without_values(&self) -> Self {
        Self { samples: Arc::default(), tried: 0, fits: [0; Self::TYPES.len()], range: None, ..self.clone() }
    }

    /// How many of the tried values are known not to be of `field_type`; none where that is not told.
    pub fn unfit(&self, field_type: FieldType) -> Option<u32> {
        let tried_as = match field_type {
            FieldType::String => return Some(0),
            FieldType::Int | FieldType::Long => FieldType::Long,
            FieldType::Float | FieldType::Double | FieldType::Decimal { .. } => FieldType::Double,
            FieldType::Bytes | FieldType::Json => return None,
            FieldType::Boolean | FieldType::Timestamp | FieldType::Date => field_type,
        };
        let place = Self::TYPES.iter().position(|known| *known == tried_as)?;
        Some(self.tried.saturating_sub(self.fits[place]))
    }

    /// The share, 0–1, of the tried values that are each type.
    pub fn shares(&self) -> impl Iterator<Item = (FieldType, f64)> {
        let tried = f64::from(self.tried.max(1));
        let fits = self.fits;
        Self::TYPES.into_iter().zip(fits).map(move |(field_type, fits)| (field_type, f64::from(fits) / tried))
    }
}

/// The stored names of a metric in order of first sight, at one moment.
#[derive(Debug, Default)]
pub struct SeenNames {
    stats: Vec<NameStats>,
    by_name: HashMap<Arc<str>, usize>,
    by_lower_name: OnceLock<HashMap<String, Vec<usize>>>,
    is_full: bool,
}

impl SeenNames {
    /// The most names that are tracked per metric.
    pub const NAMES_MAX: usize = 100_000;

    /// These names, in this order; the first of two with one name counts.
    pub fn new(stats: impl IntoIterator<Item = NameStats>, is_full: bool) -> Self {
        let mut seen = Self { is_full, ..Self::default() };
        for one in stats {
            if !seen.by_name.contains_key(&one.name) {
                seen.by_name.insert(Arc::clone(&one.name), seen.stats.len());
                seen.stats.push(one);
            }
        }
        seen
    }

    /// Those of these names that are `wanted`, as if no others had been sent.
    #[must_use]
    pub fn only<'a>(&self, wanted: impl IntoIterator<Item = &'a str>) -> Self {
        Self::new(wanted.into_iter().filter_map(|name| self.stats_of(name)).cloned(), false)
    }

    /// These names, seen once at the epoch: for tests and for callers without statistics.
    pub fn of_names(names: impl IntoIterator<Item = impl Into<Arc<str>>>) -> Self {
        let stats = |name: Arc<str>| NameStats {
            name,
            count: 1,
            first: Timestamp::default(),
            last: Timestamp::default(),
            last_position: None,
            samples: Arc::default(),
            tried: 0,
            fits: [0; NameStats::TYPES.len()],
            range: None,
        };
        Self::new(names.into_iter().map(|name| stats(name.into())), false)
    }

    /// The names in order of first sight.
    pub fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.stats.iter().map(|stats| &stats.name)
    }

    /// What is known of each name, in order of first sight.
    pub fn stats(&self) -> &[NameStats] {
        &self.stats
    }

    /// What may be told of `name` in `metric`: where values under it were deleted, nothing of values, for those that came later
    /// are not known apart from them.
    pub fn told_of(&self, metric: &Metric, name: &str) -> Option<Cow<'_, NameStats>> {
        let stats = self.stats_of(name)?;
        Some(match metric.unreadable_through(name) {
            Some(_) => Cow::Owned(stats.without_values()),
            None => Cow::Borrowed(stats),
        })
    }

    /// What is known of `name`.
    pub fn stats_of(&self, name: &str) -> Option<&NameStats> {
        self.by_name.get(name).and_then(|index| self.stats.get(*index))
    }

    /// The stored name that is exactly `name`, if it was seen.
    pub fn get(&self, name: &str) -> Option<&Arc<str>> {
        self.stats_of(name).map(|stats| &stats.name)
    }

    /// Whether some value stands beyond `cover` under `name`, as far as is known.
    pub fn is_seen_beyond(&self, name: &str, cover: &Cover) -> bool {
        let last = self.stats_of(name).and_then(|stats| stats.last_position.as_ref());
        last.is_some_and(|(shard, position)| !cover.contains(shard, *position))
    }

    /// The names that are `lower` in lower case.
    pub fn matching(&self, lower: &str) -> impl Iterator<Item = &Arc<str>> {
        let by_lower_name = self.by_lower_name.get_or_init(|| {
            let mut map: HashMap<String, Vec<usize>> = HashMap::new();
            for (index, stats) in self.stats.iter().enumerate() {
                map.entry(stats.name.to_lowercase()).or_default().push(index);
            }
            map
        });
        let indices = by_lower_name.get(lower).map_or(&[][..], Vec::as_slice);
        indices.iter().filter_map(|index| self.stats.get(*index)).map(|stats| &stats.name)
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.stats.len()
    }

    /// Whether nothing was seen.
    pub fn is_empty(&self) -> bool {
        self.stats.is_empty()
    }

    /// Whether tracking stopped at [`SeenNames::NAMES_MAX`] names: there may be others.
    pub fn is_full(&self) -> bool {
        self.is_full
    }
}
