//! Whether there are as many file descriptors as the configuration needs.

use nix::sys::resource::{Resource, getrlimit};
use tracing::warn;

/// What the program takes for itself: SQLite, listeners, the log, files that are looked at.
const OWN: u64 = 64;

/// Warns where the connections that are allowed would take all descriptors. What runs out of them waits, so it is no
/// reason not to start.
pub(super) fn warn_if_few(max_connections: usize) {
    let Ok((allowed, _)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    let needed = OWN.saturating_add(max_connections as u64);
    if allowed < needed {
        warn!(
            allowed,
            needed,
            max_connections,
            "too few file descriptors for smtp.max_connections; raise the limit (LimitNOFILE=, ulimit -n) or lower the key"
        );
    }
}
