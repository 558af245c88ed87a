//! The types of `glowplug.layers/1`: shared layers, who attaches them, and what that gains.

use glowplug_core::{Architecture, PythonVersion, SCHEMA_LAYERS};
use serde::{Deserialize, Serialize};

/// Which layers several functions share, and how to attach them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayersReport {
    /// Always [`SCHEMA_LAYERS`].
    pub schema: String,
    /// Name and version of the tool.
    pub tool: String,
    /// The layers, those with more functions first.
    pub layers: Vec<SharedLayer>,
    /// Every function, in the order of the command line.
    pub functions: Vec<LayeredFunction>,
    /// What the plan minimises.
    pub objective: LayersObjective,
    /// Two other ways to ship the same functions.
    pub baselines: LayersBaselines,
    /// Shell commands that publish the layers and update the functions, in order.
    pub commands: Vec<String>,
}

impl LayersReport {
    /// A report of this version of the tool.
    pub fn new(objective: LayersObjective, baselines: LayersBaselines) -> Self {
        Self {
            schema: SCHEMA_LAYERS.to_owned(),
            tool: concat!("glowplug ", env!("CARGO_PKG_VERSION")).to_owned(),
            layers: Vec::new(),
            functions: Vec::new(),
            objective,
            baselines,
            commands: Vec::new(),
        }
    }
}

/// One shared layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SharedLayer {
    /// Its name, as it is published.
    pub name: String,
    /// The zip, as the user can type it.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// SHA-256 of its bytes, as hex.
    pub sha256: String,
    /// Unpacked.
    pub unzipped_bytes: u64,
    /// The minor version that its bytecode is for.
    pub python: PythonVersion,
    /// The machine type of its libraries.
    pub architecture: Architecture,
    /// The distributions in it.
    pub members: Vec<LayerMember>,
    /// The functions that attach it.
    pub functions: Vec<String>,
}

/// A distribution in a layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerMember {
    /// As compared: lower case, with hyphens.
    pub name: String,
    /// Its version.
    pub version: String,
    /// SHA-256 over its paths, modes and contents, the interpreter's version and the machine type.
    pub digest: String,
    /// In a zip, one file compressed by itself.
    pub bytes: u64,
    /// Unpacked.
    pub unzipped_bytes: u64,
    /// How often it moves, relative to the others.
    pub moves: f64,
    /// Whether a first response needs something of it.
    pub hot: bool,
}

/// What a function is shipped as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayeredFunction {
    /// Its name.
    pub name: String,
    /// Shared layers in the order in which they are attached, after its own.
    pub layers: Vec<String>,
    /// Its own layers, as the configuration names them; they stay.
    pub own_layers: Vec<String>,
    /// Its own zip.
    pub zip: String,
    /// The zip's size.
    pub bytes: u64,
    /// SHA-256 of the zip, as hex.
    pub sha256: String,
    /// Zip and all layers unpacked: what Lambda's 250 MB are about.
    pub unzipped_bytes: u64,
    /// Why it attaches none although it could, or nothing.
    pub refused: Option<String>,
}

/// What the plan costs, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LayersCost {
    /// Every layer once, and every zip.
    pub stored: f64,
    /// By the cold starts of the functions.
    pub downloaded: f64,
    /// When one dependency moves: the mean over all moves.
    pub republished: f64,
    /// Hot and other bytes in one layer, the fewer.
    pub mixed: f64,
    /// The weighted sum.
    pub total: f64,
}

/// The weights of the sum.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LayersWeights {
    /// Of [`LayersCost::stored`].
    pub stored: f64,
    /// Of [`LayersCost::downloaded`].
    pub downloaded: f64,
    /// Of [`LayersCost::republished`].
    pub republished: f64,
    /// Of [`LayersCost::mixed`].
    pub mixed: f64,
}

/// What is minimised.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LayersObjective {
    /// The weights.
    pub weights: LayersWeights,
    /// What the plan costs.
    pub cost: LayersCost,
    /// No plan costs less than this total.
    pub lower_bound: f64,
    /// Whether the plan is proved to be the best.
    pub exact: bool,
    /// What a better plan could save at most, as a share of the total.
    pub gap: f64,
}

/// Other ways to ship the same functions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LayersBaselines {
    /// Everything in the functions' zips.
    pub none: LayersBaseline,
    /// One layer with everything that may be shared, attached by all.
    pub everything: LayersBaseline,
}

/// One other way.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LayersBaseline {
    /// What it costs.
    pub cost: LayersCost,
    /// Whether Lambda would take it.
    pub fits: bool,
}
