//! What was met in delivered objects and is not filed.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use fineo_core::Error;
use object_store::path::Path;

use crate::firehose::frame::Whole;

/// Where a part is.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) object: Path,
    pub(super) range: Range<u64>,
}

/// What was met and is not filed.
#[derive(Debug, Default)]
pub(super) struct Open {
    /// The parts of segments that lack others.
    segments: BTreeMap<Whole, BTreeMap<u32, Place>>,
    objects: BTreeMap<Path, Held>,
}

/// What of an object is not filed.
#[derive(Debug, Default)]
pub(super) struct Held {
    bytes: u64,
    /// By where it begins: the end, and the segment that it is a part of; none for what never can be filed.
    open: BTreeMap<u64, (u64, Option<Whole>)>,
    damage: Option<Error>,
}

impl Open {
    /// Notes an object of so many bytes, of which nothing is open yet.
    pub(super) fn begin(&mut self, object: &Path, bytes: u64) {
        self.objects.insert(object.clone(), Held { bytes, ..Held::default() });
    }

    pub(super) fn add(&mut self, whole: Whole, index: u32, place: Place) {
        let held = self.objects.entry(place.object.clone()).or_default();
        held.open.insert(place.range.start, (place.range.end, Some(whole.clone())));
        self.segments.entry(whole).or_default().insert(index, place);
    }

    /// Notes bytes that never can be filed.
    pub(super) fn damaged(&mut self, object: &Path, range: Range<u64>, error: Error) {
        let held = self.objects.entry(object.clone()).or_default();
        held.open.insert(range.start, (range.end, None));
        held.damage.get_or_insert(error);
    }

    /// Notes that `whole` never can be filed, though all its parts are there.
    pub(super) fn refused(&mut self, whole: &Whole, refusal: &Error) {
        self.segments.remove(whole);
        for held in self.objects.values_mut() {
            for (_, of) in held.open.values_mut().filter(|(_, of)| of.as_ref() == Some(whole)) {
                *of = None;
                held.damage.get_or_insert_with(|| refusal.clone());
            }
        }
    }

    /// The places of all parts, in order, once there are all.
    pub(super) fn complete(&self, whole: &Whole) -> Option<Vec<Place>> {
        let parts = self.segments.get(whole)?;
        (parts.len() == whole.parts as usize).then(|| parts.values().cloned().collect())
    }

    /// The segments that lack parts.
    pub(super) fn lacking(&self) -> Vec<Whole> {
        self.segments.keys().cloned().collect()
    }

    /// Forgets a segment that was filed.
    pub(super) fn filed(&mut self, whole: &Whole) {
        self.segments.remove(whole);
        for held in self.objects.values_mut() {
            held.open.retain(|_, (_, of)| of.as_ref() != Some(whole));
        }
    }

    /// Forgets an object that is gone.
    pub(super) fn forget(&mut self, object: &Path) {
        self.objects.remove(object);
        self.segments.retain(|_, parts| {
            parts.retain(|_, place| place.object != *object);
            !parts.is_empty()
        });
    }

    pub(super) fn held(&self, object: &Path) -> Option<&Held> {
        self.objects.get(object)
    }
}

impl Held {
    /// Whether nothing of the object is filed.
    pub(super) fn is_whole(&self) -> bool {
        self.bytes > 0 && self.open.iter().map(|(from, (to, _))| to - from).sum::<u64>() == self.bytes
    }

    /// What of the object is open.
    pub(super) fn ranges(&self) -> impl Iterator<Item = Range<u64>> {
        self.open.iter().map(|(from, (to, _))| *from..*to)
    }

    /// Why it is not filed.
    pub(super) fn error(&self) -> Error {
        let lacking: BTreeSet<String> =
            self.open.values().filter_map(|(_, of)| of.as_ref()).map(|whole| whole.name.path()).collect();
        let lacks = || {
            let names: Vec<String> = lacking.into_iter().collect();
            Error::corrupt("parts of a segment are missing").with("segments", names.join(", "))
        };
        self.damage.clone().unwrap_or_else(lacks)
    }
}
