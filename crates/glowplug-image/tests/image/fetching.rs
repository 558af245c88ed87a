//! What a start has to fetch, against what the table says when it is read by hand.

use glowplug_core::Architecture;
use glowplug_image::{FetchSummary, LayerFormat, TouchedFile, fetched_before};

use crate::support::{FORMATS, Written, bytes, folder, link, noise, part, request, write};

const KIB: u64 = 1024;

/// Files that do not compress, so that chunks are as large as their contents and a little more.
fn fetched(format: LayerFormat, touched: &[&str], hot: &[&str]) -> FetchSummary {
    let whole =
        |paths: &[&str]| -> Vec<TouchedFile> { paths.iter().copied().map(TouchedFile::from).collect() };
    fetched_in_parts(format, &whole(touched), &whole(hot))
}

fn fetched_in_parts(format: LayerFormat, touched: &[TouchedFile], hot: &[TouchedFile]) -> FetchSummary {
    let (_keep, root) = folder();
    let mut wanted = request(format);
    wanted.dependencies = vec![part(
        "/var/task",
        vec![
            bytes("small.bin", noise("small", 100 * KIB as usize)),
            bytes("other.bin", noise("other", 300 * KIB as usize)),
            bytes("large.bin", noise("large", 9 * 1024 * KIB as usize)),
            bytes("native.so.3", noise("native", 2000 * KIB as usize)),
            link("again.bin", "small.bin"),
            link("native.so", "native.so.3"),
        ],
    )];
    wanted.application = vec![part("/var/task", vec![bytes("app.py", noise("app", 50 * KIB as usize))])];
    wanted.hot = hot.to_vec();
    write(&wanted, &root.join("image"));
    fetched_before(&root.join("image"), Some("latest"), Architecture::host().unwrap(), touched).unwrap()
}

/// Parts of a file, in KiB.
fn parts(path: &str, parts: &[(u64, u64)]) -> TouchedFile {
    let parts: Vec<(u64, u64)> = parts.iter().map(|(from, to)| (from * KIB, to * KIB)).collect();
    TouchedFile { path: path.into(), parts: Some(parts.into()) }
}

/// Within what headers and compression add.
fn near(bytes: u64, kib: u64) -> bool {
    (kib * KIB..=kib * KIB + 4 * KIB).contains(&bytes)
}

#[test]
fn chunks_of_touched_files_are_counted_once() {
    for format in [LayerFormat::EStargz, LayerFormat::ZstdChunked] {
        let touched = ["/var/task/small.bin", "/var/task/again.bin", "/var/task/none", "/var/task"];
        let fetch = fetched(format, &touched, &[]);
        assert_eq!(fetch.missing, ["/var/task/none"]);
        let layer = &fetch.layers[0];
        assert!(layer.lazy && near(layer.chunk_bytes, 100), "{layer:?}");
        assert_eq!((fetch.layers[1].chunk_bytes, fetch.layers[1].files), (0, 0));
        assert!(fetch.fetched_bytes < 110 * KIB && fetch.total_bytes > 9600 * KIB, "{fetch:?}");
        let whole = fetched(format, &["/var/task/large.bin", "/var/task/app.py"], &[]);
        assert!(
            near(whole.layers[0].chunk_bytes, 9 * 1024) && near(whole.layers[1].chunk_bytes, 50),
            "{whole:?}"
        );
        let sum: u64 = whole.layers.iter().map(|l| l.table_bytes + l.chunk_bytes).sum();
        let documents = whole.total_bytes - whole.layers.iter().map(|l| l.total_bytes).sum::<u64>();
        assert_eq!(whole.fetched_bytes, sum + documents);
    }
}

#[test]
fn of_a_library_in_parts_the_chunks_with_them_are_counted() {
    for format in [LayerFormat::EStargz, LayerFormat::ZstdChunked] {
        // The header, and a part that lies in two chunks; by its two names.
        let touched = [
            parts("/var/task/native.so", &[(0, 4)]),
            parts("/var/task/native.so.3", &[(508, 516)]),
            parts("/var/task/large.bin", &[(4092, 4096)]),
        ];
        let fetch = fetched_in_parts(format, &touched, &touched);
        let layer = &fetch.layers[0];
        assert!(near(layer.chunk_bytes, 3 * 256 + 4 * 1024), "{layer:?}");
        assert_eq!((layer.files, layer.files_in_parts), (2, 2), "{format:?}");
        assert_eq!(layer.prefetch_bytes, 0, "both are needed in small parts");
        // What one start reads whole is whole, whatever else is touched of it; the last chunk is the shorter one.
        let both = [parts("/var/task/native.so", &[(0, 4)]), "/var/task/native.so".into()];
        let fetch = fetched_in_parts(format, &both, &[]);
        assert!(near(fetch.layers[0].chunk_bytes, 2000), "{fetch:?}");
        assert_eq!(fetch.layers[0].files_in_parts, 0);
        let end = fetched_in_parts(format, &[parts("/var/task/native.so", &[(1999, 2000)])], &[]);
        assert!(near(end.layers[0].chunk_bytes, 2000 - 7 * 256), "{end:?}");
    }
}

#[test]
fn what_is_prefetched_is_whole_and_what_is_needed_in_small_parts_is_not_prefetched() {
    let small = [parts("/var/task/native.so", &[(0, 4)]), "/var/task/small.bin".into()];
    let layer = &fetched_in_parts(LayerFormat::EStargz, &small, &small).layers[0];
    assert!(near(layer.prefetch_bytes, 100) && near(layer.chunk_bytes, 356), "{layer:?}");
    assert!(near(layer.prefetched_bytes, 100), "{layer:?}");
    let most = [parts("/var/task/native.so", &[(0, 1400)])];
    let fetch = fetched_in_parts(LayerFormat::EStargz, &most, &most);
    let layer = &fetch.layers[0];
    assert!(near(layer.prefetch_bytes, 2000) && near(layer.chunk_bytes, 6 * 256), "{layer:?}");
    assert_eq!(fetch.prefetching_bytes - fetch.fetched_bytes, layer.prefetch_bytes - layer.prefetched_bytes);
}

#[test]
fn a_plain_layer_is_fetched_whole() {
    let fetch = fetched(LayerFormat::Gzip, &["/var/task/again.bin"], &[]);
    assert!(fetch.layers.iter().all(|layer| !layer.lazy && layer.chunk_bytes == layer.total_bytes));
    assert_eq!(fetch.fetched_bytes, fetch.total_bytes);
    assert_eq!((fetch.layers[0].files, fetch.missing.len()), (1, 0));
}

#[test]
fn what_is_prefetched_is_told_apart() {
    let hot = ["/var/task/small.bin", "/var/task/other.bin"];
    let fetch = fetched(LayerFormat::EStargz, &["/var/task/small.bin", "/var/task/app.py"], &hot);
    let layer = &fetch.layers[0];
    assert!(near(layer.prefetch_bytes, 400) && near(layer.prefetched_bytes, 100), "{layer:?}");
    let more = layer.prefetch_bytes - layer.prefetched_bytes;
    assert_eq!(fetch.prefetching_bytes, fetch.fetched_bytes + more);
    assert_eq!(fetch.layers[1].prefetch_bytes, 0);
}

#[test]
fn the_table_that_is_read_is_the_one_that_was_promised() {
    for format in FORMATS {
        let (_keep, root) = folder();
        let mut wanted = request(format);
        wanted.application = vec![part("/var/task", vec![bytes("app.py", noise("app", 5000))])];
        let summary = write(&wanted, &root.join("image"));
        let blob = root.join("image/blobs/sha256").join(summary.layers[0].digest.hex());
        let mut contents = fs_err::read(&blob).unwrap();
        let position = &Written::read(&root.join("image")).layers()[0].0["annotations"]["io.github.containers.zstd-chunked.manifest-position"];
        let table = position.as_str().and_then(|text| text.split(':').next()?.parse::<usize>().ok());
        let at = table.unwrap_or(contents.len() - 100);
        contents[at] ^= 0x55;
        fs_err::write(&blob, contents).unwrap();
        let read = fetched_before(&root.join("image"), None, Architecture::host().unwrap(), &[]);
        let error = read.unwrap_err();
        assert_eq!(error.class(), glowplug_core::ErrorClass::Input, "{format:?}: {error}");
    }
}
