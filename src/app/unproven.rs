//! Tells the operator of unproven bounces: they change nothing until they are approved or return paths are signed.

use std::time::{Duration, Instant};

use tracing::warn;

use crate::config::Config;

/// How often it is told while they wait.
const DAY: Duration = Duration::from_secs(86_400);

/// When it was told last.
#[derive(Debug, Default)]
pub(super) struct Unproven {
    told: Option<Instant>,
}

impl Unproven {
    /// Tells of so many that wait: of the first at once, and of those that go on waiting once a day.
    pub(super) fn tell(&mut self, waiting: u64, now: Instant) {
        if self.due(waiting, now) {
            warn!(
                waiting,
                "unproven bounces wait and suppress no one: see `dsnd quarantine list`, and sign your return paths"
            );
        }
    }

    fn due(&mut self, waiting: u64, now: Instant) -> bool {
        if waiting == 0 {
            self.told = None;
            return false;
        }
        let due = self.told.is_none_or(|told| now.duration_since(told) >= DAY);
        if due {
            self.told = Some(now);
        }
        due
    }
}

/// Says at the start that no bounce will count, where the configuration makes it so.
pub(super) fn warn_of_no_proof(config: &Config) {
    let trust = &config.unsigned_trust;
    let trusts = trust.covers_everybody() || !trust.domains.is_empty() || !trust.networks.is_empty();
    if config.return_paths.keys().is_empty() && !trusts {
        warn!(
            "no key signs return paths (return_path.keys_file): bounces are recorded and suppress no one until they \
             are approved; `dsnd return-path keygen` makes a key"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unproven_bounces_are_told_at_the_first_and_daily_while_they_wait() {
        let mut unproven = Unproven::default();
        let start = Instant::now();
        for (hours, waiting, told) in [
            (0, 0, false),
            (1, 1, true),
            (2, 5, false),
            (24, 5, false),
            (25, 5, true),
            (26, 0, false),
            (27, 1, true),
        ] {
            let now = start + Duration::from_secs(hours * 3_600);
            assert_eq!(unproven.due(waiting, now), told, "hour {hours}");
        }
    }
}
