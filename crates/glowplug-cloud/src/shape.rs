//! What a function's configuration says, as far as a person sets it: compared, to see what somebody has changed.

use std::collections::BTreeMap;
use std::fmt;

use aws_sdk_lambda::operation::get_function_configuration::GetFunctionConfigurationOutput;

use crate::mark::VARIABLE;

/// A configuration without what Lambda itself changes (revision, date, states).
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) memory_mb: u32,
    /// The function's own: without the one that marks what is ours.
    pub(crate) variables: BTreeMap<String, String>,
    /// Everything else, by the service model's names.
    members: Vec<(&'static str, String)>,
}

impl Shape {
    pub(crate) fn of(shown: &GetFunctionConfigurationOutput) -> Self {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let members = vec![
            ("code", text(&shown.code_sha256)),
            ("runtime", format!("{:?}", shown.runtime)),
            ("role", text(&shown.role)),
            ("handler", text(&shown.handler)),
            ("description", text(&shown.description)),
            ("timeout", format!("{:?}", shown.timeout)),
            ("VPC", format!("{:?}", shown.vpc_config)),
            ("dead letter target", format!("{:?}", shown.dead_letter_config)),
            ("KMS key", text(&shown.kms_key_arn)),
            ("tracing", format!("{:?}", shown.tracing_config)),
            ("layers", format!("{:?}", shown.layers)),
            ("file systems", format!("{:?}", shown.file_system_configs)),
            ("image configuration", format!("{:?}", shown.image_config_response)),
            ("architecture", format!("{:?}", shown.architectures)),
            ("size of `/tmp`", format!("{:?}", shown.ephemeral_storage)),
            (
                "SnapStart",
                format!("{:?}", shown.snap_start.as_ref().and_then(|start| start.apply_on.as_ref())),
            ),
            ("logging", format!("{:?}", shown.logging_config)),
        ];
        let mut variables = variables(shown);
        variables.remove(VARIABLE);
        Self { memory_mb: memory_mb(shown), variables, members }
    }

    /// The same with another memory size.
    pub(crate) fn at(&self, memory_mb: u32) -> Self {
        Self { memory_mb, ..self.clone() }
    }

    /// What differs, in words for a person.
    pub(crate) fn differences(&self, other: &Self) -> Vec<&'static str> {
        let mut different = Vec::new();
        if self.memory_mb != other.memory_mb {
            different.push("memory size");
        }
        if self.variables != other.variables {
            different.push("environment variables");
        }
        let pairs = self.members.iter().zip(&other.members);
        different.extend(pairs.filter(|(one, other)| one != other).map(|((name, _), _)| *name));
        different
    }
}

/// Values of variables are often secrets.
impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shape")
            .field("memory_mb", &self.memory_mb)
            .field("variables", &self.variables.keys())
            .field("members", &self.members)
            .finish()
    }
}

/// All variables, ours too.
pub(crate) fn variables(shown: &GetFunctionConfigurationOutput) -> BTreeMap<String, String> {
    let given = shown.environment.as_ref().and_then(|environment| environment.variables.as_ref());
    given.into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())).collect()
}

pub(crate) fn memory_mb(shown: &GetFunctionConfigurationOutput) -> u32 {
    shown.memory_size.and_then(|size| u32::try_from(size).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use aws_sdk_lambda::types::EnvironmentResponse;

    use super::*;

    fn shown(memory: i32, variables: &[(&str, &str)]) -> GetFunctionConfigurationOutput {
        let mut environment = EnvironmentResponse::builder();
        for (name, value) in variables {
            environment = environment.variables(*name, *value);
        }
        GetFunctionConfigurationOutput::builder()
            .memory_size(memory)
            .environment(environment.build())
            .revision_id(memory.to_string())
            .build()
    }

    #[test]
    fn ours_and_lambdas_own_are_left_out() {
        let before = Shape::of(&shown(512, &[("STAGE", "test")]));
        let now = Shape::of(&shown(128, &[("STAGE", "test"), (VARIABLE, "0123abcd.1.512.128")]));
        assert_eq!(before.at(128), now);
        assert_eq!(before.differences(&now), ["memory size"]);
    }

    #[test]
    fn what_somebody_changes_is_named_without_its_value() {
        let before = Shape::of(&shown(512, &[("KEY", "secret")]));
        let mut changed = shown(512, &[("KEY", "other")]);
        changed.timeout = Some(9);
        let now = Shape::of(&changed);
        assert_eq!(before.differences(&now), ["environment variables", "timeout"]);
        assert!(!format!("{before:?}").contains("secret"));
    }
}
