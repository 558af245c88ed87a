//! The environment variables that a function sees: Lambda's, and its own.
//!
//! Recorded from a real function; where Lambda has a secret or an address of its own, a fake or ours.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::payload::random_u64;
use crate::spec::{EnvironmentSpec, ImageSpec, Initialization};

/// The region that local functions live in.
pub const REGION: &str = "us-east-1";

/// The account that they belong to.
pub const ACCOUNT: &str = "123456789012";

/// Variables that a function's configuration cannot set: Lambda refuses them, we ignore them
/// ("Reserved environment variables" in the Lambda developer guide).
const RESERVED: [&str; 19] = [
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_DEFAULT_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_REGION",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "LAMBDA_RUNTIME_DIR",
    "LAMBDA_TASK_ROOT",
    "_LAMBDA_TELEMETRY_LOG_FD",
];

/// Whether a function's configuration cannot set a variable.
pub fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
}

/// Where things are inside the environment.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    pub(crate) task: String,
    pub(crate) opt: String,
    pub(crate) runtime: String,
    pub(crate) lang: String,
    pub(crate) home: String,
    /// Set only where `/tmp` itself is not private.
    pub(crate) temporary: Option<String>,
}

/// All variables of a process, the host's own left out.
pub(crate) fn variables(
    spec: &EnvironmentSpec,
    places: &Places,
    api: &str,
    log_stream: &str,
) -> BTreeMap<String, String> {
    let mut variables = defaults(places);
    if let Some(image) = &spec.image {
        of_image(&mut variables, image);
    }
    for (name, value) in &spec.environment {
        if !is_reserved(name) {
            variables.insert(name.clone(), value.clone());
        }
    }
    if let Some(seed) = spec.hash_seed {
        variables.insert("PYTHONHASHSEED".to_owned(), seed.to_string());
    }
    let log_group = spec.log_group.clone().unwrap_or_else(|| format!("/aws/lambda/{}", spec.function_name));
    let reserved = [
        ("AWS_LAMBDA_FUNCTION_VERSION", spec.identity.version.clone()),
        ("AWS_DEFAULT_REGION", REGION.to_owned()),
        ("AWS_REGION", REGION.to_owned()),
        ("AWS_LAMBDA_LOG_STREAM_NAME", log_stream.to_owned()),
        ("AWS_LAMBDA_LOG_GROUP_NAME", log_group),
        ("_HANDLER", spec.handler.clone()),
        ("LAMBDA_TASK_ROOT", places.task.clone()),
        ("LAMBDA_RUNTIME_DIR", places.runtime.clone()),
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY.to_owned()),
        ("AWS_SECRET_ACCESS_KEY", SECRET_KEY.to_owned()),
        ("AWS_SESSION_TOKEN", SESSION_TOKEN.to_owned()),
        ("AWS_LAMBDA_RUNTIME_API", api.to_owned()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", spec.memory_mb.to_string()),
        ("AWS_LAMBDA_FUNCTION_NAME", spec.function_name.clone()),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", spec.identity.initialization.name().to_owned()),
    ];
    variables.extend(reserved.map(|(name, value)| (name.to_owned(), value)));
    if spec.identity.initialization == Initialization::SnapStart {
        snapshot_variables(&mut variables, api);
    }
    if !spec.own_runtime {
        let runtime = format!("AWS_Lambda_python{}", spec.python_version);
        variables.insert("AWS_EXECUTION_ENV".to_owned(), runtime);
    }
    variables
}

/// Where programs are found in an image that does not say it, as container runtimes have it.
pub(crate) const IMAGE_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Paths are the image's own affair.
fn of_image(variables: &mut BTreeMap<String, String>, image: &ImageSpec) {
    variables.remove("HOME");
    variables.remove("LD_LIBRARY_PATH");
    variables.insert("PATH".to_owned(), IMAGE_PATH.to_owned());
    variables.insert("PWD".to_owned(), image.working_dir.clone());
    for (name, value) in &image.variables {
        variables.insert(name.clone(), value.clone());
    }
}

/// What is the same in all environments of a snapshot cannot name one of them, nor hold credentials that expire ("Lambda
/// SnapStart" in the developer guide).
fn snapshot_variables(variables: &mut BTreeMap<String, String>, api: &str) {
    for name in [
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
    ] {
        variables.remove(name);
    }
    for (name, value) in [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("http://{api}{CREDENTIALS_PATH}")),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", CREDENTIALS_TOKEN.to_owned()),
    ] {
        variables.insert(name.to_owned(), value);
    }
}

/// Where credentials come from in an environment that comes from a snapshot.
pub(crate) const CREDENTIALS_PATH: &str = "/2021-04-23/credentials";

/// What must be said there.
pub(crate) const CREDENTIALS_TOKEN: &str = "glowplug-local-token";

/// The id of the key that functions find in their environment: a fake, nothing is reached with it.
pub const ACCESS_KEY: &str = "AKIAIOSFODNN7EXAMPLE";
/// Its secret.
pub const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
/// Its token.
pub const SESSION_TOKEN: &str = "glowplug-local-session-token";

fn defaults(places: &Places) -> BTreeMap<String, String> {
    let Places { task, opt, runtime, lang, home, temporary } = places;
    let mut variables: BTreeMap<String, String> = [
        ("PWD", task.clone()),
        ("TZ", ":UTC".to_owned()),
        ("LANG", "en_US.UTF-8".to_owned()),
        ("LC_CTYPE", "C.UTF-8".to_owned()),
        ("AWS_XRAY_DAEMON_ADDRESS", "169.254.100.1:2000".to_owned()),
        ("_AWS_XRAY_DAEMON_ADDRESS", "169.254.100.1".to_owned()),
        ("_AWS_XRAY_DAEMON_PORT", "2000".to_owned()),
        ("AWS_XRAY_CONTEXT_MISSING", "LOG_ERROR".to_owned()),
        ("SHLVL", "0".to_owned()),
        ("PATH", format!("{lang}/bin:/usr/local/bin:/usr/bin/:/bin:{opt}/bin")),
        (
            "LD_LIBRARY_PATH",
            format!("{lang}/lib:/lib64:/usr/lib64:{runtime}:{runtime}/lib:{task}:{task}/lib:{opt}/lib"),
        ),
        // Not Lambda's: without them the host's files and its cloud's own credentials would be in reach.
        ("HOME", home.clone()),
        ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    if let Some(temporary) = temporary {
        variables.insert("TMPDIR".to_owned(), temporary.clone());
    }
    variables
}

/// The ARN that an unqualified invoke shows the function.
pub fn function_arn(function: &str) -> String {
    format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:{function}")
}

/// A trace header as X-Ray writes it, not sampled; `now` counts from 1970.
pub fn trace_id(now: Duration) -> String {
    let (high, low, parent) = (random_u64() & 0xffff_ffff, random_u64(), random_u64());
    format!("Root=1-{:08x}-{high:08x}{low:016x};Parent={parent:016x};Sampled=0", now.as_secs() & 0xffff_ffff)
}

/// A log stream's name: `2026/11/24/[$LATEST]` and 32 hex digits; `now` counts from 1970.
pub fn log_stream(version: &str, now: Duration) -> String {
    let (year, month, day) = glowplug_core::civil_date(now.as_secs() / 86_400);
    format!("{year:04}/{month:02}/{day:02}/[{version}]{:016x}{:016x}", random_u64(), random_u64())
}

#[cfg(test)]
mod tests {
    use camino::Utf8PathBuf;
    use glowplug_core::{Architecture, PythonVersion};

    use super::*;
    use crate::spec::{Cpu, Identity, Network};

    fn spec() -> EnvironmentSpec {
        EnvironmentSpec {
            python: Utf8PathBuf::from("/venv/bin/python"),
            packages: Utf8PathBuf::from("/packages"),
            own_runtime: false,
            image: None,
            tree: Utf8PathBuf::from("/tree"),
            layers: Vec::new(),
            handler: "app.handler".to_owned(),
            function_name: "report".to_owned(),
            identity: Identity::default(),
            python_version: PythonVersion::new(3, 12),
            architecture: Architecture::X86_64,
            memory_mb: 512,
            temporary_mb: None,
            log_group: None,
            timeout: Duration::from_secs(3),
            environment: BTreeMap::new(),
            cpu: Cpu::Unlimited,
            network: Network::Deny,
            service_access: false,
            hidden: Vec::new(),
            hash_seed: None,
            extensions: false,
            snapshot: None,
            agent: None,
            write_bytecode: false,
        }
    }

    fn places() -> Places {
        Places {
            task: "/var/task".to_owned(),
            opt: "/opt".to_owned(),
            runtime: "/var/runtime".to_owned(),
            lang: "/var/lang".to_owned(),
            home: "/home/sbx_user1051".to_owned(),
            temporary: None,
        }
    }

    #[test]
    fn reserved_names_cannot_be_set_and_others_can() {
        let mut spec = spec();
        for (name, value) in [("AWS_REGION", "mars"), ("TZ", "Europe/Paris"), ("STAGE", "test")] {
            spec.environment.insert(name.to_owned(), value.to_owned());
        }
        spec.hash_seed = Some(7);
        let variables = variables(&spec, &places(), "127.0.0.1:9", "stream");
        assert_eq!(variables["AWS_REGION"], REGION);
        assert_eq!(variables["TZ"], "Europe/Paris");
        assert_eq!(variables["STAGE"], "test");
        assert_eq!(variables["PYTHONHASHSEED"], "7");
        assert_eq!(variables["AWS_EXECUTION_ENV"], "AWS_Lambda_python3.12");
        assert_eq!(variables["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"], "512");
        assert!(!variables.contains_key("AWS_PROFILE"));
        assert!(!variables.contains_key("TMPDIR"));
    }

    #[test]
    fn an_images_own_variables_stand_between_ours_and_the_functions() {
        let mut spec = spec();
        let own = [("PATH", "/app/bin"), ("STAGE", "image"), ("AWS_REGION", "mars")];
        let own = own.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        spec.image =
            Some(ImageSpec { variables: own, working_dir: "/app".to_owned(), ..ImageSpec::default() });
        spec.environment.insert("STAGE".to_owned(), "function".to_owned());
        let variables = variables(&spec, &places(), "127.0.0.1:9", "stream");
        let shown = ["PATH", "STAGE", "AWS_REGION", "PWD"].map(|name| variables[name].as_str());
        assert_eq!(shown, ["/app/bin", "function", REGION, "/app"]);
        assert!(!variables.contains_key("HOME") && !variables.contains_key("LD_LIBRARY_PATH"));
    }

    #[test]
    fn log_streams_begin_with_the_day() {
        assert!(log_stream("$LATEST", Duration::from_hours(20_781 * 24)).starts_with("2026/11/24/[$LATEST]"));
    }

    #[test]
    fn trace_headers_have_x_rays_shape() {
        let header = trace_id(Duration::from_secs(0x1234_5678));
        assert!(header.starts_with("Root=1-12345678-"), "{header}");
        assert_eq!(
            header.len(),
            "Root=1-12345678-000000000000000000000000;Parent=0000000000000000;Sampled=0".len()
        );
    }
}
