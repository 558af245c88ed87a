//! Calls that make a client, an engine, a template environment, a loaded model and the like: what they make keeps to
//! itself, and making it later is not seen by others; and such as look up what never changes. This table and the one of
//! free calls are the whole of it.

use super::table::within;
use crate::Source;

/// Constructors by their path, where they are usually imported from.
const CONSTRUCTORS: &str = "
    boto3.client boto3.resource boto3.Session boto3.session.Session botocore.config.Config botocore.client.Config
    boto3.session.Config botocore.session.get_session botocore.session.Session
    boto3.dynamodb.types.TypeDeserializer
    boto3.dynamodb.types.TypeSerializer aioboto3.Session aiobotocore.session.get_session
    aws_lambda_powertools.utilities.parameters.SSMProvider
    aws_lambda_powertools.utilities.parameters.SecretsProvider
    aws_lambda_powertools.utilities.parameters.DynamoDBProvider
    aws_lambda_powertools.utilities.parameters.AppConfigProvider

    sqlalchemy.create_engine sqlalchemy.engine.create_engine sqlalchemy.engine.url.URL.create sqlalchemy.URL.create
    sqlalchemy.engine.URL.create sqlalchemy.engine.url.make_url sqlalchemy.engine.make_url sqlalchemy.make_url
    sqlalchemy.orm.sessionmaker sqlalchemy.orm.session.sessionmaker sqlalchemy.orm.scoped_session
    sqlalchemy.ext.asyncio.create_async_engine sqlalchemy.ext.asyncio.async_sessionmaker sqlmodel.create_engine

    requests.Session requests.session requests.sessions.Session requests.adapters.HTTPAdapter httpx.Client
    httpx.AsyncClient httpx.Timeout httpx.Limits httpx.HTTPTransport urllib3.PoolManager urllib3.ProxyManager
    urllib3.Retry urllib3.util.Retry urllib3.util.retry.Retry urllib3.Timeout urllib3.util.Timeout
    requests.packages.urllib3.util.retry.Retry ssl.create_default_context

    redis.Redis redis.StrictRedis redis.from_url redis.Redis.from_url redis.ConnectionPool
    redis.ConnectionPool.from_url redis.BlockingConnectionPool redis.asyncio.Redis redis.asyncio.from_url
    redis.asyncio.Redis.from_url redis.client.Redis pymemcache.client.base.Client
    pymemcache.client.base.PooledClient pymemcache.client.hash.HashClient elasticsearch.Elasticsearch
    opensearchpy.OpenSearch requests_aws4auth.AWS4Auth

    jinja2.Environment jinja2.Template jinja2.FileSystemLoader jinja2.PackageLoader jinja2.DictLoader
    jinja2.ChoiceLoader jinja2.select_autoescape jinja2.environment.Environment jinja2.loaders.FileSystemLoader
    jinja2.sandbox.SandboxedEnvironment jinja2.nativetypes.NativeEnvironment mako.template.Template
    mako.lookup.TemplateLookup markdown.Markdown markdown_it.MarkdownIt mistune.create_markdown
    bleach.sanitizer.Cleaner bleach.Cleaner

    joblib.load pickle.load pickle.loads numpy.load numpy.loadtxt numpy.genfromtxt numpy.fromfile
    pandas.read_csv pandas.read_json pandas.read_parquet pandas.read_pickle pandas.read_excel
    pandas.read_table pandas.DataFrame pandas.Series pandas.Index polars.read_csv polars.read_parquet
    polars.DataFrame onnxruntime.InferenceSession onnxruntime.SessionOptions xgboost.Booster lightgbm.Booster
    spacy.load spacy.blank sklearn.feature_extraction.text.CountVectorizer
    sklearn.feature_extraction.text.TfidfVectorizer sklearn.feature_extraction.text.HashingVectorizer
    sklearn.preprocessing.StandardScaler sklearn.pipeline.make_pipeline sklearn.pipeline.Pipeline

    pydantic.type_adapter.TypeAdapter jsonschema.Draft202012Validator
    jsonschema.Draft201909Validator jsonschema.Draft7Validator jsonschema.Draft6Validator
    jsonschema.Draft4Validator jsonschema.validators.Draft202012Validator jsonschema.validators.Draft7Validator
    jsonschema.FormatChecker fastjsonschema.compile cerberus.Validator
    lxml.etree.XMLSchema lxml.etree.XSLT lxml.etree.XPath lxml.etree.parse lxml.etree.XMLParser
    lxml.etree.fromstring lxml.etree.HTMLParser

    cryptography.fernet.Fernet cryptography.fernet.MultiFernet
    cryptography.hazmat.primitives.serialization.load_pem_private_key
    cryptography.hazmat.primitives.serialization.load_pem_public_key cryptography.x509.load_pem_x509_certificate
    cryptography.hazmat.primitives.ciphers.aead.AESGCM jwt.PyJWKClient itsdangerous.URLSafeTimedSerializer
    itsdangerous.URLSafeSerializer passlib.context.CryptContext argon2.PasswordHasher

    openai.OpenAI openai.AsyncOpenAI anthropic.Anthropic anthropic.AsyncAnthropic slack_sdk.WebClient
    slack_sdk.web.client.WebClient twilio.rest.Client stripe.StripeClient algosdk.v2client.algod.AlgodClient
    googleapiclient.discovery.build_from_document

    zoneinfo.ZoneInfo pytz.timezone dateutil.tz.gettz babel.Locale babel.Locale.parse babel.core.Locale.parse
    PIL.ImageFont.truetype PIL.ImageFont.load_default PIL.Image.open user_agents.parse
    phonenumbers.PhoneNumberMatcher regex.compile networkx.DiGraph networkx.Graph networkx.MultiDiGraph
    ruamel.yaml.YAML yaml.safe_load tomllib.load tomllib.loads json.load json.loads csv.reader csv.DictReader
";

/// Calls that give the path of a file which an installed package brings along, and that package: the path is the same
/// whenever they are asked.
const LOOKED_UP: [(&str, &str); 3] =
    [("certifi.where", "certifi"), ("certifi.core.where", "certifi"), ("requests.certs.where", "certifi")];

/// Methods of what they make that make something of the same kind.
const FACTORIES: &str = "
    client resource Table Bucket Queue Topic Stream create_client get_paginator get_waiter get_template from_string
    compile pipeline get_available_subresources execution_options with_config bind load
";

const ENVIRONMENT: &str = "
    os.getenv os.path.expanduser os.path.expandvars pathlib.Path.home pathlib.Path.cwd shutil.which
    tempfile.gettempdir
";

const CLOCK: &str = "
    time.time time.time_ns time.monotonic time.monotonic_ns time.perf_counter time.perf_counter_ns
    time.process_time time.localtime time.gmtime time.ctime time.strftime datetime.datetime.now
    datetime.datetime.utcnow datetime.datetime.today datetime.date.today datetime.now datetime.utcnow
    datetime.today
";

const RANDOM: &str = "
    random.betavariate random.choice random.choices random.gauss random.getrandbits random.normalvariate
    random.randbytes random.randint random.random random.randrange random.sample random.shuffle
    random.uniform secrets.* uuid.uuid1 uuid.uuid4 os.urandom os.getpid os.getppid numpy.random.*
    threading.get_ident threading.current_thread
";

const FILES: &str = "
    builtins.open io.open os.listdir os.scandir os.getcwd os.stat glob.glob os.path.exists os.path.isfile
    os.path.isdir os.path.getmtime os.path.getsize joblib.load pickle.load numpy.load numpy.loadtxt
    numpy.genfromtxt numpy.fromfile pandas.read_csv pandas.read_json pandas.read_parquet pandas.read_pickle
    pandas.read_excel pandas.read_table polars.read_csv polars.read_parquet PIL.Image.open
    PIL.ImageFont.truetype lxml.etree.parse ssl.create_default_context spacy.load xgboost.Booster lightgbm.Booster
    onnxruntime.InferenceSession
";

/// Whether a call of `path` makes such a thing.
pub(super) fn is_constructor(path: &str) -> bool {
    within(CONSTRUCTORS, path)
}

/// The package of whose files a call of `path` finds one, the same whatever else has happened.
pub(super) fn looked_up(path: &str) -> Option<&'static str> {
    LOOKED_UP.iter().find(|(known, _)| *known == path).map(|(_, package)| *package)
}

/// Whether a method of such a thing makes another one.
pub(super) fn is_factory(name: &str) -> bool {
    within(FACTORIES, name)
}

/// What a call of `path` reads beside the program.
pub(super) fn source(path: &str) -> Option<Source> {
    if within(ENVIRONMENT, path) || path.starts_with("os.environ") {
        Some(Source::Environment)
    } else if within(CLOCK, path) {
        Some(Source::Clock)
    } else if within(RANDOM, path) {
        Some(Source::Random)
    } else if within(FILES, path) {
        Some(Source::Files)
    } else {
        None
    }
}
