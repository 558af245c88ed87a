//! Functions that are images of an OCI layout on this machine: found, checked, shown, told to the engine.

use std::collections::BTreeMap;
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::{Architecture, Error, ErrorClass, Progress, PythonVersion, Result};
use glowplug_engine::ImageSpec;
use glowplug_image::{LayoutImage, StartConfig};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::service::LocalFunction;
use crate::unpacked::Unpacked;

/// What an `ImageUri` begins with here.
const SCHEME: &str = "oci:";
/// The label that names an image for people (OCI image specification, `annotations.md`).
const TITLE: &str = "org.opencontainers.image.title";
/// Words of a list of `ImageConfig` (`StringList` of the service model).
const MOST_WORDS: usize = 1500;
/// Lambda's defaults of a function ("Lambda quotas", and `CreateFunction`).
const MEMORY_MB: u32 = 128;
const TIMEOUT_S: u32 = 3;

/// `ImageConfig` of the service model: what stands above the image's own configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct ImageConfig {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    entry_point: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    command: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    working_directory: Option<String>,
}

/// The image that a version runs. Which one it is the hash of its code says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// As the client gave it.
    uri: String,
    /// As the image says it.
    start: StartConfig,
    pub(crate) config: ImageConfig,
}

/// Where an image is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Reference {
    layout: Utf8PathBuf,
    /// A tag or a digest.
    image: Option<String>,
}

impl ImageConfig {
    /// Holds it against the service model's limits.
    pub(crate) fn check(&self) -> Result<(), ApiError> {
        for (list, member) in
            [(&self.entry_point, "imageConfig.entryPoint"), (&self.command, "imageConfig.command")]
        {
            if list.len() > MOST_WORDS {
                let must = format!("have length less than or equal to {MOST_WORDS}");
                return Err(ApiError::constraint(&list.len().to_string(), member, &must));
            }
            if list.iter().any(|word| word.contains('\0')) {
                return Err(ApiError::invalid(format!("{member} holds a zero byte.")));
            }
        }
        Ok(())
    }
}

impl Image {
    /// The image that an `ImageUri` means, for an architecture.
    pub(crate) fn find(uri: Option<&str>, architecture: &str) -> Result<(Self, LayoutImage), ApiError> {
        let uri =
            uri.ok_or_else(|| ApiError::invalid("Please provide a source for function code: ImageUri."))?;
        let Reference { layout, image } = reference(uri)?;
        Self::open(&layout, image.as_deref(), uri, architecture.parse()?).map_err(refused)
    }

    fn open(
        layout: &Utf8Path,
        wanted: Option<&str>,
        uri: &str,
        architecture: Architecture,
    ) -> Result<(Self, LayoutImage)> {
        if let Some(host) = Architecture::host().filter(|host| *host != architecture) {
            return Err(Error::input(format!(
                "the function is for {architecture}, and this machine is {host}"
            ))
            .hint(format!("images run on their own machine alone: say `Architectures` [`{host}`]")));
        }
        let found = LayoutImage::open(layout, wanted, architecture)?;
        let image = Self { uri: uri.to_owned(), start: found.start()?, config: ImageConfig::default() };
        Ok((image, found))
    }

    /// Entry point and command, each the function's own where that is set.
    fn program(&self) -> Vec<String> {
        let either =
            |own: &[String], image: &[String]| if own.is_empty() { image.to_vec() } else { own.to_vec() };
        let mut program = either(&self.config.entry_point, &self.start.entrypoint);
        program.extend(either(&self.config.command, &self.start.cmd));
        program
    }

    fn working_dir(&self) -> &str {
        let own = self.config.working_directory.as_deref().filter(|folder| !folder.is_empty());
        own.or(self.start.working_dir.as_deref()).unwrap_or("/")
    }

    /// What runtime clients take for the handler: the first word of the command.
    pub(crate) fn handler(&self) -> &String {
        static NONE: String = String::new();
        self.config.command.first().or(self.start.cmd.first()).unwrap_or(&NONE)
    }

    /// Whether there is something to start, and where.
    pub(crate) fn check_start(&self) -> Result<(), ApiError> {
        if self.program().is_empty() {
            return Err(ApiError::invalid(
                "The image has neither an entry point nor a command: set them when it is built, or with ImageConfig.",
            ));
        }
        if !self.working_dir().starts_with('/') {
            return Err(ApiError::invalid(format!(
                "The working directory {} does not begin with a slash.",
                self.working_dir()
            )));
        }
        Ok(())
    }

    /// Whether the folder that it starts in is there.
    pub(crate) fn check_folder(&self, tree: &Utf8Path) -> Result<(), ApiError> {
        let folder = self.working_dir().trim_start_matches('/');
        let own = ["tmp", "proc", "dev", "sys"].iter().any(|own| Utf8Path::new(folder).starts_with(own));
        if own || fs::symlink_metadata(tree.join(folder)).is_ok() {
            return Ok(());
        }
        Err(ApiError::invalid(format!("The working directory /{folder} is not in the image.")))
    }

    /// For the engine.
    pub(crate) fn spec(&self) -> ImageSpec {
        ImageSpec {
            program: self.program(),
            working_dir: self.working_dir().to_owned(),
            variables: self.start.env.clone(),
        }
    }

    /// Its part of `FunctionConfiguration`.
    pub(crate) fn show(&self, shown: &mut Value) {
        if self.config != ImageConfig::default() {
            shown["ImageConfigResponse"] = json!({"ImageConfig": self.config});
        }
    }

    /// `FunctionCodeLocation` of the service model.
    pub(crate) fn location(&self, sha256: &str) -> Value {
        let layout = reference(&self.uri).map(|reference| reference.layout).unwrap_or_default();
        json!({
            "RepositoryType": "ECR",
            "ImageUri": self.uri,
            "ResolvedImageUri": format!("{SCHEME}{layout}@sha256:{sha256}"),
        })
    }
}

/// Reads `oci:/folder`, `oci:/folder:tag` or `oci:/folder@sha256:…`.
fn reference(uri: &str) -> Result<Reference, ApiError> {
    let path = uri.strip_prefix(SCHEME).filter(|path| path.starts_with('/')).ok_or_else(|| {
        ApiError::invalid(format!(
            "ImageUri {uri}: images come from this machine here, not from a registry. Name a folder with an OCI image layout, \
             oci:/FOLDER or oci:/FOLDER:TAG; `glowplug build --kind image` makes one, and so does `skopeo copy docker://IMAGE \
             oci:/FOLDER:TAG`."
        ))
    })?;
    let whole = || Reference { layout: path.into(), image: None };
    if is_layout(Utf8Path::new(path)) {
        return Ok(whole());
    }
    let named =
        |(layout, image): (&str, &str)| Reference { layout: layout.into(), image: Some(image.to_owned()) };
    let digest = path.split_once('@').map(named);
    let tag = path.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).map(named);
    Ok(digest.or(tag).unwrap_or_else(whole))
}

/// What was wrong with an image is the client's to know, with what to do.
pub(crate) fn refused(error: Error) -> ApiError {
    if error.class() == ErrorClass::Surroundings {
        return ApiError::from(error);
    }
    let mut text = error.to_string();
    for more in error.causes().iter().chain(error.hints()) {
        text.push_str(": ");
        text.push_str(more);
    }
    ApiError::invalid(text)
}

/// Whether a path is a folder with an OCI image layout.
pub fn is_layout(path: &Utf8Path) -> bool {
    path.join("oci-layout").is_file()
}

/// The function that the one image of a layout is, for this machine; its files are unpacked below `cache`, once, and removed
/// when they are needed no more. `memory_mb`
/// is Lambda's least where it is not given.
///
/// # Errors
/// Input: no layout, several images, another machine, a damaged one, nothing to start in it. Surroundings: the disk.
pub fn local_image(
    path: &Utf8Path,
    cache: &Utf8Path,
    memory_mb: Option<u32>,
    progress: &dyn Progress,
) -> Result<LocalFunction> {
    let architecture = Architecture::host()
        .ok_or_else(|| Error::surroundings("Lambda has no machine like this one").place(path.as_str()))?;
    let layout = path.canonicalize_utf8().map_err(|error| Error::from(error).place(path.as_str()))?;
    let (image, found) = Image::open(&layout, None, &format!("{SCHEME}{layout}"), architecture)?;
    let wrong = |error: ApiError| Error::input(error.message).place(path.as_str());
    image.check_start().map_err(wrong)?;
    let unpacked = Unpacked::of(&found, &layout, cache, progress)?;
    let tree = unpacked.tree();
    image.check_folder(&tree).map_err(wrong)?;
    let title = found.label(TITLE).filter(|title| crate::names::is_word(title));
    let name = title.or(layout.file_name()).unwrap_or("image").to_owned();
    Ok(LocalFunction {
        name,
        handler: image.handler().clone(),
        // Not used: the image brings what it needs.
        python: PythonVersion::new(3, 0),
        architecture,
        memory_mb: memory_mb.unwrap_or(MEMORY_MB),
        timeout_s: TIMEOUT_S,
        environment: BTreeMap::new(),
        source: layout,
        tree,
        layers: Vec::new(),
        digest: found.digest().hex().to_owned(),
        bytes: 0,
        image: Some(image),
        keeps: Arc::new(unpacked),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_name_a_folder_and_an_image() {
        let keep = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(keep.path()).unwrap();
        let odd = folder.join("a:b");
        fs::create_dir(&odd).unwrap();
        fs::write(odd.join("oci-layout"), "").unwrap();
        let read = |uri: &str| reference(uri).map(|r| (r.layout.to_string(), r.image));
        assert_eq!(read("oci:/x/y:v1").unwrap(), ("/x/y".to_owned(), Some("v1".to_owned())));
        assert_eq!(read("oci:/x:1/y").unwrap(), ("/x:1/y".to_owned(), None));
        let digest = format!("sha256:{}", "0".repeat(64));
        assert_eq!(read(&format!("oci:/x@{digest}")).unwrap(), ("/x".to_owned(), Some(digest)));
        assert_eq!(read(&format!("oci:{odd}")).unwrap(), (odd.to_string(), None));
        for remote in ["123456789012.dkr.ecr.us-east-1.amazonaws.com/f:1", "oci:relative", "f"] {
            assert!(read(remote).unwrap_err().message.contains("skopeo copy"), "{remote}");
        }
    }

    #[test]
    fn the_functions_own_words_stand_above_the_images() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let start =
            StartConfig { entrypoint: words("/run it"), cmd: words("app.a"), ..StartConfig::default() };
        let mut image = Image { uri: "oci:/x".to_owned(), start, config: ImageConfig::default() };
        assert_eq!((image.program(), image.handler().as_str()), (words("/run it app.a"), "app.a"));
        image.config.command = words("app.b");
        assert_eq!((image.program(), image.handler().as_str()), (words("/run it app.b"), "app.b"));
        image.config.working_directory = Some("relative".to_owned());
        assert!(image.check_start().is_err());
    }
}
