//! What the level `reachable` of trimming goes by: the modules that something leads to which starts at the user's own.
//!
//! It reads, and starts nothing; what traced starts add is in `touched`. Reachability errs on the side of keeping. A
//! module leads to what it imports anywhere (for the type checker alone apart), to every module that one of its texts
//! names, to all of a package where it imports by a name that is put together, or lists modules. A native module leads
//! to its neighbours and to every name in its bytes.

use std::collections::{BTreeMap, BTreeSet};

use aho_corasick::AhoCorasick;
use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use rayon::prelude::*;

use glowplug_core::{Error, Result};
use glowplug_imports::{ModuleAnalysis, Names};
use glowplug_package::Reached;

use crate::code::Code;

/// Groups of entry points that only installers read.
const SCRIPTS: [&str; 2] = ["console_scripts", "gui_scripts"];
/// Modules that the interpreter asks for by itself.
const ASKED_AT_START: [&str; 2] = ["sitecustomize", "usercustomize"];

impl Code<'_> {
    /// Everything that the `starts`, the user's own modules and kept files lead to; `touched` goes into the answer as it
    /// is.
    ///
    /// # Errors
    /// Input: a pattern that is no glob. Surroundings: a file that cannot be read.
    pub fn reachable(&self, starts: BTreeSet<String>, touched: BTreeSet<Utf8PathBuf>) -> Result<Reached> {
        let mut roots = self.roots()?;
        roots.extend(starts);
        let (modules, names) = walk(&World::new(*self)?, roots)?;
        Ok(Reached { modules, names, touched })
    }

    /// What stays in any case.
    pub(crate) fn roots(&self) -> Result<BTreeSet<String>> {
        let mut roots = self.kept()?;
        roots.extend(ASKED_AT_START.map(str::to_owned));
        Ok(roots)
    }

    /// Those that are modules of the tree, and the packages around them.
    pub(crate) fn with_packages(&self, modules: &BTreeSet<String>) -> BTreeSet<String> {
        modules
            .iter()
            .flat_map(|module| packages_around(module))
            .filter(|module| self.modules.contains_key(*module))
            .map(str::to_owned)
            .collect()
    }

    /// What a module's source names, `None` where it has none that parses.
    pub(crate) fn names_of(&self, module: &str) -> Option<Names> {
        let file = self.modules.get(module).filter(|file| !file.native)?;
        let source = fs::read_to_string(self.package.root.join(&file.path)).ok()?;
        glowplug_imports::names(&source)
    }
}

/// The modules that the roots lead to, and the texts in them that may name files.
fn walk(world: &World, roots: BTreeSet<String>) -> Result<(BTreeSet<String>, BTreeSet<String>)> {
    let mut found: BTreeSet<String> = BTreeSet::new();
    let mut names: BTreeSet<String> = BTreeSet::new();
    let mut queue: Vec<String> = roots.into_iter().collect();
    loop {
        let new: Vec<String> = world
            .code
            .with_packages(&queue.drain(..).collect())
            .into_iter()
            .filter(|name| found.insert(name.clone()))
            .collect();
        if new.is_empty() {
            let hooked = world.entry_points(&names);
            queue.extend(hooked.into_iter().filter(|module| !found.contains(module)));
            if queue.is_empty() {
                break;
            }
            continue;
        }
        let leads: Vec<Leads> = new.par_iter().map(|name| world.leads(name)).collect::<Result<_>>()?;
        for lead in leads {
            queue.extend(lead.modules.into_iter().filter(|module| !found.contains(module)));
            names.extend(lead.names);
        }
    }
    Ok((found, names))
}

/// `a`, `a.b` and `a.b.c` of `a.b.c`.
fn packages_around(module: &str) -> impl Iterator<Item = &str> {
    module.match_indices('.').map(|(at, _)| &module[..at]).chain([module])
}

/// What one module leads to.
#[derive(Default)]
struct Leads {
    modules: BTreeSet<String>,
    names: BTreeSet<String>,
}

/// The modules of a tree, by what finds them.
struct World<'a> {
    code: Code<'a>,
    /// Package → modules directly in it.
    children: BTreeMap<&'a str, Vec<&'a str>>,
    /// Finds the names of modules in bytes, those without a dot apart.
    dotted: AhoCorasick,
    dotted_names: Vec<&'a str>,
    /// Group of entry points → modules.
    entry_points: BTreeMap<String, BTreeSet<String>>,
}

impl<'a> World<'a> {
    fn new(code: Code<'a>) -> Result<Self> {
        let mut children: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for name in code.modules.keys() {
            if let Some((package, _)) = name.rsplit_once('.') {
                children.entry(package).or_default().push(name);
            }
        }
        let dotted_names: Vec<&str> =
            code.modules.keys().filter(|name| name.contains('.')).map(String::as_str).collect();
        let dotted = AhoCorasick::builder()
            .match_kind(aho_corasick::MatchKind::Standard)
            .build(&dotted_names)
            .map_err(|error| Error::defect("the names of modules cannot be searched for").cause(error))?;
        let entry_points = entry_points(code)?;
        Ok(Self { code, children, dotted, dotted_names, entry_points })
    }

    fn leads(&self, module: &str) -> Result<Leads> {
        let Some(file) = self.code.modules.get(module) else { return Ok(Leads::default()) };
        if file.native {
            return self.native(module, &file.path);
        }
        let mut leads = Leads::default();
        if let Some(analysis) = self.code.analyses.get(module) {
            self.imports(analysis, &mut leads.modules);
        }
        // A source that does not parse is imported by nobody.
        if let Some(names) = self.code.names_of(module) {
            self.texts(module, file.is_package, &names, &mut leads.modules);
            leads.names = file_names(&names).collect();
        }
        Ok(leads)
    }

    fn imports(&self, analysis: &ModuleAnalysis, found: &mut BTreeSet<String>) {
        for import in analysis.imports.iter().filter(|import| !import.typing_only) {
            found.insert(import.module.clone());
            found.extend(import.names.iter().map(|name| format!("{}.{name}", import.module)));
            if import.star {
                let exported = self.code.analyses.get(&import.module).and_then(|m| m.exports.as_ref());
                found.extend(exported.into_iter().flatten().map(|name| format!("{}.{name}", import.module)));
            }
        }
        found.extend(analysis.dynamic_imports.iter().map(|(_, module)| module.clone()));
        found.extend(
            analysis.attribute_paths.iter().flat_map(|path| packages_around(path)).map(str::to_owned),
        );
    }

    fn texts(&self, module: &str, is_package: bool, names: &Names, found: &mut BTreeSet<String>) {
        let package =
            if is_package { module } else { module.rsplit_once('.').map_or("", |(package, _)| package) };
        for text in &names.texts {
            // `pkg.module:function` and `pkg.module.Class` name modules too.
            found.extend(packages_around(text).map(str::to_owned));
            if let Some(relative) = relative(package, text) {
                found.insert(relative);
            }
            if names.imports_by_text && !package.is_empty() {
                found.insert(format!("{package}.{text}"));
            }
        }
        let stems: Vec<&str> = names
            .stems
            .iter()
            .map(|stem| stem.trim_end_matches('.'))
            .filter(|stem| self.children.contains_key(stem))
            .collect();
        if names.imports_by_text {
            for stem in &stems {
                found.extend(self.children[stem].iter().map(|name| (*name).to_owned()));
            }
        }
        if names.lists_modules || (names.imports_by_text && stems.is_empty()) {
            self.all_below(package, found);
        }
    }

    fn all_below(&self, package: &str, found: &mut BTreeSet<String>) {
        let mut queue: Vec<&str> = vec![package];
        while let Some(next) = queue.pop() {
            for child in self.children.get(next).into_iter().flatten() {
                if !is_test(child) && found.insert((*child).to_owned()) {
                    queue.push(child);
                }
            }
        }
    }

    fn native(&self, module: &str, path: &Utf8Path) -> Result<Leads> {
        let mut leads = Leads::default();
        let bytes = fs::read(self.code.package.root.join(path))?;
        let hits = self.dotted.find_overlapping_iter(&bytes);
        leads.modules.extend(hits.map(|hit| self.dotted_names[hit.pattern().as_usize()].to_owned()));
        if let Some((package, _)) = module.rsplit_once('.') {
            let neighbours = self.children.get(package).into_iter().flatten();
            leads.modules.extend(neighbours.filter(|name| !is_test(name)).map(|name| (*name).to_owned()));
        }
        Ok(leads)
    }

    /// Modules of entry points whose groups are among the texts.
    fn entry_points(&self, texts: &BTreeSet<String>) -> BTreeSet<String> {
        let asked = self.entry_points.iter().filter(|(group, _)| texts.contains(*group));
        asked.flat_map(|(_, modules)| modules).cloned().collect()
    }
}

/// Modules that only a test runner looks for.
fn is_test(module: &str) -> bool {
    let last = module.rsplit('.').next().unwrap_or_default();
    matches!(last, "tests" | "test" | "conftest") || last.starts_with("test_")
}

/// The module that `.name` or `..name` stands for in a package.
fn relative(package: &str, text: &str) -> Option<String> {
    let rest = text.trim_start_matches('.');
    let dots = text.len() - rest.len();
    if dots == 0 || rest.is_empty() {
        return None;
    }
    let mut base = package;
    for _ in 1..dots {
        base = base.rsplit_once('.')?.0;
    }
    Some(format!("{base}.{rest}"))
}

/// Texts that could name files: whole, and what stands behind the last slash.
pub(crate) fn file_names(names: &Names) -> impl Iterator<Item = String> + use<> {
    let last = |text: &String| text.rsplit_once('/').map(|(_, last)| last.to_owned());
    let texts: BTreeSet<String> =
        names.texts.iter().flat_map(|t| [Some(t.clone()), last(t)]).flatten().collect();
    texts.into_iter()
}

/// Modules that distributions offer as plug-ins, by group.
fn entry_points(code: Code) -> Result<BTreeMap<String, BTreeSet<String>>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for distribution in &code.package.distributions {
        let path = code.package.root.join(&distribution.dist_info).join("entry_points.txt");
        if !path.is_file() {
            continue;
        }
        let text = String::from_utf8_lossy(&fs::read(&path)?).into_owned();
        let mut group = String::new();
        for line in text.lines().map(str::trim) {
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                name.trim().clone_into(&mut group);
            } else if let Some((_, target)) = line.split_once('=')
                && !SCRIPTS.contains(&group.as_str())
            {
                let module = target.split([':', '[']).next().unwrap_or_default().trim();
                found.entry(group.clone()).or_default().insert(module.to_owned());
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_names_are_resolved_as_import_module_does() {
        assert_eq!(relative("a.b", ".c").as_deref(), Some("a.b.c"));
        assert_eq!(relative("a.b", "..c.d").as_deref(), Some("a.c.d"));
        assert_eq!(relative("a", "..c"), None);
        assert_eq!(relative("a", "c"), None);
        assert_eq!(relative("a", "..."), None);
    }

    #[test]
    fn packages_stand_before_what_is_in_them() {
        assert_eq!(packages_around("a.b.c").collect::<Vec<_>>(), ["a", "a.b", "a.b.c"]);
        assert_eq!(packages_around("a").collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn tests_are_known_by_their_names() {
        assert!(is_test("a.tests") && is_test("a.test_b") && is_test("conftest"));
        assert!(!is_test("a.testing") && !is_test("a.latest"));
    }
}
