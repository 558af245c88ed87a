//! What Lambda says of a function before anything is changed: what an estimate needs, and whether it can be tuned.

use aws_sdk_lambda::operation::get_function_configuration::GetFunctionConfigurationOutput;
use aws_sdk_lambda::types::{LastUpdateStatus, LogFormat, SnapStartApplyOn, State, SystemLogLevel};
use glowplug_core::{Architecture, Error, Result};

use crate::calls::unless_denied;
use crate::connect::AwsTarget;
use crate::fault::Refusal;
use crate::latest::Patience;
use crate::mark::{Mark, VARIABLE};
use crate::shape::{Shape, memory_mb, variables};

/// Bytes of names and values of environment variables together ("Lambda quotas" in the developer guide).
const MOST_VARIABLES: usize = 4096;

/// Bytes that the mark's value may need.
const LONGEST_MARK: usize = 8 + 3 * 11;

/// A function as it is in Lambda.
#[derive(Debug, Clone)]
pub struct Inspection {
    /// Its ARN, without a version.
    pub arn: String,
    /// MB.
    pub memory_mb: u32,
    pub architecture: Architecture,
    /// As Lambda names it; images have none.
    pub runtime: Option<String>,
    /// Seconds.
    pub timeout_s: u32,
    /// Size of `/tmp` in MB.
    pub ephemeral_mb: u32,
    /// `Zip` or `Image`.
    pub package: String,
    pub code_sha256: String,
    /// Of `$LATEST`; changes with each change of it.
    pub revision_id: String,
    /// Whether published versions start from a snapshot.
    pub snap_start: bool,
    /// Invokes at once that are reserved for the function; nothing where none are, or where it cannot be told.
    pub reserved: Option<u32>,
    /// Aliases and versions with provisioned concurrency.
    pub provisioned: Vec<Provisioned>,
    /// What a person should know before it starts.
    pub notes: Vec<String>,
    pub(crate) shape: Shape,
}

/// Environments that are kept ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provisioned {
    /// The version's number, or the alias's name.
    pub qualifier: String,
    pub requested: u32,
}

impl AwsTarget {
    /// Asks Lambda what the function is. Nothing is changed.
    ///
    /// # Errors
    /// Input where there is no such function, or where it is in no state to be tuned; surroundings where Lambda cannot be
    /// reached or does not permit it.
    pub fn inspect(&self) -> Result<Inspection> {
        self.check()?;
        let shown = self.settled(None, Patience::UntilInterrupted).map_err(Refusal::error)?;
        self.refuse_untunable(&shown)?;
        let shape = Shape::of(&shown);
        self.check_qualifier(&shape)?;
        let mut inspection = read(&shown, shape);
        self.add_surroundings(&mut inspection)?;
        Ok(inspection)
    }

    fn refuse_untunable(&self, shown: &GetFunctionConfigurationOutput) -> Result<()> {
        let name = &self.named.function;
        let refused = |why: &str| Error::input(format!("`{name}` cannot be tuned: {why}"));
        let reason =
            |given: &Option<String>| given.clone().unwrap_or_else(|| "Lambda gives no reason".to_owned());
        if shown.state == Some(State::Failed) {
            return Err(refused("its state is Failed").cause(reason(&shown.state_reason)));
        }
        if shown.last_update_status == Some(LastUpdateStatus::Failed) {
            return Err(refused("its last update failed")
                .cause(reason(&shown.last_update_status_reason))
                .hint("deploy it again first"));
        }
        if shown.capacity_provider_config.is_some() {
            return Err(refused("it runs on managed instances, whose memory is not billed by its size"));
        }
        if let Some(error) = shown.environment.as_ref().and_then(|environment| environment.error.as_ref()) {
            let cause = error.message.as_deref().or(error.error_code.as_deref()).unwrap_or("not readable");
            return Err(refused("its environment variables cannot be read, so they could not be put back")
                .cause(cause)
                .hint("allow `kms:Decrypt` with the function's key"));
        }
        let logging = shown.logging_config.as_ref();
        let is_silent = logging.is_some_and(|logging| {
            logging.log_format == Some(LogFormat::Json)
                && logging.system_log_level == Some(SystemLogLevel::Warn)
        });
        if is_silent {
            return Err(refused("its log has no reports, since its system log level is WARN")
                .hint("set `SystemLogLevel` of its `LoggingConfig` to INFO"));
        }
        let all = variables(shown);
        if all.contains_key(VARIABLE) {
            return Err(match Mark::of(&all) {
                Some(_) => refused("an earlier `glowplug tune` has left its mark in it")
                    .hint(format!("clean up first: `{}`", self.clean_command())),
                None => refused(&format!("it has an environment variable `{VARIABLE}` of its own")),
            });
        }
        let bytes: usize = all.iter().map(|(name, value)| name.len() + value.len()).sum();
        if bytes + VARIABLE.len() + LONGEST_MARK > MOST_VARIABLES {
            return Err(refused(
                "its environment has no room for one more variable, which forces cold starts",
            )
            .cause(format!("{bytes} of {MOST_VARIABLES} bytes are in use")));
        }
        Ok(())
    }

    /// Versions are published from `$LATEST`: whoever names another one means its code.
    fn check_qualifier(&self, latest: &Shape) -> Result<()> {
        let Some(qualifier) = &self.named.qualifier else { return Ok(()) };
        let shown = self.configuration(Some(qualifier)).map_err(Refusal::error)?;
        let mut differences = Shape::of(&shown).differences(latest);
        differences.retain(|name| !["memory size", "description", "SnapStart"].contains(name));
        if differences.is_empty() {
            return Ok(());
        }
        Err(Error::input(format!("`{qualifier}` of `{}` is not what `$LATEST` is", self.named.function))
            .cause(format!("different: {}", differences.join(", ")))
            .hint("versions are published from `$LATEST`: leave the qualifier away to tune that"))
    }

    /// What is beside the function; without permission to see it, that is a note.
    fn add_surroundings(&self, inspection: &mut Inspection) -> Result<()> {
        match unless_denied(self.reserved())? {
            Ok(reserved) => inspection.reserved = reserved,
            Err(error) => inspection.notes.push(format!("reserved concurrency is not known: {error}")),
        }
        if inspection.reserved == Some(0) {
            return Err(Error::input(format!("`{}` cannot be invoked", self.named.function))
                .cause("its reserved concurrency is 0")
                .hint("raise it, or remove it, for as long as the function is tuned"));
        }
        match unless_denied(self.provisioned())? {
            Ok(found) => inspection.provisioned = found.iter().map(provisioned).collect(),
            Err(error) => inspection.notes.push(format!("provisioned concurrency is not known: {error}")),
        }
        for Provisioned { qualifier, requested } in inspection.provisioned.clone() {
            inspection.notes.push(format!(
                "`{qualifier}` keeps {requested} environments ready: that goes on, and its cost is in no figure here; what is measured are starts on demand"
            ));
        }
        if inspection.snap_start {
            inspection.notes.push("versions start from snapshots: each takes minutes to publish".to_owned());
        }
        Ok(())
    }
}

fn read(shown: &GetFunctionConfigurationOutput, shape: Shape) -> Inspection {
    let number = |value: Option<i32>| value.and_then(|value| u32::try_from(value).ok()).unwrap_or_default();
    let word = |value: &Option<String>| value.clone().unwrap_or_default();
    let is_arm = shown.architectures().iter().any(|architecture| architecture.as_str() == "arm64");
    let apply_on = shown.snap_start.as_ref().and_then(|snap_start| snap_start.apply_on.as_ref());
    let mut notes = Vec::new();
    if shown.state == Some(State::Inactive) {
        notes.push(
            "the function has not been used for long: its first version takes minutes to publish".to_owned(),
        );
    }
    Inspection {
        arn: word(&shown.function_arn),
        memory_mb: memory_mb(shown),
        architecture: if is_arm { Architecture::Arm64 } else { Architecture::X86_64 },
        runtime: shown.runtime.as_ref().map(|runtime| runtime.as_str().to_owned()),
        timeout_s: number(shown.timeout),
        ephemeral_mb: number(shown.ephemeral_storage.as_ref().map(|storage| storage.size)),
        package: shown.package_type.as_ref().map_or("Zip", |package| package.as_str()).to_owned(),
        code_sha256: word(&shown.code_sha256),
        revision_id: word(&shown.revision_id),
        snap_start: apply_on == Some(&SnapStartApplyOn::PublishedVersions),
        reserved: None,
        provisioned: Vec::new(),
        notes,
        shape,
    }
}

fn provisioned(item: &aws_sdk_lambda::types::ProvisionedConcurrencyConfigListItem) -> Provisioned {
    let arn = item.function_arn.as_deref().unwrap_or_default();
    Provisioned {
        qualifier: arn.rsplit(':').next().unwrap_or_default().to_owned(),
        requested: item
            .requested_provisioned_concurrent_executions
            .and_then(|requested| u32::try_from(requested).ok())
            .unwrap_or_default(),
    }
}
