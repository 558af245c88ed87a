//! Finds the account: credentials, profile, region, endpoint, as every AWS tool does.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_lambda::Client;
use aws_sdk_lambda::config::{
    Credentials, ProvideCredentials as _, SharedHttpClient, StalledStreamProtectionConfig,
};
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_http_client::{Builder, Connector};
use glowplug_core::{Error, Result};

use crate::fault::causes;
use crate::name::Named;

/// How often a call is tried: the SDK waits longer each time. What is on this machine is there or is not.
const ATTEMPTS: u32 = 8;
const ATTEMPTS_HERE: u32 = 3;

/// The longest of these waits.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// How long one try of a call may take; an invoke has its own limit.
const PATIENCE: Duration = Duration::from_mins(1);

/// How often the user's wish to stop is looked at.
const GLANCE: Duration = Duration::from_millis(50);

/// Whether the user has asked to stop.
pub type Interrupt = Arc<dyn Fn() -> bool + Send + Sync>;

/// Which function, and how to get to it. What is not given comes from the environment and the AWS configuration files.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Name or ARN, with or without a qualifier.
    pub function: String,
    /// A version or an alias whose code is that of `$LATEST`.
    pub qualifier: Option<String>,
    /// Default: that of the ARN, else the profile's or the environment's.
    pub region: Option<String>,
    pub profile: Option<String>,
    /// Where another service speaks Lambda's API. On this machine, no credentials are needed.
    pub endpoint_url: Option<String>,
}

/// A function in Lambda.
pub struct AwsTarget {
    pub(crate) client: Client,
    pub(crate) named: Named,
    pub(crate) region: String,
    pub(crate) endpoint: Option<String>,
    /// The options that led here, as a command line has them.
    flags: String,
    runtime: tokio::runtime::Runtime,
    interrupted: Interrupt,
}

impl fmt::Debug for AwsTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsTarget")
            .field("named", &self.named)
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

impl AwsTarget {
    /// Finds credentials and region. Lambda itself is not asked yet.
    ///
    /// # Errors
    /// Usage where the function's name is none or there is no region; surroundings where there are no credentials.
    pub fn connect(options: &Options, interrupted: Interrupt) -> Result<Self> {
        let named = Named::parse(&options.function, options.qualifier.as_deref())?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::surroundings("cannot prepare network connections").cause(error))?;
        let config = stoppable(&runtime, &interrupted, load(options, &named))?;
        let no_region = || {
            Error::usage("no AWS region is set")
                .hint("give `--region`, set `AWS_REGION`, or set `region` in the profile")
        };
        let region = config.region().ok_or_else(no_region)?.to_string();
        stoppable(&runtime, &interrupted, check_credentials(&config, options.profile.as_deref()))??;
        let client = Client::new(&config);
        let (endpoint, flags) = (options.endpoint_url.clone(), flags(options));
        Ok(Self { client, named, region, endpoint, flags, runtime, interrupted })
    }

    /// The name or ARN, without its qualifier.
    pub fn function(&self) -> &str {
        &self.named.function
    }

    /// Where it is.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The command that takes back what a tuning has left.
    pub(crate) fn clean_command(&self) -> String {
        format!("glowplug tune --target aws --clean {}{}", self.named.function, self.flags)
    }

    /// Fails where the user has asked to stop.
    pub(crate) fn check(&self) -> Result<()> {
        if (self.interrupted)() { Err(Error::interrupted()) } else { Ok(()) }
    }

    /// Waits for something unless the user asks to stop: for what may be left off.
    pub(crate) fn stoppable<T>(&self, future: impl Future<Output = T>) -> Result<T> {
        stoppable(&self.runtime, &self.interrupted, future)
    }

    /// Waits for something to its end: for what must not be left half-done.
    pub(crate) fn whole<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }
}

/// What of the options has to be said again.
fn flags(options: &Options) -> String {
    let given =
        [("region", &options.region), ("profile", &options.profile), ("endpoint-url", &options.endpoint_url)];
    given.iter().filter_map(|(name, value)| Some(format!(" --{name} {}", value.as_ref()?))).collect()
}

fn stoppable<T>(
    runtime: &tokio::runtime::Runtime,
    interrupted: &Interrupt,
    future: impl Future<Output = T>,
) -> Result<T> {
    let stop = async {
        while !interrupted() {
            tokio::time::sleep(GLANCE).await;
        }
    };
    runtime.block_on(async {
        tokio::select! {
            biased;
            () = stop => Err(Error::interrupted()),
            done = future => Ok(done),
        }
    })
}

async fn load(options: &Options, named: &Named) -> SdkConfig {
    let here = options.endpoint_url.as_deref().is_some_and(is_here);
    let attempts = if here { ATTEMPTS_HERE } else { ATTEMPTS };
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(http_client(here))
        .retry_config(RetryConfig::standard().with_max_attempts(attempts).with_max_backoff(LONGEST_WAIT))
        .timeout_config(TimeoutConfig::builder().operation_attempt_timeout(PATIENCE).build())
        // An invoke says nothing until it is answered.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    if let Some(region) = options.region.as_deref().or(named.region()) {
        loader = loader.region(Region::new(region.to_owned()));
    }
    if let Some(profile) = &options.profile {
        loader = loader.profile_name(profile);
    }
    if let Some(endpoint) = &options.endpoint_url {
        loader = loader.endpoint_url(endpoint);
    }
    if here && options.profile.is_none() && !has_own_credentials() {
        loader = loader.credentials_provider(Credentials::new("local", "local", None, None, "glowplug"));
        if options.region.is_none() && named.region().is_none() && std::env::var_os("AWS_REGION").is_none() {
            loader = loader.region(Region::new("us-east-1"));
        }
    }
    loader.load().await
}

/// Whether the user has said which credentials to use.
fn has_own_credentials() -> bool {
    ["AWS_ACCESS_KEY_ID", "AWS_PROFILE"].iter().any(|name| std::env::var_os(name).is_some())
}

/// Whether a URL leads to this machine.
fn is_here(url: &str) -> bool {
    let host = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = host.split(['/', '?']).next().unwrap_or_default();
    let host =
        host.strip_prefix("[::1]").map_or_else(|| host.split(':').next().unwrap_or_default(), |_| "::1");
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// TLS by rustls with ring, which the rest of the program has too; the proxy of the environment, though not to this
/// machine.
fn http_client(here: bool) -> SharedHttpClient {
    Builder::new().build_with_connector_fn(move |settings, _| {
        let proxy = if here { ProxyConfig::disabled() } else { ProxyConfig::from_env() };
        let mut connector = Connector::builder().proxy_config(proxy);
        if let Some(settings) = settings {
            connector = connector.connector_settings(settings.clone());
        }
        connector.tls_provider(Provider::Rustls(CryptoMode::Ring)).build()
    })
}

async fn check_credentials(config: &SdkConfig, profile: Option<&str>) -> Result<()> {
    let none = || {
        let error = Error::surroundings("no AWS credentials were found");
        match profile {
            Some(profile) => error.hint(format!(
                "the profile `{profile}` must be in `~/.aws/config` or `~/.aws/credentials`; see `aws configure list-profiles`"
            )),
            None => error.hint("log in (`aws configure`, `aws sso login`), give `--profile`, or set `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`"),
        }
    };
    let provider = config.credentials_provider().ok_or_else(none)?;
    match provider.provide_credentials().await {
        Ok(_) => Ok(()),
        Err(error) => Err(none().cause(causes(&error))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(function: &str) -> Options {
        Options { function: function.to_owned(), ..Options::default() }
    }

    #[test]
    fn this_machine_is_told_from_others() {
        for url in
            ["http://127.0.0.1:9001", "http://localhost:9001/x", "http://[::1]:9001", "http://127.9.9.9"]
        {
            assert!(is_here(url), "{url}");
        }
        for url in
            ["https://lambda.eu-west-1.amazonaws.com", "http://10.0.0.1:9001", "http://localhost.example.org"]
        {
            assert!(!is_here(url), "{url}");
        }
    }

    #[test]
    fn a_profile_that_is_not_there_is_said() {
        let given = Options {
            profile: Some("glowplug-no-such-profile".to_owned()),
            region: Some("eu-west-1".to_owned()),
            ..options("f")
        };
        let error = AwsTarget::connect(&given, Arc::new(|| false)).unwrap_err();
        assert_eq!(error.message(), "no AWS credentials were found");
        assert!(error.hints()[0].contains("`glowplug-no-such-profile`"), "{error:?}");
    }

    #[test]
    fn who_has_asked_to_stop_waits_for_nothing() {
        let error = AwsTarget::connect(&options("f"), Arc::new(|| true)).unwrap_err();
        assert_eq!(error.class(), glowplug_core::ErrorClass::Interrupted);
    }
}
