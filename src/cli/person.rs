//! Who gives a command, for what is written down about it.

use std::os::unix::fs::MetadataExt;

/// The login name: that of whoever called sudo, else one's own, else the number of the user.
pub(super) fn person() -> String {
    ["SUDO_USER", "USER", "LOGNAME"]
        .into_iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|name| !name.trim().is_empty())
        .unwrap_or_else(|| match std::fs::metadata("/proc/self") {
            Ok(own) => format!("uid {}", own.uid()),
            Err(_) => "unknown".to_owned(),
        })
}
