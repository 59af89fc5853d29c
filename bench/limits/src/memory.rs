//! Memory, parsers and codecs over the sample.

use std::hint::black_box;

use crate::meter::Meter;

/// Copies and sums 256 MiB.
pub fn memory(meter: &mut Meter) {
    let source = vec![1u8; 256 << 20];
    let mut target = vec![0u8; 256 << 20];
    let size = source.len() as f64;
    meter.rate("memcpy_256MiB", 7, "GB/s", 1e9, || {
        target.copy_from_slice(black_box(&source));
        black_box(&target);
        size
    });
    meter.rate("memory_sum_256MiB", 7, "GB/s", 1e9, || {
        let words = source.chunks_exact(8).map(|c| u64::from_le_bytes(c.try_into().expect("a chunk has eight bytes")));
        black_box(words.fold(0u64, u64::wrapping_add));
        size
    });
}

/// Line splitting, UTF-8 checks and five JSON parsers, one event at a time.
pub fn parsers(meter: &mut Meter, sample: &[u8], lines: &[&[u8]]) {
    let size = sample.len() as f64;
    meter.rate("newline_scan(memchr)", 7, "GB/s", 1e9, || {
        black_box(memchr::memchr_iter(b'\n', sample).count());
        size
    });
    meter.rate("utf8_validate(std)", 7, "GB/s", 1e9, || {
        black_box(std::str::from_utf8(sample).is_ok());
        size
    });
    let mut copy = Vec::with_capacity(64 << 10);
    let mut buffers = simd_json::Buffers::new(4096);
    each(meter, "json_simd_json_tape", 5, lines, |line| {
        copy.clear();
        copy.extend_from_slice(line);
        let tape = simd_json::to_tape_with_buffers(&mut copy, &mut buffers).expect("the sample is JSON");
        black_box(tape.0.len());
    });
    each(meter, "json_simd_json_borrowed", 5, lines, |line| {
        copy.clear();
        copy.extend_from_slice(line);
        black_box(&simd_json::to_borrowed_value(&mut copy).expect("the sample is JSON"));
    });
    each(meter, "json_sonic_lazy_iter", 5, lines, |line| {
        let mut size = 0;
        for member in sonic_rs::to_object_iter(line) {
            let (key, value) = member.expect("the sample is JSON");
            size += key.len() + value.as_raw_str().len();
        }
        black_box(size);
    });
    each(meter, "json_sonic_value", 5, lines, |line| {
        black_box(&sonic_rs::from_slice::<sonic_rs::Value>(line).expect("the sample is JSON"));
    });
    each(meter, "json_serde_json_value", 3, lines, |line| {
        black_box(&serde_json::from_slice::<serde_json::Value>(line).expect("the sample is JSON"));
    });
}

fn each(meter: &mut Meter, name: &str, runs: usize, lines: &[&[u8]], mut parse: impl FnMut(&[u8])) {
    let size: usize = lines.iter().map(|line| line.len() + 1).sum();
    meter.rate(name, runs, "GB/s", 1e9, || {
        for line in lines {
            parse(line);
        }
        size as f64
    });
}

/// zstd at level 1 and LZ4 over blocks of 1 MiB.
pub fn codecs(meter: &mut Meter, sample: &[u8]) {
    let size = sample.len() as f64;
    let blocks: Vec<&[u8]> = sample.chunks(1 << 20).collect();
    let mut zstd = zstd::bulk::Compressor::new(1).expect("level 1 exists");
    let zstd_blocks: Vec<Vec<u8>> = blocks.iter().map(|b| zstd.compress(b).expect("memory suffices")).collect();
    let lz4_blocks: Vec<Vec<u8>> = blocks.iter().map(|b| lz4_flex::block::compress_prepend_size(b)).collect();
    let bytes = |blocks: &[Vec<u8>]| blocks.iter().map(Vec::len).sum::<usize>() as f64;
    meter.constant("zstd1_ratio", size / bytes(&zstd_blocks), "x");
    meter.constant("lz4_ratio", size / bytes(&lz4_blocks), "x");
    meter.rate("zstd1_compress", 5, "GB/s", 1e9, || {
        for block in &blocks {
            black_box(zstd.compress(block).expect("memory suffices").len());
        }
        size
    });
    let mut unzstd = zstd::bulk::Decompressor::new().expect("no dictionary");
    meter.rate("zstd1_decompress", 5, "GB/s", 1e9, || {
        for block in &zstd_blocks {
            black_box(unzstd.decompress(block, 2 << 20).expect("it was compressed here").len());
        }
        size
    });
    meter.rate("lz4_compress", 5, "GB/s", 1e9, || {
        for block in &blocks {
            black_box(lz4_flex::block::compress(block).len());
        }
        size
    });
    meter.rate("lz4_decompress", 5, "GB/s", 1e9, || {
        for block in &lz4_blocks {
            black_box(lz4_flex::block::decompress_size_prepended(block).expect("it was compressed here").len());
        }
        size
    });
}
