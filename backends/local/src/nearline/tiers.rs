//! Says which segments of a table become one: eight of a size, so that few are live and each row is written anew a few
//! times, however many come.

/// So many segments of one size become one.
pub(super) const FAN_IN: usize = 8;
/// A segment does not grow beyond this many rows.
const ROWS_MAX: u64 = 1 << 19;
/// Nor beyond this many bytes.
const BYTES_MAX: u64 = 256 << 20;
/// A segment of less than [`FAN_IN`] times as many rows and bytes is of the least tier. Rows of less than a kilobyte are
/// counted, larger ones are weighed.
const UNIT: Size = Size { rows: 512, bytes: 512 << 10 };

/// How large a segment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

impl Size {
    fn tier(self) -> u32 {
        (self.rows / UNIT.rows).max(self.bytes / UNIT.bytes).max(1).ilog(FAN_IN as u64)
    }
}

/// Of segments of these `sizes`, oldest first, the places of those that become one: of each tier the first that stand side
/// by side in it and make none that is too large.
///
/// Any eight do of the two least tiers. So hardly more than fourteen segments have less than 32,768 rows and 32 MiB.
pub(super) fn groups(sizes: &[Size]) -> Vec<Vec<usize>> {
    let tier_max = sizes.iter().map(|size| size.tier()).max().unwrap_or(0);
    let first = |tier| {
        let places: Vec<usize> = (0..sizes.len()).filter(|place| sizes[*place].tier() == tier).collect();
        places.windows(FAN_IN).find(|group| fits(sizes, group)).map(<[usize]>::to_vec)
    };
    (0..=tier_max).filter_map(first).collect()
}

/// Whether the segments in these places make one that is not too large.
fn fits(sizes: &[Size], places: &[usize]) -> bool {
    let rows: u64 = places.iter().map(|place| sizes[*place].rows).sum();
    let bytes: u64 = places.iter().map(|place| sizes[*place].bytes).sum();
    rows <= ROWS_MAX && bytes <= BYTES_MAX
}

#[cfg(test)]
mod tests {
    use super::{Size, groups};

    /// Adds a segment of `flushed` so many times, with the merges that follow each. Checks how often each byte was written
    /// at most, and how many segments are live in the end.
    fn check(flushes: u64, flushed: Size, written_max: u64, live: usize) {
        let mut sizes = Vec::new();
        let mut written = 0;
        for _ in 0..flushes {
            sizes.push(flushed);
            written += flushed.bytes;
            for group in groups(&sizes) {
                let merged = group
                    .iter()
                    .map(|place| sizes[*place])
                    .reduce(|sum, size| Size { rows: sum.rows + size.rows, bytes: sum.bytes + size.bytes });
                // A segment that is gone keeps its place: those of the other groups are still where they were.
                group.iter().for_each(|place| sizes[*place].bytes = 0);
                written += merged.unwrap().bytes;
                sizes.extend(merged);
            }
            sizes.retain(|size| size.bytes > 0);
        }
        assert_eq!(sizes.iter().map(|size| size.bytes).sum::<u64>(), flushes * flushed.bytes);
        assert!(written <= written_max * flushes * flushed.bytes, "{flushed:?}: {written} bytes");
        assert_eq!(sizes.len(), live, "{flushed:?}");
    }

    #[test]
    fn however_large_rows_are_few_segments_are_live_and_few_bytes_written_again() {
        const MIB: u64 = 1 << 20;
        // 156 times 64 flushes, and two times eight.
        check(10_000, Size { rows: 16, bytes: MIB }, 3, 156 + 2);
        check(10_000, Size { rows: 1, bytes: MIB + 4096 }, 3, 156 + 2);
        // Flushes of a full memory are larger.
        check(1_000, Size { rows: 8, bytes: 8 * MIB }, 2, 125);
        check(1_000, Size { rows: 1, bytes: 64 * MIB }, 1, 1_000);
    }

    #[test]
    fn small_rows_are_counted() {
        // Tiny segments are of the least tier until there are 4,096 rows together.
        check(8, Size { rows: 2, bytes: 8 << 10 }, 2, 1);
        check(7, Size { rows: 2, bytes: 8 << 10 }, 1, 7);
        // What a merge makes eight of is merged after the next flush.
        check(8 * 8 * 8 + 2, Size { rows: 1_000, bytes: 100 << 10 }, 4, 1 + 2);
        check(8 * 8 + 1, Size { rows: 5_000, bytes: 500 << 10 }, 3, 1 + 1);
        check(8 * 8, Size { rows: 10_000, bytes: 1 << 20 }, 2, 8);
    }

    #[test]
    fn what_is_too_large_for_one_keeps_no_others_apart() {
        let (large, small) = (Size { rows: 200_000, bytes: 1 }, Size { rows: 40_000, bytes: 1 });
        let mut sizes = vec![large; 9];
        assert!(groups(&sizes).is_empty());
        sizes.extend([small; 7]);
        // The last large one would fit, with seven of them.
        assert_eq!(groups(&sizes), [(8..16).collect::<Vec<_>>()]);
        sizes.push(small);
        assert_eq!(groups(&sizes), [(8..16).collect::<Vec<_>>()]);
    }
}
