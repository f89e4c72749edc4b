//! `cargo xtask sbom`: what the daemon is made of, as CycloneDX 1.5: the crates that are linked into it, from Cargo's own
//! resolution, and the libraries of the distribution.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::run::{cargo, output, root, say};

const AREA: &str = "sbom";
const DAEMON: &str = "observer";

/// Libraries of the distribution that are in the daemon or beside it in the image.
const PACKAGES: [&str; 4] = ["libvectorscan-dev", "libc6", "libstdc++6", "libgcc-s1"];

/// Where it is put for the image.
pub(crate) fn file() -> PathBuf {
    root().join("deploy/image/observer.cdx.json")
}

/// Writes the list.
pub(crate) fn run(out: &Path) -> Result<()> {
    let text = output(cargo().args([
        "metadata",
        "--locked",
        "--format-version=1",
        "--filter-platform=x86_64-unknown-linux-gnu",
    ]))
    .context("cargo metadata failed")?;
    let metadata: Value = serde_json::from_str(&text).context("cargo metadata")?;
    let packages: Vec<(String, String)> = PACKAGES
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), version(name)?)))
        .collect();
    let bom = document(&metadata, &packages)?;
    if let Some(folder) = out.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(out, serde_json::to_string_pretty(&bom)? + "\n")
        .with_context(|| format!("cannot write {}", out.display()))?;
    let count = bom["components"].as_array().map_or(0, Vec::len);
    say(AREA, &format!("{}: {count} components", out.display()));
    Ok(())
}

fn version(package: &str) -> Option<String> {
    output(Command::new("dpkg-query").args(["-W", "-f", "${Version}", package])).filter(|v| !v.is_empty())
}

/// The document. No time and no random number: the same input gives the same bytes.
fn document(metadata: &Value, debian: &[(String, String)]) -> Result<Value> {
    let packages: BTreeMap<&str, &Value> = list(metadata, "packages")
        .filter_map(|p| Some((p["id"].as_str()?, p)))
        .collect();
    let nodes: BTreeMap<&str, &Value> = list(&metadata["resolve"], "nodes")
        .filter_map(|n| Some((n["id"].as_str()?, n)))
        .collect();
    let (daemon_id, daemon) = packages
        .iter()
        .find(|(_, p)| p["name"] == DAEMON)
        .context("cargo metadata names no package `observer`")?;
    let linked = linked(&nodes, daemon_id);
    let (mut components, mut dependencies) = (Vec::new(), Vec::new());
    for id in &linked {
        let package = packages.get(id).with_context(|| format!("no package {id}"))?;
        if id != daemon_id {
            components.push(component(package));
        }
        let below: Vec<String> = children(nodes.get(id).copied())
            .filter_map(|child| packages.get(child))
            .map(|p| purl(p))
            .collect();
        dependencies.push(json!({"ref": purl(package), "dependsOn": below}));
    }
    for (name, version) in debian {
        let purl = format!("pkg:deb/debian/{name}@{version}");
        components.push(
            json!({"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}),
        );
    }
    let mut itself = component(daemon);
    itself["type"] = json!("application");
    Ok(json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": itself},
        "components": components,
        "dependencies": dependencies,
    }))
}

fn list<'v>(value: &'v Value, name: &str) -> impl Iterator<Item = &'v Value> {
    value[name].as_array().into_iter().flatten()
}

/// Packages that a node needs at run time: not those of its tests and build scripts.
fn children(node: Option<&Value>) -> impl Iterator<Item = &str> {
    let deps = node.and_then(|node| node["deps"].as_array());
    deps.into_iter()
        .flatten()
        .filter(|dep| list(dep, "dep_kinds").any(|kind| kind["kind"].is_null()))
        .filter_map(|dep| dep["pkg"].as_str())
}

/// Everything that is reached from the daemon.
fn linked<'v>(nodes: &BTreeMap<&'v str, &'v Value>, daemon: &'v str) -> BTreeSet<&'v str> {
    let (mut found, mut open) = (BTreeSet::from([daemon]), vec![daemon]);
    while let Some(id) = open.pop() {
        for child in children(nodes.get(id).copied()) {
            if found.insert(child) {
                open.push(child);
            }
        }
    }
    found
}

fn purl(package: &Value) -> String {
    format!(
        "pkg:cargo/{}@{}",
        package["name"].as_str().unwrap_or_default(),
        package["version"].as_str().unwrap_or_default()
    )
}

fn component(package: &Value) -> Value {
    let mut component = json!({
        "type": "library",
        "bom-ref": purl(package),
        "name": package["name"],
        "version": package["version"],
        "purl": purl(package),
    });
    if let Some(license) = package["license"].as_str() {
        // Crates of some age write a slash where SPDX says OR.
        component["licenses"] = json!([{"expression": license.replace('/', " OR ")}]);
    }
    component
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_linked_is_listed_and_what_only_builds_or_tests_is_not() {
        let package =
            |name: &str| json!({"id": name, "name": name, "version": "1.0.0", "license": "MIT/Apache-2.0"});
        let dep = |name: &str, kind: Value| json!({"pkg": name, "dep_kinds": [{"kind": kind}]});
        let metadata = json!({
            "packages": [package("observer"), package("linked"), package("deep"), package("builder"), package("tester")],
            "resolve": {"nodes": [
                {"id": "observer", "deps": [dep("linked", Value::Null), dep("builder", json!("build")), dep("tester", json!("dev"))]},
                {"id": "linked", "deps": [dep("deep", Value::Null)]},
                {"id": "deep", "deps": []},
                {"id": "builder", "deps": [dep("tester", Value::Null)]},
                {"id": "tester", "deps": []},
            ]},
        });
        let bom = document(&metadata, &[("libc6".into(), "2.36".into())]).expect("a document");
        let names: Vec<&str> = list(&bom, "components")
            .filter_map(|c| c["name"].as_str())
            .collect();
        assert_eq!(names, ["deep", "linked", "libc6"]);
        assert_eq!(
            bom["components"][0]["licenses"][0]["expression"],
            "MIT OR Apache-2.0"
        );
        assert_eq!(bom["metadata"]["component"]["type"], "application");
        assert_eq!(bom["dependencies"].as_array().map(Vec::len), Some(3));
    }
}
