//! A service with an address, a function in it that was made with the SDK, and what a client sees of it.

use std::collections::HashMap;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_lambda::Client;
use aws_sdk_lambda::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{Architecture, Environment, FunctionCode, Runtime};
use camino::Utf8Path;
use glowplug_capacity::{Ask, Variant};
use glowplug_cloud::{AwsTarget, Interrupt, Options, Plan};
use glowplug_core::{Cache, PythonVersion};
use glowplug_engine::{Cpu, Engine, Network};
use glowplug_lambda::{ACCOUNT_CONCURRENCY, RuntimeFolder, Server, Service};
use tempfile::TempDir;

/// The function's name.
pub(crate) const NAME: &str = "tuned";

/// A service with one function of 512 MB, with one variable, and a cache folder.
pub(crate) struct Account {
    service: Service,
    /// Gone before the service is stopped, which waits for who holds it.
    server: Option<Server>,
    pub(crate) endpoint: String,
    pub(crate) client: Client,
    runtime: tokio::runtime::Runtime,
    folder: TempDir,
    /// Whether a function that needs too much memory is ended here.
    pub(crate) limits_memory: bool,
}

fn client_at(endpoint: &str) -> Client {
    let config = aws_sdk_lambda::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .endpoint_url(endpoint)
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    Client::from_conf(config)
}

fn zip(source: &str) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    writer.start_file("app.py", zip::write::SimpleFileOptions::default().unix_permissions(0o644)).unwrap();
    writer.write_all(source.as_bytes()).unwrap();
    writer.finish().unwrap().into_inner()
}

impl Account {
    /// One whose function is this source.
    pub(crate) fn with(source: &str) -> Self {
        let engine = Engine::new().unwrap();
        let limits_memory = engine.capabilities().memory_limit;
        let options = glowplug_lambda::Options {
            state: None,
            idle: Duration::from_mins(10),
            concurrency: ACCOUNT_CONCURRENCY,
            cpu: Cpu::Unlimited,
            network: Network::Allow,
            private: Vec::new(),
            snapshot: None,
            credentials: None,
            told_version: None,
            prices: glowplug_capacity::Prices::built_in().unwrap(),
            priced_region: "us-east-1".to_owned(),
        };
        let runtimes = |version| {
            let known = glowplug_test::interpreters();
            let found =
                known.iter().find(|found| found.version == version).unwrap_or(glowplug_test::newest());
            let glowplug_test::Client { python, packages, .. } = glowplug_test::client(found);
            Ok(RuntimeFolder { python, packages })
        };
        let service = Service::open(engine, options, Box::new(runtimes), Box::new(|_, _, _| ())).unwrap();
        let server = Server::start(service.clone(), SocketAddr::from(([127, 0, 0, 1], 0)), None).unwrap();
        let endpoint = format!("http://{}", server.address);
        let account = Self {
            service,
            server: Some(server),
            client: client_at(&endpoint),
            endpoint,
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
            folder: tempfile::tempdir().unwrap(),
            limits_memory,
        };
        account.create(source);
        account
    }

    fn create(&self, source: &str) {
        let interpreters = glowplug_test::interpreters();
        let fits = interpreters.iter().rev().find(|found| found.version <= PythonVersion::new(3, 12));
        let version = fits.unwrap_or(glowplug_test::newest()).version;
        let architecture = glowplug_core::Architecture::host().unwrap().to_string();
        let call = self
            .client
            .create_function()
            .function_name(NAME)
            .runtime(Runtime::from(format!("python{version}").as_str()))
            .role("arn:aws:iam::000000000000:role/f")
            .handler("app.handler")
            .architectures(Architecture::from(architecture.as_str()))
            .memory_size(512)
            .timeout(2)
            .environment(Environment::builder().variables("STAGE", "test").build())
            .code(FunctionCode::builder().zip_file(Blob::new(zip(source))).build());
        self.wait(call.send()).unwrap();
        self.wait(self.client.publish_version().function_name(NAME).send()).unwrap();
        self.wait(self.client.create_alias().function_name(NAME).name("live").function_version("1").send())
            .unwrap();
    }

    pub(crate) fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    pub(crate) fn cache(&self) -> Cache {
        Cache::new(Utf8Path::from_path(self.folder.path()).unwrap(), false)
    }

    pub(crate) fn target(&self) -> AwsTarget {
        self.target_until(Arc::new(|| false))
    }

    pub(crate) fn target_until(&self, interrupted: Interrupt) -> AwsTarget {
        target(&self.endpoint, NAME, interrupted)
    }

    /// Everything that a client can see of the function and that a tuning may not change: revision and date apart, which
    /// tell that something was changed and changed back.
    pub(crate) fn seen(&self) -> Seen {
        let shown = self.wait(self.client.get_function_configuration().function_name(NAME).send()).unwrap();
        let versions = self.wait(self.client.list_versions_by_function().function_name(NAME).send()).unwrap();
        let aliases = self.wait(self.client.list_aliases().function_name(NAME).send()).unwrap();
        let variables = shown.environment.as_ref().and_then(|given| given.variables.clone());
        Seen {
            memory: shown.memory_size,
            timeout: shown.timeout,
            code: shown.code_sha256.clone(),
            description: shown.description,
            variables: variables.unwrap_or_default(),
            versions: versions
                .versions()
                .iter()
                .map(|version| (version.version.clone().unwrap(), version.memory_size))
                .collect(),
            aliases: format!("{:?}", aliases.aliases()),
        }
    }
}

/// What a client sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) memory: Option<i32>,
    pub(crate) timeout: Option<i32>,
    pub(crate) code: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) variables: HashMap<String, String>,
    pub(crate) versions: Vec<(String, Option<i32>)>,
    pub(crate) aliases: String,
}

/// A connection to a function behind an endpoint.
pub(crate) fn target(endpoint: &str, name: &str, interrupted: Interrupt) -> AwsTarget {
    let options = Options {
        function: name.to_owned(),
        region: Some("us-east-1".to_owned()),
        endpoint_url: Some(endpoint.to_owned()),
        ..Options::default()
    };
    AwsTarget::connect(&options, interrupted).unwrap()
}

/// One event, so many versions together.
pub(crate) fn plan(event: &str, together: u32) -> Plan {
    Plan { events: vec![event.as_bytes().to_vec()], together }
}

pub(crate) fn ask(memory_mb: u32, warm: u32) -> Ask {
    Ask { variant: Variant::Before, memory_mb, event: 0, warm }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.server = None;
        self.service.stop();
    }
}
