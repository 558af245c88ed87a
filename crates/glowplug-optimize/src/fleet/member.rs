//! A built function as a member of the fleet: its tree, its decisions, and which distributions it has.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::{Cache, Progress, Result, format_hex};
use glowplug_function::Function;
use glowplug_layers::{Part, tangles};
use glowplug_package::{FileEntry, PackageTree, normalise_name};
use glowplug_trace::Phase;
use rayon::prelude::*;
use serde_json_path::JsonPath;
use sha2::{Digest, Sha256};

use crate::explore::{loaded, observe_event};
use crate::folders::materialise;
use crate::mask::parse_ignores;
use crate::options::{BuildOptions, PlanSource};
use crate::plan::{Draft, draft};
use crate::setup::Setup;
use crate::subject::Subject;
use crate::variant::{Recipe, replaced_by_ours};

/// What an installer notes about itself: who asked for a distribution differs from function to function.
const REQUESTED: &str = "REQUESTED";

/// A function between its own build and its sharing.
pub(crate) struct Member<'a> {
    pub(crate) subject: Subject<'a>,
    pub(crate) draft: Draft,
    /// What its own build has decided and proved.
    pub(crate) recipe: Recipe,
    pub(crate) shipped: Utf8PathBuf,
    pub(crate) before: Utf8PathBuf,
    pub(crate) ignore: Vec<JsonPath>,
    /// The distributions that may be shared → their index in the tree.
    pub(crate) has: BTreeMap<Named, usize>,
    /// Those among them, by index, that have to stay in the zip.
    pub(crate) stays: BTreeSet<usize>,
    /// Sets of them that have to stay together.
    pub(crate) tangles: Vec<BTreeSet<usize>>,
    /// Those that a first response needs.
    pub(crate) hot: BTreeSet<usize>,
    /// Bytes of its own layers, unpacked.
    pub(crate) layers_unzipped: u64,
}

/// One version of a distribution, by which functions find that they have the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) digest: String,
}

impl<'a> Member<'a> {
    /// Prepares a function anew from the plan of its build.
    pub(crate) fn prepare(
        function: &'a Function,
        requested_python: Option<&str>,
        options: &BuildOptions,
        plan: Utf8PathBuf,
        cache: &Cache,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let subject = Subject::prepare(function, requested_python, cache, progress)?;
        let shipped = materialise(&subject, &Recipe::default(), "shipped")?;
        let before = materialise(&subject, &Recipe::before(), "before")?;
        let options = BuildOptions { plan: PlanSource::File(plan), ..options.clone() };
        let draft = draft(&subject, &options, &before, false, progress)?;
        let mut recipe = draft.recipe.clone();
        recipe.lazy = subject.candidates.effective(&recipe.lazy);
        let mut member = Self {
            ignore: parse_ignores(&function.verify.ignore)?,
            subject,
            draft,
            recipe,
            shipped,
            before,
            has: BTreeMap::new(),
            stays: BTreeSet::new(),
            tangles: Vec::new(),
            hot: BTreeSet::new(),
            layers_unzipped: 0,
        };
        member.find_distributions()?;
        member.find_tangles()?;
        member.hot = member.subject.ground.guarded(progress, || {
            let _setup = Setup::start(function, progress)?;
            member.find_hot()
        })?;
        Ok(member)
    }

    fn package(&self) -> &PackageTree {
        &self.subject.ground.package
    }

    /// Files of a distribution that can ship, those that its own build has left out included.
    pub(crate) fn files_of(&self, distribution: usize) -> impl Iterator<Item = &FileEntry> {
        self.package()
            .files
            .iter()
            .filter(move |file| file.distribution == Some(distribution))
            .filter(|file| !replaced_by_ours(&file.path, &self.subject) && !is_request(&file.path))
    }

    /// A distribution is needed where more than its metadata is left of it.
    fn find_distributions(&mut self) -> Result<()> {
        let mut found: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (index, distribution) in self.package().distributions.iter().enumerate() {
            let code = self.files_of(index).filter(|file| !file.path.starts_with(&distribution.dist_info));
            let mut left = code.filter(|file| !self.recipe.dropped.contains_key(&file.path));
            if left.next().is_some() {
                found.entry(normalise_name(&distribution.name)).or_default().push(index);
            }
        }
        // Two installations of one name cannot be told apart by others: they stay what they are.
        let single = found.into_iter().filter_map(|(name, all)| match all.as_slice() {
            [only] => Some((name, *only)),
            _ => None,
        });
        let mut has = BTreeMap::new();
        for (name, index) in single {
            let version = self.package().distributions[index].version.clone();
            has.insert(Named { name, version, digest: self.digest(index)? }, index);
        }
        self.has = has;
        Ok(())
    }

    /// SHA-256 over what a layer would hold of it, and for whom.
    fn digest(&self, distribution: usize) -> Result<String> {
        let function = self.subject.ground.function;
        let files: Vec<&FileEntry> = self.files_of(distribution).collect();
        let parts: Vec<Vec<u8>> = files
            .par_iter()
            .map(|file| {
                let content = match &file.symlink {
                    Some(target) => target.as_str().as_bytes().to_vec(),
                    None => self.content(file)?,
                };
                let head = format!("{:?} {} {}\n", file.path, file.executable, file.symlink.is_some());
                Ok([head.as_bytes(), Sha256::digest(content).as_slice()].concat())
            })
            .collect::<Result<_>>()?;
        let mut hasher = Sha256::new();
        hasher.update(format!("{} {}\n", function.python, function.architecture));
        for part in &parts {
            hasher.update(part);
        }
        Ok(format_hex(&hasher.finalize()))
    }

    /// The bytes of a file, without what tells who asked for the distribution.
    pub(crate) fn content(&self, file: &FileEntry) -> Result<Vec<u8>> {
        let bytes = fs::read(self.package().root.join(&file.path))?;
        Ok(match is_record(&file.path).then(|| std::str::from_utf8(&bytes).ok()).flatten() {
            Some(text) => without_request(text).into_bytes(),
            None => bytes,
        })
    }

    /// What cannot be told apart by `sys.path`: from the function's own files, from those of its own layers, or from
    /// each other.
    fn find_tangles(&mut self) -> Result<()> {
        let package = self.package();
        let mut own = Part::default();
        let mut parts: Vec<Part> = vec![Part::default(); package.distributions.len()];
        for file in &package.files {
            match file.distribution {
                Some(index) => parts[index].files.insert(file.path.clone()),
                None => own.files.insert(file.path.clone()),
            };
        }
        own.files.insert(Utf8PathBuf::from(format!("{}.py", self.subject.support)));
        let mut unzipped = 0;
        let site = format!("python/lib/python{}/site-packages", self.subject.ground.function.python);
        for layer in &self.subject.ground.tree.layers {
            let tree = PackageTree::scan(layer)?;
            unzipped += tree.total_bytes();
            for place in [site.as_str(), "python"] {
                let within = tree.files.iter().filter_map(|file| file.path.strip_prefix(place).ok());
                own.files.extend(within.map(Utf8Path::to_owned));
            }
        }
        parts.push(own);
        let last = parts.len() - 1;
        let shared: BTreeSet<usize> = self.has.values().copied().collect();
        for set in tangles(&parts) {
            // What is tangled with what cannot be shared cannot be shared either.
            if set.contains(&last) || !set.is_subset(&shared) {
                self.stays.extend(set.intersection(&shared));
            } else {
                self.tangles.push(set);
            }
        }
        self.layers_unzipped = unzipped;
        Ok(())
    }

    /// Which distributions some event's first response needs, as its own build has it.
    fn find_hot(&self) -> Result<BTreeSet<usize>> {
        let ground = &self.subject.ground;
        if !ground.runs_here() {
            return Ok(BTreeSet::new());
        }
        let after = materialise(&self.subject, &self.recipe, "after")?;
        let mut hot = BTreeSet::new();
        for event in 0..ground.events.len() {
            for module in loaded(&observe_event(&self.subject, &after, event)?, Phase::FirstInvoke) {
                let file =
                    self.subject.modules.get(&module).and_then(|module| ground.package.file(&module.path));
                hot.extend(file.and_then(|file| file.distribution));
            }
        }
        Ok(hot)
    }
}

fn is_metadata(path: &Utf8Path, name: &str) -> bool {
    path.file_name() == Some(name)
        && path.parent().is_some_and(|folder| folder.extension() == Some("dist-info"))
}

fn is_request(path: &Utf8Path) -> bool {
    is_metadata(path, REQUESTED)
}

pub(crate) fn is_record(path: &Utf8Path) -> bool {
    is_metadata(path, "RECORD")
}

fn without_request(record: &str) -> String {
    let told = |line: &&str| {
        !line.split(',').next().is_some_and(|path| path.ends_with(&format!(".dist-info/{REQUESTED}")))
    };
    record.split_inclusive('\n').filter(told).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asked_for_a_distribution_is_not_part_of_it() {
        let record = "x.py,sha256=a,1\nx-1.dist-info/REQUESTED,sha256=b,0\nx-1.dist-info/RECORD,,\n";
        assert_eq!(without_request(record), "x.py,sha256=a,1\nx-1.dist-info/RECORD,,\n");
        assert!(is_record(Utf8Path::new("x-1.dist-info/RECORD")) && !is_record(Utf8Path::new("x/RECORD")));
    }
}
