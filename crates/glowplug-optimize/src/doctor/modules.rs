//! The modules of all folders: what they import, from which distribution it comes, and how the user's own use it.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::{Cache, PythonVersion, Result};
use glowplug_doctor::{Distribution, Link, OwnModule};
use glowplug_imports::{EffectKind, Import, ModuleAnalysis, sites};
use glowplug_package::ModuleFile;

use super::distributions::Distributions;
use super::prepare::{Folder, Prepared};
use crate::summaries::summaries;

/// Words by which a line tells checkers to leave it alone.
const EXCUSES: [&str; 3] = ["noqa", "pylint: disable", "isort:skip"];
/// Files of the user's own in which names of modules may stand, beside sources.
const TEXTS: [&str; 7] = ["json", "yaml", "yml", "toml", "ini", "cfg", "env"];
/// Files that name distributions without using them.
const LISTS: [&str; 7] =
    ["pyproject.toml", "poetry.lock", "uv.lock", "Pipfile", "setup.cfg", "glowplug.toml", "package.json"];
/// Shorter names of modules stand in texts by chance.
const SHORTEST: usize = 3;
/// Larger texts are data, in bytes.
const MOST_TEXT: u64 = 1024 * 1024;

/// What is known of one folder's modules.
pub(super) struct Known {
    pub(super) modules: BTreeMap<String, ModuleFile>,
    pub(super) analyses: BTreeMap<String, ModuleAnalysis>,
}

impl Known {
    /// Sources in UTF-8 that do not parse. Those in other encodings may all the same.
    pub(super) fn broken(&self, root: &Utf8Path) -> BTreeSet<Utf8PathBuf> {
        let unread =
            self.modules.iter().filter(|(name, file)| !file.native && !self.analyses.contains_key(*name));
        let paths = unread.map(|(_, file)| &file.path);
        paths.filter(|path| fs::read_to_string(root.join(path)).is_ok()).cloned().collect()
    }
}

/// What is known of all.
pub(super) struct Modules {
    pub(super) folders: Vec<Known>,
    /// By module: the distribution that brings it; `None` for the user's own. The first folder that has it counts.
    owners: BTreeMap<String, (usize, Option<usize>)>,
}

impl Modules {
    pub(super) fn read(
        prepared: &Prepared,
        distributions: &Distributions,
        python: PythonVersion,
        cache: &Cache,
    ) -> Result<Self> {
        let mut folders = Vec::new();
        let mut owners = BTreeMap::new();
        for (root, Folder { tree, .. }) in prepared.folders.iter().enumerate() {
            let modules = tree.modules();
            for (name, file) in &modules {
                let owner = tree.file(&file.path).and_then(|file| file.distribution);
                owners.entry(name.clone()).or_insert((root, distributions.global(root, owner)));
            }
            let analyses = summaries(tree, &modules, python, cache)?;
            folders.push(Known { modules, analyses });
        }
        Ok(Self { folders, owners })
    }

    /// The distribution of a module.
    pub(super) fn owner(&self, module: &str) -> Option<usize> {
        self.owners.get(module).and_then(|(_, owner)| *owner)
    }

    /// The distribution that an import leads to: that of the deepest module that is there.
    fn target(&self, import: &Import) -> Option<usize> {
        let deeper = import.names.iter().map(|name| format!("{}.{name}", import.module));
        let found = deeper.into_iter().find_map(|name| self.owners.get(&name));
        found.or_else(|| self.deepest(&import.module)).and_then(|(_, owner)| *owner)
    }

    fn deepest(&self, module: &str) -> Option<&(usize, Option<usize>)> {
        let mut name = module;
        loop {
            if let Some(found) = self.owners.get(name) {
                return Some(found);
            }
            name = name.rsplit_once('.')?.0;
        }
    }

    /// Import statements that lead from one distribution, or from the user's own code, to another distribution.
    pub(super) fn links(&self, prepared: &Prepared) -> Vec<Link> {
        let mut links = BTreeSet::new();
        for (root, known) in self.folders.iter().enumerate() {
            for (name, analysis) in &known.analyses {
                // A module that another folder's hides is never loaded.
                let Some((_, from)) = self.owners.get(name).filter(|(first, _)| *first == root) else {
                    continue;
                };
                let prefix = &prepared.folders[root].root.prefix;
                let is_test = is_test(&analysis.path);
                for import in analysis.imports.iter().filter(|import| !import.typing_only) {
                    let to = self.target(import).filter(|to| Some(*to) != *from);
                    links.extend(to.map(|to| Link {
                        from: *from,
                        to,
                        place: format!("{prefix}{}:{}", analysis.path, import.line),
                        is_conditional: import.conditional,
                        is_test,
                    }));
                }
                for (line, module) in &analysis.dynamic_imports {
                    let to =
                        self.deepest(module).and_then(|(_, owner)| *owner).filter(|to| Some(*to) != *from);
                    links.extend(to.map(|to| Link {
                        from: *from,
                        to,
                        place: format!("{prefix}{}:{line}", analysis.path),
                        is_conditional: true,
                        is_test,
                    }));
                }
            }
        }
        let handler = self.deepest(&prepared.handler).and_then(|(_, owner)| *owner);
        links.extend(handler.map(|to| Link {
            from: None,
            to,
            place: "the handler".to_owned(),
            is_conditional: false,
            is_test: false,
        }));
        links.into_iter().collect()
    }

    /// The user's own modules, and every word of theirs that may name a module, with where it stands.
    pub(super) fn own(&self, prepared: &Prepared) -> (Vec<OwnModule>, BTreeMap<String, String>) {
        let mut own = Vec::new();
        let mut words: BTreeMap<String, String> = BTreeMap::new();
        for text in &prepared.texts {
            note(text, "its variables or its command", &mut words);
        }
        let Some((folder, known)) = prepared.folders.first().zip(self.folders.first()) else {
            return (own, words);
        };
        for analysis in known.analyses.values().filter(|found| prepared.user_files.contains(&found.path)) {
            let source = fs::read_to_string(folder.tree.root.join(&analysis.path)).unwrap_or_default();
            let (sites, literals) = sites(&source);
            let is_test = is_test(&analysis.path);
            if !is_test {
                for text in &literals {
                    note(text, analysis.path.as_str(), &mut words);
                }
            }
            let lines = source.lines().enumerate();
            let excused = lines.filter(|(_, line)| EXCUSES.iter().any(|word| line.contains(word)));
            own.push(OwnModule {
                words: words_of(&source),
                excused: excused.map(|(index, _)| index as u32 + 1).collect(),
                is_test,
                targets: self.targets(analysis),
                acting: self.acting(analysis),
                analysis: analysis.clone(),
                sites,
            });
        }
        for path in &prepared.user_files {
            let is_text = path.extension().is_some_and(|ending| TEXTS.contains(&ending));
            let is_list = path.file_name().is_none_or(|name| LISTS.contains(&name));
            let small = folder.tree.file(path).is_some_and(|file| file.bytes <= MOST_TEXT);
            if is_text && !is_list && small {
                let text = fs::read_to_string(folder.tree.root.join(path)).unwrap_or_default();
                note(&text, path.as_str(), &mut words);
            }
        }
        (own, words)
    }

    fn targets(&self, analysis: &ModuleAnalysis) -> BTreeMap<String, usize> {
        let imports = analysis.imports.iter();
        imports.filter_map(|import| Some((import.module.clone(), self.target(import)?))).collect()
    }

    /// Modules that it imports and whose bodies change what others made, on purpose: it may import them for that.
    fn acting(&self, analysis: &ModuleAnalysis) -> BTreeSet<String> {
        let asked = analysis.imports.iter().flat_map(|import| {
            let below = import.names.iter().map(|name| format!("{}.{name}", import.module));
            below.chain([import.module.clone()]).collect::<Vec<_>>()
        });
        asked.filter(|module| self.acts(module)).collect()
    }

    fn acts(&self, module: &str) -> bool {
        let Some((root, _)) = self.owners.get(module) else { return false };
        let Some(analysis) = self.folders[*root].analyses.get(module) else { return false };
        let top = |path: &str| path.split('.').next().unwrap_or_default().to_owned();
        let harmless = |path: &str| {
            matches!(top(path).as_str(), "warnings" | "logging" | "sys" | "os" | "re" | "typing")
                || top(path) == top(module)
        };
        analysis.effects.iter().any(|effect| {
            let kind =
                matches!(effect.kind, EffectKind::Patches | EffectKind::Registers | EffectKind::Starts);
            kind && effect.aim.as_ref().is_some_and(|aim| aim.on_purpose && !harmless(&aim.path))
        })
    }
}

/// Identifiers with their lines.
fn words_of(source: &str) -> BTreeMap<String, BTreeSet<u32>> {
    let mut words: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
    for (index, line) in source.lines().enumerate() {
        for word in line.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty()) {
            words.entry(word.to_owned()).or_default().insert(index as u32 + 1);
        }
    }
    words
}

/// Notes the words of a text that may be names of modules or distributions.
fn note(text: &str, place: &str, words: &mut BTreeMap<String, String>) {
    let parts = text.split(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-')));
    for word in parts.filter(|word| word.len() >= SHORTEST) {
        words.entry(word.to_owned()).or_insert_with(|| place.to_owned());
    }
}

/// Where one of the words names a module of the distribution, or the distribution.
pub(super) fn mentioned(distribution: &Distribution, words: &BTreeMap<String, String>) -> Option<String> {
    let names = distribution.top_level.iter().chain([&distribution.name, &distribution.key]);
    names.filter(|name| name.len() >= SHORTEST).find_map(|name| words.get(name)).cloned()
}

/// Whether a module is a test, by its path.
fn is_test(path: &Utf8Path) -> bool {
    let name = path.file_stem().unwrap_or_default();
    let folder = |part: &str| matches!(part, "tests" | "test" | "_tests" | "testing_");
    let inside = path.parent().is_some_and(|parent| parent.components().any(|part| folder(part.as_str())));
    inside || name == "conftest" || name.starts_with("test_") || name.ends_with("_test")
}
