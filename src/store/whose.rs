//! Whose a file is, for the error of those who may not use it.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::{Gid, Group, Uid, User};

/// Who may use a file, who asks, and what to do, to stand behind what the system says. Where the file cannot be seen, it
/// is said of the folder that hides it.
#[must_use]
pub fn whose(path: &Path) -> String {
    let seen = path.ancestors().find_map(|place| {
        let place = if place.as_os_str().is_empty() { Path::new(".") } else { place };
        Some((place, std::fs::metadata(place).ok()?))
    });
    let Some((place, meta)) = seen else { return String::new() };
    let asks = user(Uid::effective());
    let mut said = format!("; {} belongs to {}", place.display(), owner(&meta));
    // A database needs files beside it, so that its folder counts as well.
    if place == path
        && let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty())
        && let Ok(meta) = std::fs::metadata(folder)
    {
        said.push_str(&format!(", its folder to {}", owner(&meta)));
    }
    said.push_str(&format!(", and this is user {asks}"));
    let (owner, group) = (user(Uid::from_raw(meta.uid())), group(Gid::from_raw(meta.gid())));
    let by_group = meta.mode() & 0o040 != 0 && matches!(User::from_name(&group), Ok(Some(_)));
    let as_whom = if by_group { group } else { owner };
    if as_whom != asks && !Uid::effective().is_root() {
        said.push_str(&format!("; run it as `sudo -u {as_whom} dsnd …`"));
    }
    said
}

/// Such as `dsnd:dsnd with mode 0600`.
fn owner(meta: &Metadata) -> String {
    let (user, group) = (user(Uid::from_raw(meta.uid())), group(Gid::from_raw(meta.gid())));
    format!("{user}:{group} with mode {:04o}", meta.mode() & 0o7777)
}

fn user(uid: Uid) -> String {
    User::from_uid(uid).ok().flatten().map_or_else(|| uid.to_string(), |user| user.name)
}

fn group(gid: Gid) -> String {
    Group::from_gid(gid).ok().flatten().map_or_else(|| gid.to_string(), |group| group.name)
}
