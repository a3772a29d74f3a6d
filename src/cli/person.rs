//! Who gives a command, for what is written down about it.

use nix::unistd::{User, getuid};

/// The login name: that of whoever called sudo, else one's own. A name that is not that of the user who really runs
/// this, and so was only said, has the number of that user beside it: `ceo (uid 0)`.
pub(super) fn person() -> String {
    let uid = getuid();
    let real = User::from_uid(uid).ok().flatten().map(|user| user.name);
    let said = ["SUDO_USER", "USER", "LOGNAME"]
        .into_iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|name| !name.trim().is_empty());
    match (said, real) {
        (Some(said), Some(real)) if said == real => said,
        (Some(said), _) => format!("{said} (uid {uid})"),
        (None, Some(real)) => real,
        (None, None) => format!("uid {uid}"),
    }
}
