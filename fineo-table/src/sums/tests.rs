//! Checksums of blocks.

use super::{BLOCK_BYTES, FileSums};

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 31 % 251) as u8).collect()
}

#[test]
fn the_way_the_bytes_are_cut_makes_no_difference() {
    let file = bytes(3 * BLOCK_BYTES as usize + 17);
    for cut in [1, 1000, 65_536, 70_000, 1_000_000] {
        let mut sums = FileSums::new();
        for part in file.chunks(cut) {
            sums.update(part);
        }
        assert_eq!(sums, FileSums::of(&file), "cut at {cut}");
    }
    assert_eq!(FileSums::of(&file).bytes(), file.len() as u64);
}

// D7
#[test]
fn any_flipped_bit_is_found_in_its_block() {
    let file = bytes(2 * BLOCK_BYTES as usize + 100);
    let sums = FileSums::of(&file);
    assert_eq!(sums.check(0, &file), Ok(()));
    for at in [0, 65_535, 65_536, 131_072, 131_171] {
        let mut bad = file.clone();
        bad[at] ^= 4;
        assert_eq!(sums.check(0, &bad), Err(at as u64 / BLOCK_BYTES * BLOCK_BYTES), "at {at}");
    }
    assert_eq!(sums.check(BLOCK_BYTES, &file[65_536..]), Ok(()));
    assert!(sums.check(0, &file[65_536..]).is_err(), "other blocks");
}

#[test]
fn checksums_are_read_back_or_refused() {
    let sums = FileSums::of(&bytes(200_000));
    let stored = sums.to_bytes();
    assert_eq!(*FileSums::from_bytes(&stored).unwrap(), sums);
    for at in 0..stored.len() {
        let mut bad = stored.to_vec();
        bad[at] ^= 1;
        assert!(FileSums::from_bytes(&bad).is_err(), "at {at}");
        assert!(FileSums::from_bytes(&stored[..at]).is_err(), "cut at {at}");
    }
}

#[test]
fn a_range_takes_whole_blocks_to_the_end_of_the_file() {
    let sums = FileSums::of(&bytes(150_000));
    assert_eq!(sums.blocks_of(&(70_000..70_001)), 65_536..131_072);
    assert_eq!(sums.blocks_of(&(0..131_073)), 0..150_000);
}
