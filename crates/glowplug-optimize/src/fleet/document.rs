//! `layers.json`: what was shared, what it gains, and the commands that attach it.

use std::collections::BTreeMap;

use camino::Utf8Path;
use glowplug_layers::{
    Baseline, Cost, Distribution, Fleet, Options, Plan, baseline_everything, baseline_none,
};
use glowplug_package::DIRECT_UPLOAD_LIMIT;
use glowplug_report::{
    Artifact, LayerMember, LayeredFunction, LayersBaseline, LayersBaselines, LayersCost, LayersObjective,
    LayersReport, LayersWeights, Report, SharedLayer,
};

use crate::fleet::LAYERS;
use crate::fleet::member::{Member, Named};
use crate::fleet::share::Made;

/// What there is to tell.
pub(crate) struct Shipped<'a> {
    pub(crate) members: &'a [Member<'a>],
    pub(crate) known: &'a BTreeMap<Named, Distribution>,
    pub(crate) fleet: &'a Fleet,
    pub(crate) made: &'a [Made],
    /// Functions whose replay with layers differed, and how.
    pub(crate) refused: &'a BTreeMap<usize, String>,
    pub(crate) reports: &'a [Report],
}

/// The document; paths are those below `out`.
pub(crate) fn document(shipped: &Shipped, plan: &Plan, options: &Options, out: &Utf8Path) -> LayersReport {
    let weights = options.weights;
    let objective = LayersObjective {
        weights: LayersWeights {
            stored: weights.stored,
            downloaded: weights.downloaded,
            republished: weights.republished,
            mixed: weights.mixed,
        },
        cost: cost(&plan.cost),
        lower_bound: plan.lower_bound,
        exact: plan.exact,
        gap: plan.gap(),
    };
    let baseline = |baseline: Baseline| LayersBaseline { cost: cost(&baseline.cost), fits: baseline.fits };
    let baselines = LayersBaselines {
        none: baseline(baseline_none(shipped.fleet, options)),
        everything: baseline(baseline_everything(shipped.fleet, options)),
    };
    let mut report = LayersReport::new(objective, baselines);
    report.layers = shipped.made.iter().map(|made| layer(shipped, made, out)).collect();
    report.functions = (0..shipped.members.len()).map(|at| function(shipped, at)).collect();
    report.commands = commands(&report);
    report
}

fn cost(cost: &Cost) -> LayersCost {
    let Cost { stored, downloaded, republished, mixed, total } = *cost;
    LayersCost { stored, downloaded, republished, mixed, total }
}

fn layer(shipped: &Shipped, made: &Made, out: &Utf8Path) -> SharedLayer {
    let chosen = &made.chosen;
    let functions = chosen.users.iter().map(|at| &shipped.members[*at].subject.ground.function);
    let function = shipped.members[chosen.users.first().copied().unwrap_or(0)].subject.ground.function;
    let members = chosen.members.iter().filter_map(|named| shipped.known.get(named));
    SharedLayer {
        name: chosen.name.clone(),
        path: out.join(LAYERS).join(format!("{}.zip", chosen.name)).to_string(),
        bytes: made.summary.bytes,
        sha256: made.summary.sha256.clone(),
        unzipped_bytes: made.summary.unzipped_bytes,
        python: function.python,
        architecture: function.architecture,
        members: members
            .map(|distribution| LayerMember {
                name: distribution.name.clone(),
                version: distribution.version.clone(),
                digest: distribution.digest.clone(),
                bytes: distribution.compressed,
                unzipped_bytes: distribution.unzipped,
                moves: distribution.moves,
                hot: distribution.hot,
            })
            .collect(),
        functions: functions.map(|function| function.name.clone()).collect(),
    }
}

fn function(shipped: &Shipped, at: usize) -> LayeredFunction {
    let (member, report) = (&shipped.members[at], &shipped.reports[at]);
    let function = member.subject.ground.function;
    let nothing = Artifact {
        kind: glowplug_report::ArtifactKind::Zip,
        path: String::new(),
        bytes: 0,
        sha256: String::new(),
    };
    let zip = report.artifacts.first().unwrap_or(&nothing);
    let attached = shipped.made.iter().filter(|made| made.chosen.users.contains(&at));
    LayeredFunction {
        name: function.name.clone(),
        layers: attached.map(|made| made.chosen.name.clone()).collect(),
        own_layers: function.layers.iter().map(ToString::to_string).collect(),
        zip: zip.path.clone(),
        bytes: zip.bytes,
        sha256: zip.sha256.clone(),
        unzipped_bytes: report.after.unzipped_bytes.unwrap_or(0) + member.layers_unzipped,
        refused: shipped.refused.get(&at).cloned(),
    }
}

/// Publishes the layers, then has each function find them before its zip does without what is in them.
fn commands(report: &LayersReport) -> Vec<String> {
    let mut all = Vec::new();
    for layer in &report.layers {
        let content = if layer.bytes <= DIRECT_UPLOAD_LIMIT {
            format!("--zip-file fileb://{}", layer.path)
        } else {
            all.push(format!("aws s3 cp {} s3://BUCKET/{}.zip", layer.path, layer.name));
            format!("--content S3Bucket=BUCKET,S3Key={}.zip", layer.name)
        };
        all.push(format!(
            "{}=$(aws lambda publish-layer-version --layer-name {} {content} --compatible-runtimes python{} \
             --compatible-architectures {} --query LayerVersionArn --output text)",
            variable(&layer.name),
            layer.name,
            layer.python,
            layer.architecture
        ));
    }
    for function in report.functions.iter().filter(|function| !function.layers.is_empty()) {
        let name = &function.name;
        // The list replaces the one that is there.
        let own = (1..=function.own_layers.len()).map(|number| format!("ARN_OF_OWN_LAYER_{number}"));
        let shared = function.layers.iter().map(|layer| format!("\"${}\"", variable(layer)));
        let layers: Vec<String> = own.chain(shared).collect();
        all.push(format!(
            "aws lambda update-function-configuration --function-name {name} --layers {}",
            layers.join(" ")
        ));
        all.push(format!("aws lambda wait function-updated-v2 --function-name {name}"));
        if function.bytes <= DIRECT_UPLOAD_LIMIT {
            all.push(format!(
                "aws lambda update-function-code --function-name {name} --zip-file fileb://{}",
                function.zip
            ));
        } else {
            all.push(format!("aws s3 cp {} s3://BUCKET/{name}.zip", function.zip));
            all.push(format!(
                "aws lambda update-function-code --function-name {name} --s3-bucket BUCKET --s3-key {name}.zip"
            ));
        }
    }
    all
}

/// A shell variable for a layer's ARN.
fn variable(layer: &str) -> String {
    layer.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use glowplug_core::{Architecture, PythonVersion};

    fn report(layer_bytes: u64, zip_bytes: u64) -> LayersReport {
        let cost = cost(&Cost::default());
        let baseline = LayersBaseline { cost, fits: true };
        let weights = LayersWeights { stored: 1.0, downloaded: 1.0, republished: 1.0, mixed: 0.1 };
        let objective = LayersObjective { weights, cost, lower_bound: 0.0, exact: true, gap: 0.0 };
        let mut report =
            LayersReport::new(objective, LayersBaselines { none: baseline, everything: baseline });
        report.layers.push(SharedLayer {
            name: "shared-numpy".into(),
            path: "out/layers/shared-numpy.zip".into(),
            bytes: layer_bytes,
            sha256: String::new(),
            unzipped_bytes: 0,
            python: PythonVersion::new(3, 12),
            architecture: Architecture::Arm64,
            members: Vec::new(),
            functions: vec!["a".into()],
        });
        for (name, layers) in [("a", vec!["shared-numpy".to_owned()]), ("b", Vec::new())] {
            report.functions.push(LayeredFunction {
                name: name.into(),
                layers,
                own_layers: vec!["./own.zip".into()],
                zip: format!("out/{name}/{name}.zip"),
                bytes: zip_bytes,
                sha256: String::new(),
                unzipped_bytes: 0,
                refused: None,
            });
        }
        report
    }

    #[test]
    fn layers_are_published_then_attached_and_only_then_the_code_goes() {
        assert_eq!(
            commands(&report(10, 10)),
            [
                "SHARED_NUMPY=$(aws lambda publish-layer-version --layer-name shared-numpy --zip-file fileb://out/layers/shared-numpy.zip --compatible-runtimes python3.12 --compatible-architectures arm64 --query LayerVersionArn --output text)",
                "aws lambda update-function-configuration --function-name a --layers ARN_OF_OWN_LAYER_1 \"$SHARED_NUMPY\"",
                "aws lambda wait function-updated-v2 --function-name a",
                "aws lambda update-function-code --function-name a --zip-file fileb://out/a/a.zip",
            ]
        );
    }

    #[test]
    fn what_is_too_large_for_a_request_goes_through_a_bucket() {
        let large = DIRECT_UPLOAD_LIMIT + 1;
        let all = commands(&report(large, large));
        assert!(all[0].starts_with("aws s3 cp out/layers/shared-numpy.zip s3://BUCKET/"), "{all:?}");
        assert!(all[1].contains("--content S3Bucket=BUCKET,S3Key=shared-numpy.zip"), "{all:?}");
        assert!(all[5].contains("--s3-bucket BUCKET --s3-key a.zip"), "{all:?}");
    }
}
