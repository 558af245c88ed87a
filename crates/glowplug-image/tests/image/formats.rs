//! Every format against its specification: what is in it, in which order, and that nothing else shows in the bytes.

use std::collections::BTreeMap;

use camino::Utf8PathBuf;
use fs_err as fs;
use glowplug_core::Architecture;
use glowplug_image::{ImageRequest, LayerFormat, index_of};
use proptest::prelude::*;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{FORMATS, Written, bytes, folder, link, part, request, rich, write};
use crate::verify::{self, Entry};

fn all_entries(request: &ImageRequest) -> Vec<Vec<Entry>> {
    let (_keep, root) = folder();
    write(request, &root.join("image"));
    Written::read(&root.join("image"))
        .layers()
        .iter()
        .map(|(layer, blob)| verify::layer(layer, blob))
        .collect()
}

#[test]
fn hot_files_come_first_and_the_rest_by_path_in_every_format() {
    let mut seen = Vec::new();
    for format in FORMATS {
        let layers = all_entries(&rich(format));
        let names: Vec<Vec<&str>> = layers
            .iter()
            .map(|layer| layer.iter().filter(|e| e.kind != "dir").map(|e| e.name.as_str()).collect())
            .collect();
        assert_eq!(names[0], ["var/runtime/client.py", "usr/bin/run"]);
        assert_eq!(
            names[1][..5],
            [
                "var/task/lib/b.py", // where `c.py` leads
                "var/task/big/weights.bin",
                "var/task/lib/fast.so", // needed in parts
                "var/task/big/zeros.bin",
                "var/task/lib/a.py",
            ]
        );
        assert_eq!(names[2], ["var/task/app.py"]);
        let modes: Vec<u64> = layers[0].iter().filter(|e| e.kind == "reg").map(|e| e.mode).collect();
        assert_eq!(modes, [0o644, 0o755]);
        assert!(layers.iter().flatten().all(|e| e.owner == (0, 0) && e.mtime == 0));
        seen.push(layers);
    }
    assert!(seen[0] == seen[1] && seen[1] == seen[2], "the formats differ in nothing but their packing");
}

#[test]
fn the_documents_tell_what_is_in_it() {
    let (_keep, root) = folder();
    let summary = write(&rich(LayerFormat::EStargz), &root.join("image"));
    let written = Written::read(&root.join("image"));
    assert_eq!(summary.hot_missing, 1);
    assert_eq!(written.index["manifests"][0]["digest"], summary.digest.as_str());
    assert_eq!(written.index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"], "latest");
    let layers = written.layers();
    let diff_ids: Vec<String> =
        layers.iter().map(|(layer, blob)| verify::sha(&verify::plain(layer, blob))).collect();
    assert_eq!(written.config["rootfs"]["diff_ids"], json!(diff_ids));
    let mut config = written.config.clone();
    config["rootfs"]["diff_ids"] = Value::Null;
    config["architecture"] = Value::Null;
    insta::assert_json_snapshot!(config);
    insta::assert_json_snapshot!(written.manifest["annotations"]);
    let told: Vec<String> = summary
        .layers
        .iter()
        .map(|l| {
            format!(
                "{}: {} entries, {} hot, {} in parts, {} bytes in tar",
                l.name, l.entries, l.hot, l.hot_parts, l.uncompressed_bytes
            )
        })
        .collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn the_bill_of_materials_refers_to_the_image() {
    let (_keep, root) = folder();
    let summary = write(&rich(LayerFormat::ZstdChunked), &root.join("image"));
    let written = Written::read(&root.join("image"));
    let artifact = &written.index["manifests"][1];
    assert_eq!(artifact["artifactType"], "application/vnd.cyclonedx+json");
    let manifest: Value = serde_json::from_slice(&written.blob(artifact)).unwrap();
    assert_eq!(manifest["subject"]["digest"], summary.digest.as_str());
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.oci.empty.v1+json");
    let bill = written.blob(&manifest["layers"][0]);
    assert_eq!(summary.sbom, root.join("image.cdx.json"));
    assert_eq!(fs::read(&summary.sbom).unwrap(), bill);
    let bill: Value = serde_json::from_slice(&bill).unwrap();
    insta::assert_json_snapshot!(bill, {
        ".serialNumber" => "[made of the contents]",
        ".metadata.tools.components[0].version" => "[version]",
        ".metadata.component.properties[0].value" => "[machine]",
    });
}

#[test]
fn threads_do_not_show() {
    let digest = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        FORMATS.map(|format| {
            let (_keep, root) = folder();
            pool.install(|| write(&rich(format), &root.join("image")).digest)
        })
    };
    assert_eq!(digest(1), digest(3));
}

#[test]
fn an_index_leads_each_machine_to_its_image() {
    let (_keep, root) = folder();
    let layouts: Vec<_> = [Architecture::X86_64, Architecture::Arm64]
        .iter()
        .map(|machine| {
            let mut wanted = request(LayerFormat::EStargz);
            wanted.architecture = *machine;
            wanted.application = vec![part("/var/task", vec![bytes("app.py", format!("{machine}"))])];
            let layout = root.join(machine.to_string());
            write(&wanted, &layout);
            layout
        })
        .collect();
    let made = index_of(&layouts, "v1", &root.join("both"), &glowplug_core::NoProgress).unwrap();
    assert_eq!(made.platforms, ["linux/amd64", "linux/arm64"]);
    let other: Vec<_> = layouts.iter().rev().cloned().collect();
    let turned = index_of(&other, "v1", &root.join("turned"), &glowplug_core::NoProgress).unwrap();
    assert_eq!(made, turned);
    let index: Value = serde_json::from_slice(&fs::read(root.join("both/index.json")).unwrap()).unwrap();
    assert_eq!(index["manifests"].as_array().unwrap().len(), 3, "the index and two bills of materials");
    assert_eq!(index["manifests"][0]["digest"], made.digest.as_str());
    let twice = [layouts[0].clone(), layouts[0].clone()];
    let error = index_of(&twice, "v1", &root.join("twice"), &glowplug_core::NoProgress).unwrap_err();
    assert_eq!(error.message(), "two of the images are for linux/amd64");
    assert!(!root.join("twice").exists());
}

/// What a generated tree is to look like to a reader.
fn expected(
    files: &BTreeMap<String, (Vec<u8>, bool)>,
    links: &BTreeMap<String, String>,
) -> BTreeMap<String, Entry> {
    let entry = |name: &str, kind, mode, link: &str, contents: &[u8]| Entry {
        name: name.to_owned(),
        kind,
        mode,
        owner: (0, 0),
        mtime: 0,
        link: link.to_owned(),
        contents: contents.to_vec(),
    };
    let mut all = BTreeMap::new();
    for (path, (contents, executable)) in files {
        let mode = if *executable { 0o755 } else { 0o644 };
        all.insert(path.clone(), entry(path, "reg", mode, "", contents));
    }
    for (path, target) in links {
        all.insert(path.clone(), entry(path, "symlink", 0o777, target, b""));
    }
    for path in all.keys().cloned().collect::<Vec<_>>() {
        for (at, _) in path.match_indices('/') {
            let name = format!("{}/", &path[..at]);
            all.insert(name.clone(), entry(&name, "dir", 0o755, "", b""));
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn any_entries_read_back_and_their_order_does_not_show(
        // The letters at the ends keep files apart from folders, and names from what is reserved.
        files in prop::collection::btree_map(
            "[a-z \\\\\"\n'é日%]{0,5}d(/[A-Za-z._:é\n]{0,70}d){0,3}/[ -.0-~]{0,110}f",
            (prop::collection::vec(any::<u8>(), 0..3000), any::<bool>()),
            1..10,
        ),
        links in prop::collection::btree_map("[a-z]{1,9}d/[a-z]{0,5}l", "[ -~é]{1,150}", 0..4),
        hot in any::<prop::sample::Index>(),
        seed in any::<u64>(),
    ) {
        let links: BTreeMap<String, String> =
            links.into_iter().map(|(path, target)| (path, target.replace("..", "__"))).collect();
        let mut entries: Vec<_> = files
            .iter()
            .map(|(path, (data, executable))| glowplug_package::ArchiveEntry { executable: *executable, ..bytes(path, data.clone()) })
            .collect();
        entries.extend(links.iter().map(|(path, target)| link(path, target)));
        let mut shuffled = entries.clone();
        shuffled.sort_by_key(|entry| Sha256::digest(format!("{seed}{}", entry.path)).to_vec());
        let first = files.keys().nth(hot.index(files.len())).unwrap();
        for format in FORMATS {
            let make = |entries: Vec<_>| {
                let mut wanted = request(format);
                wanted.hot = vec![Utf8PathBuf::from(format!("/{first}")).into()];
                wanted.application = vec![part("/", entries)];
                let (_keep, root) = folder();
                let summary = write(&wanted, &root.join("image"));
                let (layer, blob) = Written::read(&root.join("image")).layers().remove(0);
                (summary, verify::layer(&layer, &blob))
            };
            let (summary, read) = make(entries.clone());
            prop_assert_eq!(&summary.digest, &make(shuffled.clone()).0.digest);
            let order: Vec<&str> = read.iter().filter(|e| e.kind != "dir").map(|e| e.name.as_str()).collect();
            prop_assert_eq!(order[0], first);
            let read: BTreeMap<String, Entry> = read.into_iter().map(|e| (e.name.clone(), e)).collect();
            prop_assert_eq!(read, expected(&files, &links));
        }
    }
}
