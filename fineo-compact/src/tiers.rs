//! Which of a day's small files become one: few are left, and a row is written anew seldom.

/// A file of fewer rows costs as much as one of so many.
const ROWS_MIN: u64 = 200;

/// How many of a day's files become one together with `new` rows, the smallest first; `rows` tells how many each has, ascending.
///
/// At least `files_min` do, and the largest of them has no more rows than all that is added to it. So a row's file is twice as
/// large after each time that the row is written anew, but for what a run writes of very small files; and of files that
/// stay, each but for the first few is larger than all that are smaller.
pub(crate) fn merged(rows: &[u64], new: u64, files_min: usize) -> usize {
    let (mut merged, mut added) = (0, new.max(ROWS_MIN));
    for (number, rows) in (1..).zip(rows) {
        let rows = (*rows).max(ROWS_MIN);
        if number >= files_min && rows <= added {
            merged = number;
        }
        added += rows;
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_become_one_when_the_largest_is_no_larger_than_the_others() {
        assert_eq!(merged(&[2_000, 2_000, 2_000], 2_000, 4), 0, "too few");
        assert_eq!(merged(&[2_000; 4], 2_000, 4), 4);
        assert_eq!(merged(&[2_000, 2_000, 2_000, 8_000], 2_000, 4), 4);
        assert_eq!(merged(&[2_000, 2_000, 2_000, 8_001], 2_000, 4), 0);
        assert_eq!(merged(&[2_000, 2_000, 2_000, 2_000, 10_001, 20_002], 2_000, 4), 4);
        // What is larger comes along when what is between is enough.
        assert_eq!(merged(&[2_000, 2_000, 2_000, 8_001, 16_000], 2_000, 4), 5);
        assert_eq!(merged(&[1, 1, 1, 800], 1, 4), 4, "small files count as if they were not so small");
        assert_eq!(merged(&[1], 1, 1), 1);
        assert_eq!(merged(&[5_000], 4_999, 1), 0);
        assert_eq!(merged(&[], 9, 0), 0);
    }

    #[test]
    fn rows_are_written_seldom_and_files_are_few_however_many_runs_there_are() {
        let few = |new: &[u64]| {
            let (mut files, mut written, mut most): (Vec<u64>, u64, usize) = (Vec::new(), 0, 0);
            for new in new {
                files.sort_unstable();
                let count = merged(&files, *new, 4);
                let file = files.drain(..count).sum::<u64>() + new;
                files.push(file);
                written += file;
                most = most.max(files.len());
            }
            (written / new.iter().sum::<u64>(), most)
        };
        // 2^14 runs: nobody writes a row more often than 14 times, and there are 3 files more than that at most.
        let (times, files) = few(&[1_000; 1 << 14]);
        assert!(times <= 14 && files <= 17, "{times} times, {files} files");
        // One late row at a time behind a day of a million.
        let mut late = vec![1_000_000];
        late.extend([1; 1_000]);
        let (times, files) = few(&late);
        assert!(times <= 2 && files <= 6, "{times} times, {files} files");
    }
}
