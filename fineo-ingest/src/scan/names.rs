//! The field names that a tenant's events bear, known by number, and a guess of which comes next.
//!
//! Names form a tree: nested objects are its inner nodes. Events of one firmware repeat their keys in one order,
//! so every node remembers which one followed it last; comparing bytes there replaces most hashing.

use std::{collections::HashMap, sync::Arc};

use fineo_schema::name;
use foldhash::fast::RandomState;

use crate::stage::identity::NamesDigest;

/// No node.
pub(crate) const NOBODY: u32 = u32::MAX;
/// The node of the event itself.
pub(crate) const ROOT: u32 = 0;
/// Beyond so many nodes the tree is planted anew: a tenant may send a new name with every event.
const NODES_MAX: usize = 100_000;

/// The rank of a name that has none yet.
const UNRANKED: u32 = u32::MAX;
/// So many names without a rank are borne before all are ordered anew.
const UNRANKED_MAX: usize = 16;
/// Names of more words than these are sorted by comparing: looking for bits would cost more.
const WORDS_MAX: usize = 64;

/// Names in the order of their bytes. Its buffers serve every event.
#[derive(Debug, Default)]
pub(crate) struct Order {
    /// Rank, place and name.
    sorted: Vec<(u32, u32, u32)>,
    unranked: Vec<(u32, u32, u32)>,
    by_rank: Vec<(u32, u32)>,
    ranks: Vec<u64>,
}

impl Order {
    /// Place and name, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, u32)> {
        self.sorted.iter().map(|(_, place, name)| (*place, *name))
    }
}

/// Whether two texts of one length are the same. Keys are short: comparing words in place beats a call.
#[inline]
fn is_same(one: &[u8], other: &[u8]) -> bool {
    fn ends<const N: usize>(text: &[u8]) -> Option<(&[u8; N], &[u8; N])> {
        Some((text.first_chunk()?, text.last_chunk()?))
    }
    match one.len() {
        0..4 => one.iter().zip(other).all(|(one, other)| one == other),
        4..8 => ends::<4>(one) == ends::<4>(other),
        8..=16 => ends::<8>(one) == ends::<8>(other),
        _ => one == other,
    }
}

/// What is wrong with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NameFault {
    Reserved,
    Unreadable,
}

/// A flattened name.
#[derive(Debug)]
pub(crate) struct Name {
    pub(crate) text: Arc<str>,
    /// Its part of the digest of an event's names.
    pub(crate) digest: NamesDigest,
    /// Its place among the names when they were ordered last; [`UNRANKED`] for a name that came later.
    rank: u32,
    pub(crate) fault: Option<NameFault>,
    /// The event that bore it last.
    pub(crate) seen_in: u64,
}

/// A key in its object.
#[derive(Debug)]
pub(crate) struct Node {
    key: Box<str>,
    /// Whether the key stands in JSON as it is, without escapes.
    is_plain: bool,
    /// The number of its flattened name.
    pub(crate) name: u32,
    /// The node that came first inside it last time.
    pub(crate) first: u32,
    /// The node that followed it in its object last time.
    pub(crate) next: u32,
    /// The event that bore it last.
    pub(crate) seen_in: u64,
}

/// Every name of a tenant so far.
#[derive(Debug)]
pub(crate) struct Names {
    nodes: Vec<Node>,
    names: Vec<Name>,
    by_key: HashMap<Box<[u8]>, u32, RandomState>,
    by_name: HashMap<Arc<str>, u32, RandomState>,
    /// How many names have no rank.
    unranked: usize,
    look_up: Vec<u8>,
    events: u64,
}

impl Names {
    pub(crate) fn new() -> Self {
        let mut names = Self {
            nodes: Vec::new(),
            names: Vec::new(),
            by_key: HashMap::default(),
            by_name: HashMap::default(),
            unranked: 0,
            look_up: Vec::new(),
            events: 0,
        };
        names.plant();
        names
    }

    fn plant(&mut self) {
        self.nodes.clear();
        self.names.clear();
        self.by_key.clear();
        self.by_name.clear();
        self.unranked = 0;
        let root = Node { key: "".into(), is_plain: false, name: NOBODY, first: NOBODY, next: NOBODY, seen_in: 0 };
        self.nodes.push(root);
    }

    /// The number of the event that begins now.
    pub(crate) fn begin_event(&mut self) -> u64 {
        self.events += 1;
        self.events
    }

    /// Forgets every name when there are too many; whether it did. Numbers mean nothing afterwards.
    pub(crate) fn forget_if_full(&mut self) -> bool {
        let is_full = self.nodes.len() > NODES_MAX;
        if is_full {
            self.plant();
        }
        is_full
    }

    /// How many there are, inner nodes among them.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(crate) fn node_mut(&mut self, node: u32) -> &mut Node {
        &mut self.nodes[node as usize]
    }

    pub(crate) fn name(&self, name: u32) -> &Name {
        &self.names[name as usize]
    }

    pub(crate) fn name_mut(&mut self, name: u32) -> &mut Name {
        &mut self.names[name as usize]
    }

    /// Orders the names by their bytes, where enough came since that was done last: the work stays in proportion to
    /// their number, however they come.
    pub(crate) fn rank(&mut self) {
        if self.unranked <= UNRANKED_MAX.max(self.names.len() / 4) {
            return;
        }
        let mut order: Vec<u32> = (0..).take(self.names.len()).collect();
        order.sort_unstable_by(|one, other| self.name(*one).text.cmp(&self.name(*other).text));
        for (rank, name) in (0..).zip(order) {
            self.names[name as usize].rank = rank;
        }
        self.unranked = 0;
    }

    /// The places of `names`, numbers of names that occur once each, in the order of the names' bytes; without `left_out`.
    pub(crate) fn sort(&self, names: impl Iterator<Item = u32>, left_out: Option<u32>, order: &mut Order) {
        let Order { sorted, unranked, by_rank, ranks } = order;
        sorted.clear();
        unranked.clear();
        for (place, name) in (0_u32..).zip(names).filter(|(place, _)| Some(*place) != left_out) {
            let rank = self.names[name as usize].rank;
            let into = if rank == UNRANKED { &mut *unranked } else { &mut *sorted };
            into.push((rank, place, name));
        }
        let words = self.names.len().div_ceil(64);
        if words > WORDS_MAX {
            sorted.sort_unstable();
        } else {
            // A bit for each rank: to go through them in order is to sort.
            ranks.clear();
            ranks.resize(words, 0);
            by_rank.resize(self.names.len().max(by_rank.len()), (0, 0));
            for (rank, place, name) in sorted.drain(..) {
                ranks[rank as usize / 64] |= 1 << (rank % 64);
                by_rank[rank as usize] = (place, name);
            }
            for (first, word) in (0_u32..).step_by(64).zip(&*ranks) {
                let mut rest = *word;
                while rest != 0 {
                    let rank = first + rest.trailing_zeros();
                    let (place, name) = by_rank[rank as usize];
                    sorted.push((rank, place, name));
                    rest &= rest - 1;
                }
            }
        }
        let text = |name: u32| &*self.names[name as usize].text;
        for late in unranked.drain(..) {
            let at = sorted.partition_point(|known| text(known.2) < text(late.2));
            sorted.insert(at, late);
        }
    }

    /// The number of a flattened name that some event bore.
    pub(crate) fn number(&self, text: &str) -> Option<u32> {
        self.by_name.get(text).copied()
    }

    /// The node guessed to come after `previous` in the object `parent`.
    pub(crate) fn guess(&self, parent: u32, previous: u32) -> u32 {
        match previous {
            NOBODY => self.nodes[parent as usize].first,
            previous => self.nodes[previous as usize].next,
        }
    }

    /// The length of the key of `guess` if it stands, with its closing quote, at the beginning of `source`.
    pub(crate) fn confirm(&self, guess: u32, source: &[u8]) -> Option<usize> {
        let node = self.nodes.get(guess as usize)?;
        let key = node.key.as_bytes();
        let stands = node.is_plain && source.get(key.len()) == Some(&b'"') && is_same(&source[..key.len()], key);
        stands.then_some(key.len())
    }

    /// The node of `key` in the object `parent`, which `previous` came before. None when its flattened name is
    /// longer than any name may be.
    pub(crate) fn node(&mut self, parent: u32, previous: u32, key: &str) -> Option<u32> {
        self.look_up.clear();
        self.look_up.extend_from_slice(&parent.to_le_bytes());
        self.look_up.extend_from_slice(key.as_bytes());
        let node = match self.by_key.get(self.look_up.as_slice()) {
            Some(node) => *node,
            None => self.add(parent, key)?,
        };
        match previous {
            NOBODY => self.nodes[parent as usize].first = node,
            previous => self.nodes[previous as usize].next = node,
        }
        Some(node)
    }

    fn add(&mut self, parent: u32, key: &str) -> Option<u32> {
        let text: Arc<str> = match self.nodes[parent as usize].name {
            NOBODY => key.into(),
            prefix => format!("{}.{key}", self.names[prefix as usize].text).into(),
        };
        if text.len() > name::NAME_BYTES_MAX {
            return None;
        }
        let number = match self.by_name.get(&text) {
            Some(number) => *number,
            None => {
                let number = u32::try_from(self.names.len()).expect("nodes are bounded");
                let fault = if !name::is_legal(&text) {
                    Some(NameFault::Unreadable)
                } else if name::is_reserved(&text) {
                    Some(NameFault::Reserved)
                } else {
                    None
                };
                self.by_name.insert(Arc::clone(&text), number);
                let digest = NamesDigest::of_name(&text);
                self.names.push(Name { text, digest, rank: UNRANKED, fault, seen_in: 0 });
                self.unranked += 1;
                number
            }
        };
        let node = u32::try_from(self.nodes.len()).expect("nodes are bounded");
        let is_plain = !key.bytes().any(|byte| matches!(byte, b'"' | b'\\' | 0..0x20));
        self.nodes.push(Node { key: key.into(), is_plain, name: number, first: NOBODY, next: NOBODY, seen_in: 0 });
        self.by_key.insert(self.look_up.as_slice().into(), node);
        Some(node)
    }
}

#[cfg(test)]
mod tests;
