//! Names that are part of the contract: schemas, paths, the support module.

/// Schema of `glowplug trace --format json`.
pub const SCHEMA_TRACE: &str = "glowplug.trace/1";
/// Schema of a choice of memory.
pub const SCHEMA_TUNE: &str = "glowplug.tune/1";
/// Schema of `glowplug.lock`.
pub const SCHEMA_PLAN: &str = "glowplug.plan/1";
/// Schema of `glowplug build --format json`.
pub const SCHEMA_REPORT: &str = "glowplug.report/1";
/// Schema of `layers.json` in the output folder of several functions.
pub const SCHEMA_LAYERS: &str = "glowplug.layers/1";
/// Schema of `glowplug build --format json` with several functions.
pub const SCHEMA_FLEET: &str = "glowplug.fleet/1";
/// Schema of `glowplug build --format json` with several platforms, and of `images.json` in its output folder.
pub const SCHEMA_IMAGES: &str = "glowplug.images/1";
/// Where Lambda mounts the function; the paths inside shipped bytecode start with it.
pub const TASK_ROOT: &str = "/var/task";
/// Where modules of layers lie, and the paths inside their bytecode start: "Packaging your layer content",
/// <https://docs.aws.amazon.com/lambda/latest/dg/packaging-layers.html>.
pub const LAYER_ROOT: &str = "/opt/python";
/// The private module that an artifact with lazy imports carries; the build checks the tree for the name.
pub const SUPPORT_MODULE: &str = "_glowplug_lazy";
/// File in every output folder of ours: such a folder may be replaced, and is never packaged.
pub const OUTPUT_MARKER: &str = ".glowplug-output";

/// Name of the private module that tells why a module is not in an artifact; another where the tree has one of that name.
pub const ABSENT_MODULE: &str = "_glowplug_absent";
