//! What the outcome of a build depends on, as one hash: where it is the same, planning, replaying and measuring again
//! would show what it has shown before.

use std::sync::OnceLock;

use camino::Utf8Path;
use fs_err as fs;
use sha2::{Digest, Sha256};

use glowplug_core::{Plan, Result, format_hex};
use glowplug_function::{Event, Function, Network, PackageConfig, VerifyConfig};

use crate::ground::Ground;
use crate::lock;
use crate::options::{BuildOptions, PlanSource};

/// Raised when what is remembered, or what it depends on, changes its form.
const FORM: &str = "1";

/// Where a plan comes from, as far as the outcome is concerned.
pub(crate) enum Planned {
    /// From traced starts.
    Profiled,
    /// From a plan that was given, in the form in which we write it.
    Given(String),
}

impl Planned {
    /// What a build with these options would do; `None` where it is told to plan anew, or where the plan cannot be
    /// read, which it will say itself.
    pub(crate) fn of(ground: &Ground, source: &PlanSource) -> Option<Self> {
        let project = lock::project_lock(&ground.function.root).filter(|path| path.is_file());
        match (source, project) {
            (PlanSource::Update, _) | (PlanSource::Locked, None) => None,
            (PlanSource::Auto, None) => Some(Self::Profiled),
            (PlanSource::File(path), _) => Self::given(&lock::read(path).ok()?),
            (PlanSource::Locked, Some(path)) => Self::given(&lock::read(&path).ok()?),
            (PlanSource::Auto, Some(path)) => {
                let plan = lock::read(&path).ok()?;
                let (of, function) = (&plan.function, ground.function);
                let fits = of.tree == ground.tree.digest
                    && of.python == function.python
                    && of.handler == function.handler;
                if fits { Self::given(&plan) } else { Some(Self::Profiled) }
            }
        }
    }

    /// A plan that was given.
    pub(crate) fn given(plan: &Plan) -> Option<Self> {
        lock::to_text(plan).ok().map(Self::Given)
    }
}

/// Everything but the plan.
#[derive(Debug)]
pub(crate) struct Inputs {
    all: String,
    /// What only a plan from traced starts depends on.
    planning: String,
}

impl Inputs {
    /// Those of a build; `None` where it depends on what we cannot see: a service that the user starts, the network,
    /// the user's own tests; or where our own file or the interpreter's cannot be read.
    pub(crate) fn of(ground: &Ground, options: &BuildOptions, holdout: &[Event]) -> Option<Self> {
        let mut parts = Parts::default();
        if !parts.function(ground.function) {
            return None;
        }
        parts.add("tree", &ground.tree.digest);
        parts.add("user files", ground.user_files());
        parts.events(&ground.events);
        parts.events(holdout);
        // Each option by name, so that a new one cannot be forgotten. The artifact does not depend on where it goes.
        let BuildOptions {
            out: _,
            lazy,
            trim,
            objective,
            holdout: _,
            plan: _,
            verify,
            runs,
            cpu,
            traces,
            bandwidth_mbit,
            // An image is made from what is remembered.
            zip: _,
            image: _,
            fresh: _,
        } = options;
        parts.add("options", (verify, runs, cpu, traces, bandwidth_mbit));
        parts.surroundings(ground).ok()?;
        Some(Self { all: parts.hash(), planning: format!("{lazy:?} {trim:?} {objective:?}") })
    }

    /// The key of a build with these inputs and this plan.
    pub(crate) fn key(&self, planned: &Planned) -> String {
        let mut parts = Parts::default();
        match planned {
            Planned::Profiled => parts.add("profiled", (&self.all, &self.planning)),
            Planned::Given(plan) => parts.add("given", (&self.all, plan)),
        }
        parts.hash()
    }
}

/// Named values on their way into a hash. Their debug texts quote what they hold, and so cannot run together.
#[derive(Default)]
struct Parts(Sha256);

impl Parts {
    fn add(&mut self, name: &str, value: impl std::fmt::Debug) {
        self.0.update(format!("{name}: {value:?}\n"));
    }

    fn hash(self) -> String {
        format_hex(&self.0.finalize())
    }

    /// What of the function is not in its tree; false where it depends on more than can be seen.
    fn function(&mut self, function: &Function) -> bool {
        let Function {
            root: _,
            code: _,
            name,
            handler,
            python,
            architecture,
            memory_mb,
            timeout_s,
            environment,
            requirements: _,
            layers: _,
            events: _,
            verify: VerifyConfig { network, setup, ignore, accept_unproved, command },
            package: PackageConfig { build_from_source: _, runtime_provided, keep, libc },
            excluded: _,
            notes: _,
        } = function;
        self.add("function", (name, handler, python, architecture, memory_mb, timeout_s, environment));
        self.add("verify", (ignore, accept_unproved));
        self.add("package", (runtime_provided, keep, libc));
        *network == Network::Deny && setup.is_none() && command.is_none()
    }

    fn events(&mut self, events: &[Event]) {
        self.add("events", events.len());
        for Event { name, path: _, payload, weight } in events {
            self.add("event", (name, weight, payload));
        }
    }

    /// The tool, the interpreter, the runtime client, the machine.
    fn surroundings(&mut self, ground: &Ground) -> Result<()> {
        let runtime = &ground.runtime;
        let interpreter = &runtime.interpreter;
        self.add("form", FORM);
        self.add("tool", tool()?);
        self.add("interpreter", (&interpreter.path, &interpreter.full_version, stamp(&interpreter.path)?));
        self.add("runtime client", &runtime.client_version);
        self.add("engine", ground.engine.capabilities());
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        self.add("machine", (kernel, processor(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default())));
        Ok(())
    }
}

/// This program, by its contents: two builds of one version of ours may differ, too.
pub(crate) fn tool() -> Result<&'static str> {
    static TOOL: OnceLock<String> = OnceLock::new();
    if let Some(known) = TOOL.get() {
        return Ok(known);
    }
    let digest = format_hex(&Sha256::digest(fs::read("/proc/self/exe")?));
    Ok(TOOL.get_or_init(|| digest))
}

/// Size and time of a file.
fn stamp(path: &Utf8Path) -> Result<(u64, std::time::SystemTime)> {
    let metadata = fs::metadata(path)?;
    Ok((metadata.len(), metadata.modified()?))
}

/// Lines of `/proc/cpuinfo` that say what the processors are and how many; the others change from moment to moment.
fn processor(cpuinfo: &str) -> Vec<&str> {
    let told = ["processor", "model name", "CPU implementer", "CPU part"];
    cpuinfo.lines().filter(|line| told.iter().any(|name| line.starts_with(name))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use glowplug_core::{Architecture, PythonVersion};
    use std::collections::BTreeSet;

    fn function() -> Function {
        Function {
            root: "/p".into(),
            code: "/p".into(),
            name: "demo".into(),
            handler: "app.handler".into(),
            python: PythonVersion::new(3, 12),
            architecture: Architecture::X86_64,
            memory_mb: 512,
            timeout_s: 3,
            environment: [("A".to_owned(), "1".to_owned())].into(),
            requirements: None,
            layers: Vec::new(),
            events: Vec::new(),
            verify: VerifyConfig::default(),
            package: PackageConfig::default(),
            excluded: Vec::new(),
            notes: Vec::new(),
        }
    }

    fn hash_of(function: &Function) -> Option<String> {
        let mut parts = Parts::default();
        parts.function(function).then(|| parts.hash())
    }

    #[test]
    fn whatever_changes_the_outcome_changes_the_key() {
        let changes: [fn(&mut Function); 11] = [
            |f| f.name = "other".into(),
            |f| f.handler = "app.other".into(),
            |f| f.python = PythonVersion::new(3, 13),
            |f| f.memory_mb = 1024,
            |f| f.timeout_s = 4,
            |f| f.environment = [("A".to_owned(), "2".to_owned())].into(),
            |f| f.verify.ignore = vec!["$.id".into()],
            |f| f.verify.accept_unproved = true,
            |f| f.package.keep = vec!["*.txt".into()],
            |f| f.package.libc = glowplug_core::Libc::Musl,
            |f| f.package.runtime_provided = vec!["boto3".into()],
        ];
        let mut seen = BTreeSet::from([hash_of(&function()).unwrap()]);
        for change in changes {
            let mut changed = function();
            change(&mut changed);
            assert!(seen.insert(hash_of(&changed).unwrap()), "{changed:?}");
        }
        let mut moved = function();
        moved.root = "/q".into();
        assert!(seen.contains(&hash_of(&moved).unwrap()));
    }

    #[test]
    fn what_cannot_be_seen_is_not_remembered() {
        let unseen: [fn(&mut VerifyConfig); 3] = [
            |verify| verify.network = Network::Allow,
            |verify| verify.setup = Some("start".into()),
            |verify| verify.command = Some("pytest".into()),
        ];
        for make in unseen {
            let mut function = function();
            make(&mut function.verify);
            assert_eq!(hash_of(&function), None);
        }
    }

    #[test]
    fn events_count_by_name_weight_and_payload_and_do_not_run_together() {
        let event = |name: &str, payload: &str, weight| Event {
            name: name.into(),
            path: None,
            payload: payload.into(),
            weight,
        };
        let hash = |events: &[&[Event]]| {
            let mut parts = Parts::default();
            for events in events {
                parts.events(events);
            }
            parts.hash()
        };
        let (a, b) = (event("a", "{}", 0.5), event("b", "{}", 0.5));
        let all = [
            hash(&[std::slice::from_ref(&a), &[]]),
            hash(&[&[], std::slice::from_ref(&a)]),
            hash(&[&[a.clone(), b.clone()], &[]]),
            hash(&[&[b, a], &[]]),
            hash(&[&[event("a", "[]", 0.5)], &[]]),
            hash(&[&[event("a", "{}", 0.6)], &[]]),
        ];
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
    }

    #[test]
    fn a_plan_that_was_given_makes_the_options_of_planning_void() {
        let inputs = |planning: &str| Inputs { all: "x".into(), planning: planning.into() };
        let given = Planned::Given("plan".into());
        assert_eq!(inputs("safe").key(&given), inputs("balanced").key(&given));
        assert_ne!(inputs("safe").key(&Planned::Profiled), inputs("balanced").key(&Planned::Profiled));
        assert_ne!(inputs("safe").key(&given), inputs("safe").key(&Planned::Given("other".into())));
    }

    #[test]
    fn a_processor_is_known_by_what_it_is() {
        let text = "processor\t: 0\nmodel name\t: X\ncpu MHz\t: 2399.9\nprocessor\t: 1\nmodel name\t: X\n";
        assert_eq!(processor(text).len(), 4);
    }
}
