//! Until when a client has to have said or sent something.

use std::time::Duration;

use tokio::time::Instant;

use super::Ended;
use crate::smtp::limits::Pace;
use crate::smtp::settings::Settings;

/// The moments at which the patience with one connection ends; each is there while it applies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// A message has to have been taken by then.
    message: Option<Instant>,
    /// The transaction that MAIL began has to be over by then.
    transaction: Option<Instant>,
    /// The pace of the message that is coming in.
    pace: Option<Pace>,
}

impl Times {
    /// Those of a connection that begins.
    pub(super) fn new(settings: &Settings, exempt: bool) -> Self {
        let mut times = Self { message: None, transaction: None, pace: None };
        times.message_taken(settings, exempt);
        times
    }

    /// A message went to the sink, or the connection begins: the next one has its time from here on.
    pub(super) fn message_taken(&mut self, settings: &Settings, exempt: bool) {
        let limit = settings.limits.without_message;
        self.message = (!exempt && !limit.is_zero()).then(|| after(limit));
    }

    /// After every command: whether there is a transaction now.
    pub(super) fn transaction(&mut self, there: bool, settings: &Settings) {
        self.transaction = there.then(|| self.transaction.unwrap_or_else(|| after(settings.message_timeout)));
    }

    /// The octets of a message come next, or the next chunk of one that has begun.
    pub(super) fn begin(&mut self, settings: &Settings, exempt: bool) {
        let least = if exempt { 0 } else { settings.limits.min_rate };
        self.pace.get_or_insert_with(|| Pace::new(least));
    }

    /// So many more octets of the message have come.
    pub(super) fn came(&mut self, octets: usize) {
        if let Some(pace) = &mut self.pace {
            pace.came(octets);
        }
    }

    /// The message is there, or will not come.
    pub(super) const fn end(&mut self) {
        self.pace = None;
    }

    /// Whether a message has begun to come in.
    pub(super) const fn receiving(&self) -> bool {
        self.pace.is_some()
    }

    /// What has run out already: a client that always has something to say is not waited for, and would never hear of it.
    pub(super) fn over(&self) -> Option<Ended> {
        let now = Instant::now();
        self.bounds().into_iter().find_map(|(at, ended)| (at? <= now).then_some(ended))
    }

    /// By when the next octets have to be there, `silent` at the latest, and what it is if they are not.
    pub(super) fn deadline(&self, silent: Instant) -> (Instant, Ended) {
        let slow = (self.pace.and_then(|pace| pace.deadline()), Ended::TooSlow);
        let bounds = self.bounds().into_iter().chain([slow]);
        let earliest = bounds.filter_map(|(at, ended)| Some((at?, ended))).min_by_key(|(at, _)| *at);
        earliest.filter(|(at, _)| *at < silent).unwrap_or((silent, Ended::Idle))
    }

    /// What holds however busy the client is. While a message comes in, nothing asks for one.
    fn bounds(&self) -> [(Option<Instant>, Ended); 2] {
        let message = self.message.filter(|_| self.pace.is_none());
        [(self.transaction, Ended::Idle), (message, Ended::NoMessage)]
    }
}

/// The moment `time` from now; a time that no clock can show is as good as for ever.
pub(super) fn after(time: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(time).unwrap_or_else(|| now + Duration::from_secs(86_400 * 365))
}
