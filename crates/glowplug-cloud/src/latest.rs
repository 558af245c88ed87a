//! Waiting until `$LATEST` or a version is settled, and taking back what is ours of `$LATEST`.

use std::time::{Duration, Instant};

use aws_sdk_lambda::operation::get_function_configuration::GetFunctionConfigurationOutput;
use aws_sdk_lambda::types::{LastUpdateStatus, State};
use glowplug_core::{Error, Result};

use crate::connect::AwsTarget;
use crate::fault::Refusal;
use crate::mark::{Mark, VARIABLE};
use crate::shape::{memory_mb, variables};

/// How long a change may take. Snapshots and functions in a VPC take minutes.
const LONGEST_CHANGE: Duration = Duration::from_mins(15);

/// The first and the longest wait between two looks.
const LOOK: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// How often a change is tried where others change the function too.
const TRIES: u32 = 6;

/// Whether a wait ends when the user asks to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    UntilInterrupted,
    ToTheEnd,
}

/// Whose changes of `$LATEST` are to be taken back.
#[derive(Debug, Clone)]
pub(crate) enum Owner {
    /// Those of one session: its memory sizes are known also where its mark is gone.
    Session { name: String, original_mb: u32, set_mb: Option<u32> },
    /// Those of any.
    Anybody,
}

impl AwsTarget {
    /// The configuration, as soon as no change is under way.
    pub(crate) fn settled(
        &self,
        qualifier: Option<&str>,
        patience: Patience,
    ) -> Result<GetFunctionConfigurationOutput, Refusal> {
        let begun = Instant::now();
        let mut wait = LOOK.0;
        loop {
            let shown = self.configuration(qualifier)?;
            let is_changing = shown.last_update_status == Some(LastUpdateStatus::InProgress)
                || shown.state == Some(State::Pending);
            if !is_changing {
                return Ok(shown);
            }
            if begun.elapsed() > LONGEST_CHANGE {
                let error = Error::surroundings(format!(
                    "a change of `{}` does not come to its end",
                    self.named.function
                ))
                .hint("look at the function's state in Lambda, and try again when it is Active");
                return Err(Refusal::Other(error));
            }
            self.pause(wait, patience).map_err(Refusal::Other)?;
            wait = (wait * 2).min(LOOK.1);
        }
    }

    /// Waits for so long.
    pub(crate) fn pause(&self, duration: Duration, patience: Patience) -> Result<()> {
        let sleep = async { tokio::time::sleep(duration).await };
        match patience {
            Patience::UntilInterrupted => self.stoppable(sleep),
            Patience::ToTheEnd => {
                self.whole(sleep);
                Ok(())
            }
        }
    }

    /// Takes the mark out of `$LATEST`, and the memory size back to what the user has set. What somebody else has changed
    /// meanwhile stays. Says whether there was something to do.
    pub(crate) fn restore_latest(&self, owner: &Owner) -> Result<bool, Refusal> {
        let mut busy = None;
        for attempt in 0..TRIES {
            let shown = self.settled(None, Patience::ToTheEnd)?;
            let Some((memory_mb, variables)) = restored(&shown, owner) else { return Ok(attempt > 0) };
            match self.update(memory_mb, &variables, shown.revision_id.as_deref()) {
                Ok(()) | Err(Refusal::Changed) => {}
                Err(refusal @ Refusal::Busy(_)) => {
                    busy = Some(refusal);
                    self.pause(LOOK.1, Patience::ToTheEnd).map_err(Refusal::Other)?;
                }
                Err(other) => return Err(other),
            }
        }
        Err(busy.unwrap_or(Refusal::Changed))
    }
}

/// Memory size and variables as they are to be; nothing where they are.
fn restored(
    shown: &GetFunctionConfigurationOutput,
    owner: &Owner,
) -> Option<(u32, std::collections::BTreeMap<String, String>)> {
    let mut variables = variables(shown);
    let now_mb = memory_mb(shown);
    let is_ours = |mark: &Mark| match owner {
        Owner::Session { name, .. } => &mark.session == name,
        Owner::Anybody => true,
    };
    let mark = Mark::of(&variables).filter(is_ours);
    if mark.is_some() {
        variables.remove(VARIABLE);
    }
    let (set_mb, original_mb) = match (&mark, owner) {
        (Some(mark), _) => (Some(mark.set_mb), mark.original_mb),
        (None, Owner::Session { original_mb, set_mb, .. }) => (*set_mb, *original_mb),
        (None, Owner::Anybody) => (None, now_mb),
    };
    let memory_mb = if set_mb == Some(now_mb) { original_mb } else { now_mb };
    (mark.is_some() || memory_mb != now_mb).then_some((memory_mb, variables))
}

#[cfg(test)]
mod tests {
    use aws_sdk_lambda::types::EnvironmentResponse;

    use super::*;

    const MARK: &str = "0123abcd.3.512.128";

    fn shown(memory: i32, variables: &[(&str, &str)]) -> GetFunctionConfigurationOutput {
        let mut environment = EnvironmentResponse::builder();
        for (name, value) in variables {
            environment = environment.variables(*name, *value);
        }
        GetFunctionConfigurationOutput::builder().memory_size(memory).environment(environment.build()).build()
    }

    fn session(set_mb: Option<u32>) -> Owner {
        Owner::Session { name: "0123abcd".to_owned(), original_mb: 512, set_mb }
    }

    fn after(shown: &GetFunctionConfigurationOutput, owner: &Owner) -> Option<(u32, usize)> {
        restored(shown, owner).map(|(memory_mb, variables)| (memory_mb, variables.len()))
    }

    #[test]
    fn ours_is_taken_back() {
        let marked = shown(128, &[("A", "1"), (VARIABLE, MARK)]);
        assert_eq!(after(&marked, &session(Some(128))), Some((512, 1)));
        assert_eq!(after(&marked, &Owner::Anybody), Some((512, 1)));
        assert_eq!(after(&shown(512, &[("A", "1")]), &session(Some(128))), None);
        assert_eq!(after(&shown(512, &[("A", "1")]), &Owner::Anybody), None);
    }

    #[test]
    fn what_somebody_else_has_set_stays() {
        // The memory size, beside our mark.
        assert_eq!(after(&shown(1024, &[(VARIABLE, MARK)]), &session(Some(128))), Some((1024, 0)));
        // The variables, over our mark: the memory size is still ours.
        assert_eq!(after(&shown(128, &[("B", "2")]), &session(Some(128))), Some((512, 1)));
        // Everything.
        assert_eq!(after(&shown(256, &[("B", "2")]), &session(Some(128))), None);
        // Another session's.
        let others = shown(128, &[(VARIABLE, "ffffffff.1.256.128")]);
        assert_eq!(after(&others, &session(None)), None);
        // A value that is no mark.
        assert_eq!(after(&shown(128, &[(VARIABLE, "on")]), &Owner::Anybody), None);
    }
}
