//! The HTTP API as its clients see it.

#[path = "../common/mod.rs"]
mod common;

mod bounces;
mod contract;
mod events;
mod generated;
mod holds;
mod limits;
mod lists;
mod quarantine;
mod readme;
mod service;
mod stats;
mod suppressions;
mod tokens;

use std::path::PathBuf;

/// A program that `.ci/run` puts below the target folder, or that is installed; `None` where it is neither.
fn installed(ours: &str) -> Option<PathBuf> {
    let target = std::env::current_exe().ok()?.ancestors().nth(3)?.to_owned();
    let name = PathBuf::from(ours).file_name()?.to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let elsewhere = std::env::split_paths(&path).map(|folder| folder.join(&name)).collect::<Vec<_>>();
    std::iter::once(target.join(ours)).chain(elsewhere).find(|program| program.is_file())
}
