//! The initialised process that the environments of a version are forked from: made once, or found impossible.

use std::sync::{Arc, Mutex, PoisonError};

use glowplug_core::Result;
use glowplug_engine::{
    Engine, Environment, EnvironmentSpec, Identity, Init, InitOutcome, SnapshotSpec, Started, Template,
};

/// What is known of it.
#[derive(Debug, Default)]
enum State {
    #[default]
    Unmade,
    Made(Arc<Template>),
    /// Every environment is started on its own.
    Impossible,
}

/// The template of one version with one configuration.
#[derive(Debug)]
pub(crate) struct Snapshots {
    snapshot: SnapshotSpec,
    state: Mutex<State>,
}

/// What came of asking for a template.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    pub(crate) template: Option<Arc<Template>>,
    /// What there is to say of it, a line each, where it was asked for the first time.
    pub(crate) said: Vec<String>,
    /// Its init, where it was made now, and what was written meanwhile.
    pub(crate) made: Option<(Init, Vec<u8>)>,
}

impl Snapshots {
    pub(crate) fn new(snapshot: SnapshotSpec) -> Self {
        Self { snapshot, state: Mutex::default() }
    }

    /// The template, made where there is none yet; others wait meanwhile.
    pub(crate) fn ask(&self, engine: &Engine, spec: &EnvironmentSpec) -> Asked {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(&*state, State::Made(template) if template.is_gone()) {
            *state = State::Unmade;
        }
        match &*state {
            State::Made(template) => Asked { template: Some(Arc::clone(template)), ..Asked::default() },
            State::Impossible => Asked::default(),
            State::Unmade => match engine.start_template(spec, &self.snapshot) {
                Ok((Started::Template(template), init, output)) => {
                    *state = State::Made(Arc::clone(&template));
                    let said = template.notes().iter().map(|note| format!("snapshot: {note}")).collect();
                    Asked { template: Some(template), said, made: Some((init, output)) }
                }
                Ok((Started::Refused(mut reasons), init, output)) => {
                    *state = State::Impossible;
                    if init.outcome != InitOutcome::Ready {
                        reasons.push("its init failed".to_owned());
                    }
                    let said = reasons.iter().map(|reason| format!("no snapshot: {reason}")).collect();
                    Asked { said, made: Some((init, output)), template: None }
                }
                Err(error) => {
                    *state = State::Impossible;
                    Asked { said: vec![format!("no snapshot: {}", told(&error))], ..Asked::default() }
                }
            },
        }
    }

    /// A fork.
    ///
    /// # Errors
    /// The template is gone, and the next one who asks makes it anew; or it cannot be forked after all.
    pub(crate) fn fork(&self, template: &Arc<Template>, identity: Identity) -> Result<(Environment, Init)> {
        template.fork(identity).inspect_err(|_| {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            // Another may be there already, made by somebody who noticed before.
            if matches!(&*state, State::Made(known) if Arc::ptr_eq(known, template)) {
                *state = if template.is_gone() { State::Unmade } else { State::Impossible };
            }
        })
    }
}

/// An error in one line.
fn told(error: &glowplug_core::Error) -> String {
    let causes: Vec<&str> =
        error.causes().iter().map(String::as_str).filter(|cause| !cause.is_empty()).collect();
    if causes.is_empty() {
        error.message().to_owned()
    } else {
        format!("{}: {}", error.message(), causes.join("; "))
    }
}
