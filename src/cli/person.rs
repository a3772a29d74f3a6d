//! Who gives a command, for what is written down about it.

use std::io::{BufRead, IsTerminal, Write};

use nix::unistd::{User, getuid};

use super::output;

/// The login name: that of the user who called sudo, else one's own. A name that is not that of the user who really runs
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

/// Whether a person can be asked.
pub(super) fn is_at_terminal() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Asks the person at the terminal; anything but a yes is a no.
pub(super) fn confirmed(question: &str) -> anyhow::Result<bool> {
    let mut stderr = std::io::stderr().lock();
    write!(stderr, "{} [y/N] ", output::clean(question))?;
    stderr.flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// Goes on only with a person's yes: with `yes` it was given on the command line, at a terminal it is asked for, and
/// elsewhere nobody can give it.
pub(super) fn sure(what: &str, yes: bool) -> anyhow::Result<()> {
    if yes {
        return Ok(());
    }
    anyhow::ensure!(
        is_at_terminal(),
        "{what}: --yes is needed where no one can be asked; nothing was changed"
    );
    anyhow::ensure!(confirmed(&format!("{what}?"))?, "nothing was changed");
    Ok(())
}
