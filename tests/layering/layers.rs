//! Which module stands in which layer, and which edges that forbids.

use std::collections::{BTreeMap, BTreeSet};

use super::scan::{self, CratePath};

/// A module with everything below it that has no place of its own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) module: &'static str,
    pub(crate) layer: u8,
    /// Where set: the only modules that it may name, its own aside.
    pub(crate) only: Option<&'static [&'static str]>,
}

const fn place(layer: u8, module: &'static str) -> Place {
    Place { module, layer, only: None }
}

/// The house, from the ground up. A new module gets its place here.
pub(crate) const PLACES: &[Place] = &[
    place(0, "address"),
    place(0, "status"),
    place(0, "metrics"),
    place(0, "nearest"),
    place(0, "when"),
    place(1, "report"),
    place(1, "returnpath"),
    place(1, "smtp"),
    place(2, "classify"),
    place(2, "policy"),
    place(2, "ledger"),
    place(3, "store"),
    place(4, "ingest"),
    place(4, "http"),
    place(4, "transfer"),
    place(4, "lookup"),
    place(4, "events"),
    // They move bytes and know nothing of what the messages mean.
    Place { module: "smtp::accept", layer: 4, only: Some(&["smtp"]) },
    Place { module: "smtp::proxy", layer: 4, only: Some(&[]) },
    Place { module: "smtp::tls", layer: 4, only: Some(&["smtp"]) },
    Place {
        module: "smtp::connection",
        layer: 4,
        only: Some(&["address", "status", "metrics", "smtp", "smtp::tls"]),
    },
    Place {
        module: "smtp::listener",
        layer: 4,
        only: Some(&[
            "address",
            "status",
            "metrics",
            "smtp",
            "smtp::accept",
            "smtp::connection",
            "smtp::proxy",
            "smtp::tls",
        ]),
    },
    place(5, "config"),
    place(5, "app"),
    place(5, "cli"),
    place(5, "main"),
];

/// Layers whose modules never name each other.
const NO_SIBLINGS: &[u8] = &[1];

/// The module that a file under `src/` is; empty for the crate's root.
pub(crate) fn module_of(file: &str) -> CratePath {
    let mut path: CratePath = file.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if path.last().is_some_and(|last| last == "mod" || (path.len() == 1 && last == "lib")) {
        path.pop();
    }
    path
}

/// The place of a path: that of the longest module it lies in.
fn place_of(path: &[String]) -> Option<&'static Place> {
    let within = |place: &&Place| {
        let module: Vec<&str> = place.module.split("::").collect();
        path.len() >= module.len() && path.iter().zip(&module).all(|(word, part)| word == part)
    };
    PLACES.iter().filter(within).max_by_key(|place| place.module.len())
}

/// Everything that is wrong with the edges between files, given as (path under `src/`, source).
pub(crate) fn problems(files: &[(String, String)]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut edges: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (file, source) in files {
        let module = module_of(file);
        if module.is_empty() {
            continue; // the crate's root declares modules and is named by nobody
        }
        let Some(from) = place_of(&module) else {
            problems
                .push(format!("{file}: the module has no place; give it one in tests/layering/layers.rs"));
            continue;
        };
        for path in scan::references(&module, source) {
            let named = path.join("::");
            let Some(to) = place_of(&path) else {
                problems.push(format!("{file}: crate::{named} lies in no module that has a place"));
                continue;
            };
            if to.module == from.module {
                continue;
            }
            edges.entry(from.module).or_default().insert(to.module);
            if to.layer > from.layer {
                problems
                    .push(format!("{file}: layer {} names crate::{named} of layer {}", from.layer, to.layer));
            } else if to.layer == from.layer && NO_SIBLINGS.contains(&to.layer) {
                problems.push(format!("{file}: {} names its sibling crate::{named}", from.module));
            } else if from.only.is_some_and(|only| !only.contains(&to.module)) {
                problems.push(format!("{file}: {} may not name crate::{named}", from.module));
            }
        }
    }
    for (from, reached) in &edges {
        for to in reached.iter().filter(|to| *from < **to) {
            if edges.get(to).is_some_and(|back| back.contains(from)) {
                problems.push(format!("{from} and {to} name each other"));
            }
        }
    }
    problems
}
