//! Which AWS services a function can ask boto3 for.

use std::collections::{BTreeMap, BTreeSet};

use fs_err as fs;
use rayon::prelude::*;

use glowplug_imports::{ModuleAnalysis, ServiceCalls};
use glowplug_package::{ModuleFile, PackageTree, Reached};

use crate::subject::Subject;

/// Distributions that make clients for whatever name they are given.
const SDK: [&str; 3] = ["boto3", "botocore", "s3transfer"];
/// What a source that makes clients holds.
const MENTIONS: [&str; 2] = ["client", "resource"];

/// The services whose clients the function can make; `None` where that is not known, or where the tree has no boto3.
///
/// Where some call names its service by anything but a literal, that is known only to a level which goes by what was
/// `reached`: then the literals, the services that the function's variables name, and those whose models a traced start
/// opened.
pub(crate) fn aws_services(subject: &Subject, reached: Option<&Reached>) -> Option<BTreeSet<String>> {
    let is_user = |module: &str| subject.is_user(module);
    let calls = calls(&subject.ground.package, &subject.modules, &subject.analyses, &is_user)?;
    let mut services = named(&calls);
    if calls.iter().any(|call| call.others) {
        let opened = reached?.touched.iter().filter_map(|path| {
            let mut parts = path.components().map(|part| part.as_str());
            let of_sdk =
                parts.next().is_some_and(|package| SDK.contains(&package)) && parts.next() == Some("data");
            of_sdk.then(|| parts.next().map(str::to_owned))?
        });
        services.extend(opened);
        // More than services are among them; a name that is none keeps nothing.
        services.extend(subject.ground.function.environment.values().cloned());
    }
    Some(services)
}

/// The services named by literals in a tree that is only looked at; `None` where some call names its service by something
/// else, or where the tree has no boto3.
pub(crate) fn services_of(
    package: &PackageTree,
    modules: &BTreeMap<String, ModuleFile>,
    analyses: &BTreeMap<String, ModuleAnalysis>,
    is_user: &(dyn Fn(&str) -> bool + Sync),
) -> Option<BTreeSet<String>> {
    let calls = calls(package, modules, analyses, is_user)?;
    (!calls.iter().any(|call| call.others)).then(|| named(&calls))
}

fn named(calls: &[ServiceCalls]) -> BTreeSet<String> {
    calls.iter().flat_map(|call| call.named.iter().cloned()).collect()
}

/// What every module says that is the user's own or imports the SDK, which itself makes clients for any name; `None` where
/// the tree has no SDK.
fn calls(
    package: &PackageTree,
    modules: &BTreeMap<String, ModuleFile>,
    analyses: &BTreeMap<String, ModuleAnalysis>,
    is_user: &(dyn Fn(&str) -> bool + Sync),
) -> Option<Vec<ServiceCalls>> {
    if !package.distributions.iter().any(|d| SDK.contains(&d.name.as_str())) {
        return None;
    }
    let of_sdk = |module: &str| SDK.contains(&module.split('.').next().unwrap_or_default());
    let calls = modules
        .par_iter()
        .filter_map(|(module, file)| {
            let owner = package.distribution_of(&file.path).map(|d| d.name.as_str());
            if file.native || owner.is_some_and(|name| SDK.contains(&name)) {
                return None;
            }
            let source = fs::read(package.root.join(&file.path)).ok()?;
            let source = glowplug_imports::decoded(source);
            if !MENTIONS.iter().any(|text| source.contains(text)) {
                return None;
            }
            let imports = analyses.get(module).map(|analysis| &analysis.imports);
            let near = is_user(module) || imports.is_none_or(|all| all.iter().any(|i| of_sdk(&i.module)));
            let calls = glowplug_imports::service_calls(&source);
            // A library that is handed a session says which service it wants; what else it calls `client` is its own.
            Some(ServiceCalls { others: calls.others && near, ..calls })
        })
        .collect();
    Some(calls)
}
