//! What the operator is told when suppressions begin to be held.

use jiff::{SignedDuration, Timestamp};

/// Something that was begun to be held, for the operator's eyes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// The number of the hold.
    pub hold: i64,
    /// What its key is.
    pub kind: &'static str,
    /// Its key.
    pub name: String,
    /// The numbers, in words.
    pub why: String,
    /// How many events it has held.
    pub held: i64,
    /// The command that takes back what came through before.
    pub undo: String,
}

/// The command that takes off the list what came through within the hour before a hold of this key opened.
#[must_use]
pub fn undo(kind: &str, name: &str, opened_at: Timestamp) -> String {
    let since = opened_at.checked_sub(SignedDuration::from_hours(1)).unwrap_or(opened_at);
    format!("dsnd suppressions remove --since={since} --{}={}", kind.replace('_', "-"), quoted(name))
}

/// A word as a shell takes it. Others choose the names of hosts, and an operator copies the command.
fn quoted(word: &str) -> String {
    let plain = |octet: u8| octet.is_ascii_alphanumeric() || b".-_:".contains(&octet);
    if word.bytes().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_through_is_that_of_the_hour_before_and_no_name_breaks_out_of_the_command() {
        for (kind, name, option) in [
            ("domain", "example.org", "--domain=example.org"),
            ("rule", "iana.5.1.2", "--rule=iana.5.1.2"),
            ("remote_mta", "[192.0.2.1]", "--remote-mta='[192.0.2.1]'"),
            ("remote_mta", "a;reboot", "--remote-mta='a;reboot'"),
            ("remote_mta", "a'$(reboot)", "--remote-mta='a'\\''$(reboot)'"),
        ] {
            let said = undo(kind, name, "2026-11-21T20:00:00Z".parse().unwrap());
            assert_eq!(said, format!("dsnd suppressions remove --since=2026-11-21T19:00:00Z {option}"));
        }
    }
}
