//! The agents as files that the engine can load, and what they write.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::{Error, Result};
use glowplug_engine::{AgentSpec, EnvironmentSpec};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::recording::Recording;

const PHASES: &str = include_str!("../../../python/glowplug_agent/phases.py");
const PAGES: &str = include_str!("../../../python/glowplug_agent/pages.py");
const PASSES: &str = include_str!("../../../python/glowplug_agent/passes.py");
const WORK: &str = include_str!("../../../python/glowplug_agent/work.py");
const HOOKS: &str = include_str!("../../../python/glowplug_agent/hooks.py");
const TRACER: &str = include_str!("../../../python/glowplug_agent/tracer.py");
const USAGE: &str = include_str!("../../../python/glowplug_agent/usage.py");

/// What the agent makes moves the collector's counts; `gc` is not left where the function would find it.
const COUNTS: &str = "import gc, sys\n_counts = gc.get_count()\ndel sys.modules[\"gc\"], gc, sys\n";

/// Which agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Tracer,
    Usage,
}

/// One agent in a temporary folder, with the file that it writes to; one process at a time may use it.
#[derive(Debug)]
pub(crate) struct Agent {
    _folder: TempDir,
    source: Utf8PathBuf,
    output: Utf8PathBuf,
    config: Value,
}

impl Agent {
    /// Writes the agent down; `switches` are the names in its configuration that are on.
    pub(crate) fn new(kind: Kind, user_files: &BTreeSet<Utf8PathBuf>, switches: &[&str]) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("glowplug-agent-").tempdir()?;
        let path = Utf8Path::from_path(folder.path())
            .ok_or_else(|| Error::surroundings("the folder for temporary files is not UTF-8"))?;
        let (source, output) = (path.join("agent.py"), path.join("output"));
        fs::write(&source, python_source(kind))?;
        fs::write(&output, b"")?;
        let mut config = json!({
            "output": output,
            "user_files": user_files,
            "statements": !user_files.is_empty(),
        });
        for switch in switches {
            config[*switch] = Value::Bool(true);
        }
        Ok(Self { source, output, config, _folder: folder })
    }

    /// The same environment, with this agent in it.
    pub(crate) fn join(&self, spec: &EnvironmentSpec) -> EnvironmentSpec {
        let agent = AgentSpec { source: self.source.clone(), config: self.config.clone() };
        EnvironmentSpec { agent: Some(agent), ..spec.clone() }
    }

    /// What the process has written; to be called when it is over.
    pub(crate) fn read(&self) -> Result<Recording> {
        Recording::parse(&fs::read(&self.output)?)
    }
}

/// The agent's files as one.
fn python_source(kind: Kind) -> String {
    match kind {
        Kind::Tracer => [COUNTS, PHASES, PAGES, PASSES, WORK, HOOKS, TRACER].join("\n"),
        Kind::Usage => [COUNTS, PHASES, USAGE].join("\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sources_are_ascii() {
        assert!(
            PHASES.is_ascii()
                && PAGES.is_ascii()
                && PASSES.is_ascii()
                && WORK.is_ascii()
                && HOOKS.is_ascii()
                && TRACER.is_ascii()
                && USAGE.is_ascii()
        );
    }

    #[test]
    fn switches_are_on_and_statements_follow_the_user_files() {
        let agent = Agent::new(Kind::Tracer, &BTreeSet::new(), &["memory"]).unwrap();
        assert_eq!((&agent.config["memory"], &agent.config["statements"]), (&json!(true), &json!(false)));
        let agent = Agent::new(Kind::Tracer, &BTreeSet::from(["app.py".into()]), &[]).unwrap();
        assert_eq!(agent.config["user_files"], json!(["app.py"]));
        assert_eq!(agent.config["statements"], json!(true));
        assert_eq!(agent.config.get("memory"), None);
    }
}
