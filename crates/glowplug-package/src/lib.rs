//! The package tree and what becomes of it: which distribution owns which file, the rules that
//! leave files out, the bytecode that is added, the zip that ships.
//!
//! Data flows one way: [`PackageTree::scan`] reads a folder laid out as Lambda's `/var/task`;
//! [`trim`] says which files to leave out and which native libraries to shorten, each as a
//! [`glowplug_core::Decision`]; [`Compiler`] makes bytecode with the target's own interpreter;
//! [`write_zip`] packs it all into bytes that depend on nothing but the contents;
//! [`verify_bytecode`] asks the interpreter whether it would load that bytecode. The tree itself
//! is never changed.

mod archive;
mod bytecode;
mod deflate;
mod distribution;
mod entry;
mod http_entry;
mod limits;
mod modules;
mod survey;
mod tree;
mod trim;
mod unpack;

pub use archive::{ArchiveEntry, Contents, ZipSummary, Zipper, write_zip, zip_size};
pub use bytecode::{
    BytecodeFault, COMPILER_SOURCE, CompileJob, CompileResult, Compiler, FailureKind, bytecode_path,
    silent_sources, verify_bytecode,
};
pub use deflate::Effort;
pub use distribution::{Distribution, normalise_name, recorded_paths, source_of_bytecode};
pub use http_entry::HTTP_ENTRY_SOURCE;
pub use limits::{DIRECT_UPLOAD_LIMIT, UNZIPPED_LIMIT, Weight, check_limits, weigh};
pub use modules::ModuleFile;
pub use tree::{FileEntry, FileKind, PackageTree};
pub use trim::{
    DUPLICATES, NativeNeeds, RULES, Reached, Rule, Trim, TrimContext, TrimLevel, goes_by_evidence,
    imported_by_kept, kept_by_pattern, links, rule_sentence, symbol_bytes, trim,
};
pub use unpack::{Unpacked, open_zip, unpack};
