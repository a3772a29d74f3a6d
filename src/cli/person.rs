//! Who gives a command, for the history of the list.

use std::os::unix::fs::MetadataExt;

/// The login name of the person behind the command, also behind `sudo`; else the number of the user.
pub(super) fn name() -> Option<String> {
    let told = ["SUDO_USER", "USER", "LOGNAME"].into_iter().filter_map(|name| std::env::var(name).ok());
    let mut named = told.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
    named.next().or_else(|| {
        let user = std::fs::metadata("/proc/self").ok()?.uid();
        Some(format!("uid {user}"))
    })
}
