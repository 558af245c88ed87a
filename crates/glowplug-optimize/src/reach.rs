//! What the level `reachable` of trimming goes by: the modules that something leads to which starts at the user's own.
//!
//! It reads, and starts nothing; what traced starts add is in `touched`. Reachability errs on the side of keeping. A
//! module leads to what it imports anywhere (for the type checker alone apart), to every module that one of its texts
//! names, to all of a package where it imports by a name that is put together, or lists modules, to those of any package
//! whose names end as it says, and to those of a
//! package that loads its modules on request which have the name of an attribute that it reads. A native module leads to
//! its neighbours, to every name in its bytes, to what its source names where that lies beside it, to native modules at the
//! root of its distribution, and to what that requires. The user's other files, pickles
//! and settings, lead to what they name.

use std::collections::{BTreeMap, BTreeSet};

use aho_corasick::AhoCorasick;
use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use rayon::prelude::*;

use glowplug_core::{Error, PythonVersion, Result};
use glowplug_imports::{ModuleAnalysis, ModuleId, Names};
use glowplug_package::{Distribution, FileEntry, FileKind, ModuleFile, PackageTree, Reached, normalise_name};

use crate::code::Code;
use crate::doctor::metadata;

/// Groups of entry points that installers make programs of.
const SCRIPTS: [&str; 2] = ["console_scripts", "gui_scripts"];
/// Modules that the interpreter asks for by itself.
const ASKED_AT_START: [&str; 2] = ["sitecustomize", "usercustomize"];

/// Files beyond this many bytes are not looked into for names of modules.
const LARGEST: u64 = 64 << 20;
/// Endings of settings and pickles, which may name modules.
const NAMING: [&str; 9] = ["cfg", "conf", "ini", "json", "pickle", "pkl", "toml", "yaml", "yml"];

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

    /// Whether a package's own `__getattr__` imports.
    fn imports_on_request(&self, package: &str) -> bool {
        let Some(file) = self.modules.get(package).filter(|file| !file.native) else { return false };
        let source = fs::read(self.package.root.join(&file.path)).unwrap_or_default();
        let source = glowplug_imports::decoded(source);
        source.contains("__getattr__")
            && glowplug_imports::names(&source).is_some_and(|names| names.imports_on_request)
    }

    /// The imports of a module that the analysis has left out: those in its source.
    fn analysed(&self, module: &str) -> Option<ModuleAnalysis> {
        let file = self.modules.get(module)?;
        let path = source_of(file)?;
        let source = glowplug_imports::decoded(fs::read(self.package.root.join(&path)).ok()?);
        let id = ModuleId { name: module.to_owned(), is_package: file.is_package, path };
        // Which names are imported does not depend on the version.
        glowplug_imports::analyse(&source, &id, PythonVersion::new(3, 12)).ok()
    }

    /// What a module's source names, `None` where it has none that parses.
    pub(crate) fn names_of(&self, module: &str) -> Option<Names> {
        let path = source_of(self.modules.get(module)?)?;
        let source = fs::read(self.package.root.join(path)).ok()?;
        glowplug_imports::names(&glowplug_imports::decoded(source))
    }
}

/// The modules that the roots lead to, and the texts in them that may name files.
fn walk(world: &World, roots: BTreeSet<String>) -> Result<(BTreeSet<String>, BTreeSet<String>)> {
    let mut found: BTreeSet<String> = BTreeSet::new();
    let mut names: BTreeSet<String> = BTreeSet::new();
    let mut tails: BTreeSet<String> = BTreeSet::new();
    let mut any_group = false;
    let mut queue: Vec<String> = roots.into_iter().collect();
    queue.extend(world.user_data()?);
    loop {
        let new: Vec<String> = world
            .code
            .with_packages(&queue.drain(..).collect())
            .into_iter()
            .filter(|name| found.insert(name.clone()))
            .collect();
        if new.is_empty() {
            let is_new =
                |module: &&String| world.code.modules.contains_key(*module) && !found.contains(*module);
            queue.extend(world.entry_points(&names, any_group).filter(is_new).cloned());
            queue.extend(world.tailed(&found, &tails).filter(|module| !found.contains(module)));
            if queue.is_empty() {
                break;
            }
            continue;
        }
        let leads: Vec<Leads> = new.par_iter().map(|name| world.leads(name)).collect::<Result<_>>()?;
        for lead in leads {
            queue.extend(lead.modules.into_iter().filter(|module| !found.contains(module)));
            names.extend(lead.names);
            tails.extend(lead.tails);
            any_group |= lead.any_group;
        }
    }
    Ok((found, names))
}

/// Where a module's source is. A native module's is beside it, if it is there: what Cython and mypyc have compiled.
fn source_of(file: &ModuleFile) -> Option<Utf8PathBuf> {
    if !file.native {
        return Some(file.path.clone());
    }
    let (stem, _) = file.path.file_name()?.split_once('.')?;
    Some(file.path.with_file_name(format!("{stem}.py")))
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
    /// Ends of names of modules that it imports, from a dot on.
    tails: BTreeSet<String>,
    /// Whether it looks for plug-ins of a group that no text is.
    any_group: bool,
}

/// The modules of a tree, by what finds them.
struct World<'a> {
    code: Code<'a>,
    /// Package → modules directly in it.
    children: BTreeMap<&'a str, Vec<&'a str>>,
    /// Finds the names of modules in bytes, those without a dot apart.
    dotted: AhoCorasick,
    dotted_names: Vec<&'a str>,
    /// Packages that import what is asked of them, in their own `__getattr__`.
    on_request: BTreeSet<&'a str>,
    /// Group of entry points → modules.
    entry_points: BTreeMap<String, BTreeSet<String>>,
    /// Package → files in it that may name modules.
    data: BTreeMap<&'a str, Vec<&'a Utf8Path>>,
    /// By distribution, what those that it requires have at the root.
    required: Vec<BTreeSet<&'a str>>,
    /// By distribution, what its native files at the root are, or lead to where they are no modules: mypyc keeps the code of
    /// several modules in one, whose name need be none that a statement can import.
    native_roots: BTreeMap<usize, BTreeSet<String>>,
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
        let packages: Vec<&str> = children.keys().copied().collect();
        let on_request = packages.into_par_iter().filter(|name| code.imports_on_request(name)).collect();
        let data = naming_data(code);
        let required = required(code.package);
        let native_roots = BTreeMap::new();
        let mut world = Self {
            code,
            children,
            dotted,
            dotted_names,
            on_request,
            entry_points,
            data,
            required,
            native_roots,
        };
        world.native_roots = world.find_native_roots()?;
        Ok(world)
    }

    fn leads(&self, module: &str) -> Result<Leads> {
        let Some(file) = self.code.modules.get(module) else { return Ok(Leads::default()) };
        let mut leads = if file.native { self.native(module, &file.path)? } else { Leads::default() };
        let mut imported = BTreeSet::new();
        match self.code.analyses.get(module) {
            Some(analysis) => self.imports(analysis, &mut imported),
            // What is in another encoding is edited nowhere, but it imports.
            None => {
                if let Some(analysis) = self.code.analysed(module) {
                    self.imports(&analysis, &mut imported);
                }
            }
        }
        // A source that does not parse is imported by nobody.
        if let Some(names) = self.code.names_of(module) {
            self.texts(module, file.is_package, &names, &mut leads.modules);
            // `__import__("pkg", fromlist=["name"])`
            let literal = self.code.analyses.get(module).map(|analysis| &analysis.dynamic_imports);
            for (_, target) in literal.into_iter().flatten() {
                leads.modules.extend(names.texts.iter().map(|text| format!("{target}.{text}")));
            }
            self.requests(&imported, &names, &mut leads.modules);
            if names.lists_modules {
                imported
                    .iter()
                    .chain(&names.texts)
                    .for_each(|package| self.all_below(package, &mut leads.modules));
            }
            leads.any_group = names.asks_any_group;
            leads.names = file_names(&names).collect();
            if names.imports_by_text {
                leads.tails = names.tails;
            }
        }
        leads.modules.extend(imported);
        for path in self.data.get(module).into_iter().flatten() {
            leads.modules.extend(self.named_in(&fs::read(self.code.package.root.join(path))?));
        }
        Ok(leads)
    }

    fn imports(&self, analysis: &ModuleAnalysis, found: &mut BTreeSet<String>) {
        for import in analysis.imports.iter().filter(|import| !import.typing_only) {
            found.insert(import.module.clone());
            found.extend(import.names.iter().map(|name| format!("{}.{name}", import.module)));
            if import.star {
                let target = self.code.analyses.get(&import.module);
                let exported = target.and_then(|m| m.exports.as_ref());
                found.extend(exported.into_iter().flatten().map(|name| format!("{}.{name}", import.module)));
                if target.is_some_and(|m| m.dynamic_exports) {
                    let children = self.children.get(import.module.as_str()).into_iter().flatten();
                    found.extend(children.map(|name| (*name).to_owned()));
                }
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
            if names.runs_modules {
                found.insert(format!("{text}.__main__"));
            }
            if let Some(relative) = relative(package, text) {
                found.insert(relative);
            }
            if names.imports_by_text && !package.is_empty() {
                found.insert(format!("{package}.{text}"));
            }
        }
        // `_where = {"Name": "module"}`, in a package or given to whoever makes its `__getattr__`.
        if (is_package || names.imports_on_request) && !package.is_empty() {
            found.extend(names.mapped.iter().map(|text| format!("{package}.{text}")));
        }
        let stems: Vec<&str> = names
            .stems
            .iter()
            .map(|stem| stem.trim_end_matches('.'))
            .filter(|stem| self.children.contains_key(stem))
            .collect();
        if names.imports_by_text {
            for stem in &stems {
                let children = self.children[stem].iter().filter(|name| !is_test(name));
                found.extend(children.map(|name| (*name).to_owned()));
            }
        }
        if names.lists_modules || names.imports_anything || (names.imports_by_text && stems.is_empty()) {
            self.all_below(package, found);
        }
    }

    /// What the packages among `imported` that import on request may be asked for.
    fn requests(&self, imported: &BTreeSet<String>, names: &Names, found: &mut BTreeSet<String>) {
        let mut queue: Vec<&str> = imported
            .iter()
            .flat_map(|name| packages_around(name))
            .filter(|name| self.on_request.contains(name))
            .collect();
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        while let Some(package) = queue.pop() {
            if !seen.insert(package) {
                continue;
            }
            for child in &self.children[package] {
                let last = child.rsplit('.').next().unwrap_or_default();
                if names.attributes.contains(last) || names.texts.contains(last) {
                    found.insert((*child).to_owned());
                    queue.extend(self.on_request.get(child));
                }
            }
        }
    }

    fn all_below(&self, package: &str, found: &mut BTreeSet<String>) {
        let mut queue: Vec<&str> = vec![package];
        while let Some(next) = queue.pop() {
            let children = self.children.get(next).into_iter().flatten().filter(|child| !is_test(child));
            for child in children {
                // What was found by another way may still hide more.
                found.insert((*child).to_owned());
                queue.push(child);
            }
        }
    }

    fn native(&self, module: &str, path: &Utf8Path) -> Result<Leads> {
        let mut modules = self.named_in(&fs::read(self.code.package.root.join(path))?);
        if let Some((package, _)) = module.rsplit_once('.') {
            let neighbours = self.children.get(package).into_iter().flatten();
            modules.extend(neighbours.filter(|name| !is_test(name)).map(|name| (*name).to_owned()));
        }
        // A name without a dot could be anything in the bytes, and Cython may compress its texts.
        if let Some(index) = self.code.package.file(path).and_then(|file| file.distribution) {
            modules.extend(self.required[index].iter().map(|name| (*name).to_owned()));
            modules.extend(self.native_roots.get(&index).into_iter().flatten().cloned());
        }
        Ok(Leads { modules, ..Leads::default() })
    }

    fn find_native_roots(&self) -> Result<BTreeMap<usize, BTreeSet<String>>> {
        let mut found: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
        let at_root = |file: &&FileEntry| {
            file.path.extension() == Some("so") && file.path.parent().is_none_or(|folder| folder == "")
        };
        for file in self.code.package.files.iter().filter(at_root) {
            let Some(index) = file.distribution else { continue };
            let name = file.name().split('.').next().unwrap_or_default();
            let leads = if self.code.modules.contains_key(name) {
                BTreeSet::from([name.to_owned()])
            } else {
                self.named_in(&fs::read(self.code.package.root.join(&file.path))?)
            };
            found.entry(index).or_default().extend(leads);
        }
        Ok(found)
    }

    /// The modules whose names are among the bytes, those without a dot apart.
    fn named_in(&self, bytes: &[u8]) -> BTreeSet<String> {
        let hits = self.dotted.find_overlapping_iter(bytes);
        hits.map(|hit| self.dotted_names[hit.pattern().as_usize()].to_owned()).collect()
    }

    /// What the user's files that are no modules name: pickles, settings of loggers, lists of plug-ins.
    fn user_data(&self) -> Result<BTreeSet<String>> {
        let is_data = |path: &&Utf8PathBuf| !matches!(path.extension(), Some("py" | "pyc" | "so"));
        let files: Vec<&Utf8PathBuf> = self.code.user_files.iter().filter(is_data).collect();
        let named: Vec<BTreeSet<String>> = files
            .into_par_iter()
            .map(|path| {
                let path = self.code.package.root.join(path);
                let small =
                    fs::symlink_metadata(&path).is_ok_and(|found| found.is_file() && found.len() <= LARGEST);
                Ok(if small { self.named_in(&fs::read(&path)?) } else { BTreeSet::new() })
            })
            .collect::<Result<_>>()?;
        Ok(named.into_iter().flatten().collect())
    }

    /// Modules of packages that were found whose names end so: `"%s.models" % package` means those.
    fn tailed(&self, found: &BTreeSet<String>, tails: &BTreeSet<String>) -> impl Iterator<Item = String> {
        let packages = found.iter().filter(|module| self.children.contains_key(module.as_str()));
        let names = packages.flat_map(|package| tails.iter().map(move |tail| format!("{package}{tail}")));
        names.filter(|name| self.code.modules.contains_key(name))
    }

    /// Modules of entry points whose groups are among the texts, or of all groups.
    fn entry_points(&self, texts: &BTreeSet<String>, all: bool) -> impl Iterator<Item = &String> {
        let asked = self.entry_points.iter().filter(move |(group, _)| {
            // Who asks for any group wants plug-ins; for scripts, who names theirs.
            texts.contains(*group) || (all && !SCRIPTS.contains(&group.as_str()))
        });
        asked.flat_map(|(_, modules)| modules)
    }
}

/// Settings and pickles of distributions, by the package that they lie in.
fn naming_data(code: Code<'_>) -> BTreeMap<&str, Vec<&Utf8Path>> {
    let packages: BTreeMap<&Utf8Path, &str> = code
        .modules
        .iter()
        .filter(|(_, file)| file.is_package)
        .filter_map(|(name, file)| Some((file.path.parent()?, name.as_str())))
        .collect();
    let mut found: BTreeMap<&str, Vec<&Utf8Path>> = BTreeMap::new();
    let naming = |file: &&FileEntry| {
        let settings = file.path.extension().is_some_and(|ending| NAMING.contains(&ending));
        settings && file.kind == FileKind::Data && file.symlink.is_none() && file.bytes <= LARGEST
    };
    for file in code.package.files.iter().filter(naming) {
        if let Some(package) = file.path.ancestors().skip(1).find_map(|folder| packages.get(folder)) {
            found.entry(package).or_default().push(&file.path);
        }
    }
    found
}

/// By distribution, the names at the root of those that it requires.
fn required(package: &PackageTree) -> Vec<BTreeSet<&str>> {
    let mut by_name: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for distribution in &package.distributions {
        let names = distribution.top_level.iter().map(String::as_str);
        by_name.entry(normalise_name(&distribution.name)).or_default().extend(names);
    }
    let required = |distribution: &Distribution| {
        let (required, _) = metadata::read(&package.root.join(&distribution.dist_info));
        required.iter().filter_map(|name| by_name.get(name)).flatten().copied().collect()
    };
    package.distributions.iter().map(required).collect()
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
            } else if let Some((_, target)) = line.split_once('=') {
                let module = target.split([':', '[']).next().unwrap_or_default().trim();
                found.entry(group.clone()).or_default().insert(module.to_owned());
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
