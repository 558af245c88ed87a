"""The packages whose tests are run, each at a pinned version."""

from dataclasses import dataclass, field


@dataclass
class Package:
    """What is taken of a package."""

    # The requirement that installs it: `name[extra]==version`.
    requirement: str
    # What it is for, in a word.
    kind: str
    # Test folders and files, in the source distribution; of `inside` ones, in the installed tree.
    tests: list
    # What its tests need, besides pytest.
    needs: list = field(default_factory=list)
    # Plugins of pytest that its tests need, by module.
    plugins: list = field(default_factory=list)
    # Further arguments of pytest.
    arguments: list = field(default_factory=list)
    # Other folders and files of the source distribution that the tests read.
    data: list = field(default_factory=list)
    # Folders of tests that belong into the package itself.
    inside: list = field(default_factory=list)
    # Distributions that are made lazy although a plugin of pytest brings them.
    lazy_too: list = field(default_factory=list)
    environment: dict = field(default_factory=dict)
    # Seconds for one run.
    timeout: int = 600

    @property
    def name(self):
        return self.requirement.partition("==")[0].partition("[")[0]

    def parts(self):
        """What is unpacked."""
        settings = ["pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg", "conftest.py"]
        return settings + self.data + (self.inside or [part.partition("/")[0] for part in self.tests])


# Of large suites, files that take in most of the package.
_FASTAPI = ["application", "dependency_class", "dependency_contextmanager", "dependency_duplicates", "params_repr",
            "response_model_as_return_annotation", "security_api_key_header", "security_oauth2", "tuples", "union_body",
            "validate_response", "ws_dependencies", "ws_router"]
_PYDANTIC = ["test_dataclasses.py", "test_deferred_annotations.py", "test_dunder_all.py", "test_forward_ref.py",
             "test_lazy_imports.py", "test_main.py", "test_networks.py", "test_pickle.py", "test_root_model.py",
             "test_type_adapter.py", "test_validate_call.py", "test_v1.py"]
_CRYPTOGRAPHY = ["x509", "test_cryptography_utils.py", "test_fernet.py", "test_meta.py", "test_utils.py",
                 "test_warnings.py", "hazmat/bindings", "hazmat/primitives/test_hashes.py",
                 "hazmat/primitives/test_pkcs7.py", "hazmat/primitives/test_serialization.py",
                 "hazmat/primitives/test_x25519.py"]
_PILLOW = ["000_sanity", "features", "file_bmp", "file_gif", "file_jpeg", "file_png", "file_tiff", "file_webp", "image",
           "image_convert", "imagedraw", "imagefont", "imageops", "locale", "main", "pickle"]
_AIOHTTP = ["circular_imports", "client_request", "client_response", "client_session", "connector", "cookiejar",
            "formdata", "imports", "multipart", "payload", "resolver", "web_app", "web_request", "web_response"]

_ALL = [
    # Pure.
    Package("attrs==26.1.0", "classes", ["tests"], ["hypothesis", "cloudpickle", "pympler"],
            plugins=["_hypothesis_pytestplugin"], arguments=["--import-mode=importlib"]),
    Package("jinja2==3.1.6", "templating", ["tests"], ["trio"]),
    Package("click==8.5.1", "command line", ["tests"], arguments=["-m", "not stress"]),
    Package("requests[socks]==2.34.2", "web client", ["tests"],
            ["pytest-httpbin==2.1.0", "httpbin~=0.10.0", "pytest-mock", "trustme"],
            plugins=["pytest_httpbin.plugin", "pytest_mock"]),
    Package("httpx[brotli,cli,http2,socks,zstd]==0.28.1", "web client", ["tests"],
            ["chardet", "cryptography", "trio", "trio-typing", "trustme", "uvicorn"], plugins=["anyio.pytest_plugin"],
            data=["README.md"]),
    Package("werkzeug==3.1.9", "web", ["tests"],
            ["cffi", "cryptography", "ephemeral-port-reserve", "pytest-timeout", "watchdog"],
            plugins=["pytest_timeout"], arguments=["-m", "not dev_server"]),
    Package("flask==3.1.3", "web", ["tests"], ["pytest<9", "asgiref", "greenlet", "python-dotenv"]),
    Package("starlette[full]==1.10.0", "web", ["tests"],
            ["httpx2[zstd]>=2.0.0", "blockbuster", "importlib-metadata", "opentelemetry-sdk", "trio",
             "pytest-codspeed"],
            plugins=["anyio.pytest_plugin", "pytest_codspeed.plugin"]),
    Package("fastapi[all]==0.165.0", "web", ["tests/test_%s.py" % name for name in _FASTAPI],
            ["anyio[trio]", "dirty-equals", "flask", "inline-snapshot", "pwdlib[argon2]", "pyjwt", "pytest-timeout",
             "python-slugify", "sqlmodel", "opentelemetry-instrumentation-fastapi", "logfire", "sentry-sdk", "a2wsgi"],
            plugins=["anyio.pytest_plugin", "inline_snapshot.pytest_plugin", "pytest_timeout"],
            data=["docs_src"]),
    Package("jsonschema[format]==4.26.0", "validation", ["jsonschema/tests"], ["jsonpath-ng", "virtue"],
            data=["json"], inside=["jsonschema/tests"], environment={"JSON_SCHEMA_TEST_SUITE": "{folder}/json"}),
    Package("marshmallow==4.4.0", "validation", ["tests"], ["simplejson"],
            arguments=["--ignore-glob=*/mypy_test_cases/*"]),
    Package("botocore==1.44.8", "AWS", ["tests/unit"], ["jsonschema"]),
    Package("s3transfer==0.19.3", "AWS", ["tests/unit"]),
    Package("networkx==3.7", "data", ["networkx/classes", "networkx/readwrite"],
            ["numpy", "scipy", "pandas", "lxml"], inside=["networkx"]),
    Package("structlog==26.1.0", "logging", ["tests"],
            ["pytest-asyncio", "rich", "simplejson", "time-machine", "twisted"],
            plugins=["pytest_asyncio.plugin"], arguments=["--import-mode=importlib"]),
    Package("beautifulsoup4==4.15.0", "data", ["bs4/tests"], ["html5lib", "lxml"], inside=["bs4/tests"]),
    # With native modules.
    Package("markupsafe==3.0.4", "templating", ["tests"]),
    Package("pydantic[email]==2.14.4", "validation", ["tests/" + name for name in _PYDANTIC],
            ["cloudpickle", "dirty-equals", "faker", "jsonschema", "packaging", "pytest-benchmark", "pytest-mock",
             "pytest-run-parallel", "pytz", "time-machine"],
            plugins=["pytest_benchmark.plugin", "pytest_mock", "pytest_run_parallel.plugin"],
            arguments=["--benchmark-disable"]),
    Package("cryptography==50.0.2", "crypto", ["tests/" + name for name in _CRYPTOGRAPHY],
            ["cryptography_vectors==50.0.2", "certifi", "pretend", "pytest-benchmark"],
            plugins=["pytest_benchmark.plugin"], arguments=["--benchmark-disable"]),
    Package("pyyaml==6.0.4", "data", ["tests"]),
    Package("yarl==1.25.1", "web", ["tests"], ["hypothesis", "pydantic", "pytest-codspeed"],
            plugins=["_hypothesis_pytestplugin", "pytest_codspeed.plugin"]),
    Package("sqlalchemy[asyncio]==2.1.9", "databases", ["test/base", "test/engine"], ["aiosqlite"],
            data=["lib/sqlalchemy/testing/plugin"]),
    Package("pillow==13.0.0", "images", ["Tests/test_%s.py" % name for name in _PILLOW],
            ["defusedxml", "olefile", "packaging", "psutil", "pytest-timeout", "setuptools"],
            plugins=["pytest_timeout"]),
    Package("pandas==3.1.1", "data", ["pandas/tests/base", "pandas/tests/io/json"],
            ["hypothesis", "jinja2"], plugins=["_hypothesis_pytestplugin"], inside=["pandas/tests"]),
    Package("aiohttp==3.14.5", "web", ["tests/test_%s.py" % name for name in _AIOHTTP],
            ["freezegun", "isal", "pytest-mock", "proxy.py", "re-assert", "time-machine", "trustme", "zlib-ng",
             "blockbuster", "coverage", "pytest-codspeed", "pytest-aiohttp", "pytest-timeout"],
            plugins=["pytest_mock", "pytest_codspeed.plugin", "pytest_timeout"]),
]

PACKAGES = {package.name: package for package in _ALL}
