//! Which AWS services a function can ask boto3 for, where the code says so by literals alone.

use std::collections::{BTreeMap, BTreeSet};

use fs_err as fs;
use rayon::prelude::*;

use glowplug_imports::{ModuleAnalysis, ServiceCalls};
use glowplug_package::{ModuleFile, PackageTree};

use crate::subject::Subject;

/// Distributions that make clients for whatever name they are given.
const SDK: [&str; 3] = ["boto3", "botocore", "s3transfer"];

/// The services named by literals; `None` where some call names its service by something else, or
/// where the tree has no boto3.
pub(crate) fn aws_services(subject: &Subject) -> Option<BTreeSet<String>> {
    let is_user = |module: &str| subject.is_user(module);
    services_of(&subject.ground.package, &subject.modules, &subject.analyses, &is_user)
}

/// The same for a tree that is only looked at.
pub(crate) fn services_of(
    package: &PackageTree,
    modules: &BTreeMap<String, ModuleFile>,
    analyses: &BTreeMap<String, ModuleAnalysis>,
    is_user: &(dyn Fn(&str) -> bool + Sync),
) -> Option<BTreeSet<String>> {
    let has_sdk = package.distributions.iter().any(|d| SDK.contains(&d.name.as_str()));
    if !has_sdk {
        return None;
    }
    let calls: Vec<ServiceCalls> = analyses
        .par_iter()
        .filter_map(|(module, analysis)| {
            let file = modules.get(module)?;
            let owner = package.distribution_of(&file.path).map(|d| d.name.as_str());
            if owner.is_some_and(|name| SDK.contains(&name)) {
                return None;
            }
            let near = is_user(module)
                || analysis.imports.iter().any(|import| {
                    let top = import.module.split('.').next().unwrap_or_default();
                    SDK.contains(&top)
                });
            near.then(|| fs::read_to_string(package.root.join(&file.path)).ok())?
                .map(|source| glowplug_imports::service_calls(&source))
        })
        .collect();
    let mut services = BTreeSet::new();
    for call in calls {
        match call {
            ServiceCalls::Literal(names) => services.extend(names),
            ServiceCalls::Unknown => return None,
        }
    }
    Some(services)
}
