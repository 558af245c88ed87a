//! What the optimiser is told: distributions, functions, weights.

use std::collections::{BTreeMap, BTreeSet};

use glowplug_core::{Error, Result};
use serde::{Deserialize, Serialize};

/// Layers that one function can attach: "Lambda quotas",
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>.
pub const LAYERS_PER_FUNCTION: usize = 5;

/// A function and its layers unzipped, in bytes (250 MB), from the same page.
pub const UNZIPPED_LIMIT: u64 = 262_144_000;

/// What the update of one function takes, in bytes: about one `UpdateFunctionConfiguration` with its answer.
pub const UPDATE_BYTES: f64 = 2048.0;

/// One version of a distribution, as all functions have it that name it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Distribution {
    /// Its normalised name: a function has one version of a name.
    pub name: String,
    /// For people.
    pub version: String,
    /// Of its contents; what differs in one byte is another distribution.
    pub digest: String,
    /// Bytes unpacked.
    pub unzipped: u64,
    /// Bytes in a zip.
    pub compressed: u64,
    /// How often it moves to another version, relative to the others.
    #[serde(default = "one")]
    pub moves: f64,
    /// Whether it is needed before the first response.
    #[serde(default)]
    pub hot: bool,
}

/// One function of the fleet; numbers are indices into [`Fleet::distributions`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Function {
    /// For people.
    pub name: String,
    /// Bytes unpacked of what can be in no shared layer: its own files, and the layers that it has already.
    pub own_unzipped: u64,
    /// Bytes in a zip of its own files.
    pub own_compressed: u64,
    /// How often it starts cold, relative to the others.
    #[serde(default = "one")]
    pub cold_starts: f64,
    /// How often its own code is released, relative to the moves of distributions.
    #[serde(default)]
    pub releases: f64,
    /// The distributions that it needs.
    pub needs: BTreeSet<usize>,
    /// Those among them that have to stay in its zip.
    #[serde(default)]
    pub stays: BTreeSet<usize>,
    /// Those that it must not get even where it may get what it does not need.
    #[serde(default)]
    pub refuses: BTreeSet<usize>,
    /// Sets of them that have to be all in layers or all in the zip.
    #[serde(default)]
    pub tangles: Vec<BTreeSet<usize>>,
    /// How many layers it has already.
    #[serde(default)]
    pub own_layers: usize,
}

/// All that is optimised together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Fleet {
    /// Every distribution that some function needs.
    pub distributions: Vec<Distribution>,
    /// The functions.
    pub functions: Vec<Function>,
}

/// What a byte counts, by what happens to it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Weights {
    /// Stored: each layer once, and each zip.
    pub stored: f64,
    /// Downloaded by cold starts.
    pub downloaded: f64,
    /// Published again when one dependency moves.
    pub republished: f64,
    /// Hot and other bytes in one layer, the fewer of the two.
    pub mixed: f64,
}

impl Default for Weights {
    /// A byte is a byte, stored, fetched or published. That a layer mixes what is needed for the first response with
    /// what is not costs a tenth: enough to choose between plans that are otherwise alike.
    fn default() -> Self {
        Self { stored: 1.0, downloaded: 1.0, republished: 1.0, mixed: 0.1 }
    }
}

/// How to optimise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// The objective's weights.
    pub weights: Weights,
    /// Layers of the whole fleet.
    pub most_layers: usize,
    /// Functions that must be able to attach a layer for it to be worth a name.
    pub least_users: usize,
    /// Whether functions may get distributions that they do not need.
    pub unneeded: bool,
    /// Search nodes that may be spent on the proof.
    pub effort: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            weights: Weights::default(),
            most_layers: LAYERS_PER_FUNCTION,
            least_users: 2,
            unneeded: false,
            effort: 2_000_000,
        }
    }
}

const fn one() -> f64 {
    1.0
}

impl Fleet {
    /// Checks what the optimiser takes for granted.
    ///
    /// # Errors
    /// Input: a number that is no distribution's, a rate that is negative or no number, two versions of one
    /// distribution in one function, more than Lambda unpacks. Usage: a weight that is negative or no number.
    pub fn check(&self, options: &Options) -> Result<()> {
        let Weights { stored, downloaded, republished, mixed } = options.weights;
        for (name, weight) in
            [("stored", stored), ("downloaded", downloaded), ("republished", republished), ("mixed", mixed)]
        {
            if !(weight.is_finite() && weight >= 0.0) {
                return Err(Error::input(format!("the weight `{name}` is {weight}"))
                    .hint("weights are numbers from 0 on"));
            }
        }
        if options.most_layers == 0 {
            return Err(Error::input("`most_layers` is 0, so that nothing can be shared")
                .hint("give a number from 1 to 5, or leave `--kind layers` out"));
        }
        for distribution in &self.distributions {
            rate(&distribution.name, "moves", distribution.moves)?;
        }
        self.functions.iter().try_for_each(|function| self.check_function(function))
    }

    fn check_function(&self, function: &Function) -> Result<()> {
        rate(&function.name, "cold_starts", function.cold_starts)?;
        rate(&function.name, "releases", function.releases)?;
        let mut seen = BTreeMap::new();
        for index in function.needs.iter().chain(&function.stays).chain(&function.refuses) {
            let Some(distribution) = self.distributions.get(*index) else {
                return Err(Error::input(format!(
                    "`{}` names a distribution that is not there",
                    function.name
                ))
                .cause(format!("there is no number {index}")));
            };
            if !function.needs.contains(index) {
                continue;
            }
            if let Some(other) = seen.insert(&distribution.name, *index).filter(|other| other != index) {
                return Err(Error::input(format!("`{}` needs `{}` twice", function.name, distribution.name))
                    .cause(format!(
                        "versions {} and {}",
                        self.distributions[other].version, distribution.version
                    ))
                    .hint("remove one of them from the package"));
            }
        }
        let unzipped = self.unzipped(function);
        if unzipped > UNZIPPED_LIMIT {
            return Err(Error::input(format!(
                "`{}` unzips to {unzipped} bytes with its layers, and Lambda takes at most {UNZIPPED_LIMIT}",
                function.name
            ))
            .hint(
                "layers do not raise this limit: leave out what it does not need, or ship a container image",
            ));
        }
        Ok(())
    }

    /// What a function with all it needs unzips to, wherever that lies.
    pub fn unzipped(&self, function: &Function) -> u64 {
        let needed = function.needs.iter().map(|index| self.distributions[*index].unzipped);
        function.own_unzipped + needed.sum::<u64>()
    }

    /// All moves and releases: what one of them is a share of.
    pub(crate) fn moves(&self) -> f64 {
        let distributions = self.distributions.iter().map(|distribution| distribution.moves);
        let functions = self.functions.iter().map(|function| function.releases);
        distributions.chain(functions).sum()
    }
}

fn rate(of: &str, name: &str, value: f64) -> Result<()> {
    if value.is_finite() && value >= 0.0 {
        return Ok(());
    }
    Err(Error::input(format!("`{name}` of `{of}` is {value}")).hint("rates are numbers from 0 on"))
}
