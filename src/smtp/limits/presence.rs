//! Who is there and does what: when all places are taken, whoever brings nothing gives way first.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long a message may come in before it gives way, too: whoever lets many drip would hold all places until they time
/// out.
const SLOW: Duration = Duration::from_secs(60);

/// What a connection does; what comes first gives way first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doing {
    /// It waits for a command, and never brought a message.
    Nothing,
    /// It waits for a command after a message.
    Resting,
    /// A transaction has begun, and its message has not.
    Transaction,
    /// A message comes in: it is not interrupted within its first minute.
    Message,
    /// A message is being stored.
    Storing,
}

/// What one connection does, for those who look for one that gives way.
#[derive(Debug)]
pub struct Presence {
    state: Mutex<State>,
    leave: CancellationToken,
}

#[derive(Debug)]
struct State {
    doing: Doing,
    /// When its last message was taken, or it began. Commands do not count: they cost nothing.
    since: Instant,
    /// When the message that comes in began.
    message_since: Instant,
    brought: bool,
}

impl Default for Presence {
    /// A connection that begins.
    fn default() -> Self {
        let now = Instant::now();
        let state = State { doing: Doing::Nothing, since: now, message_since: now, brought: false };
        Self { state: Mutex::new(state), leave: CancellationToken::new() }
    }
}

impl Presence {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that holds the lock leaves a state half-changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It waits for a command.
    pub(in crate::smtp) fn waits(&self, in_transaction: bool) {
        let mut state = self.state();
        state.doing = match state.brought {
            _ if in_transaction => Doing::Transaction,
            true => Doing::Resting,
            false => Doing::Nothing,
        };
    }

    /// A message comes in.
    pub(in crate::smtp) fn receives(&self) {
        let mut state = self.state();
        // It may come in chunks.
        if state.doing != Doing::Message {
            (state.doing, state.message_since) = (Doing::Message, Instant::now());
        }
    }

    /// A message is handed to the store.
    pub(in crate::smtp) fn stores(&self) {
        self.state().doing = Doing::Storing;
    }

    /// A message was taken.
    pub(in crate::smtp) fn took_message(&self) {
        let mut state = self.state();
        (state.brought, state.since) = (true, Instant::now());
    }

    /// How soon it gives way, the least first; `None`: not now.
    #[must_use]
    pub fn rank(&self) -> Option<(Doing, Instant)> {
        let state = self.state();
        match state.doing {
            Doing::Message => {
                let slow = state.message_since.elapsed() >= SLOW;
                slow.then_some((Doing::Message, state.message_since))
            }
            Doing::Storing => None,
            doing => Some((doing, state.since)),
        }
    }

    /// Asks it to give way.
    pub fn ask_to_leave(&self) {
        self.leave.cancel();
    }

    /// When it is asked to give way.
    pub async fn asked_to_leave(&self) {
        self.leave.cancelled().await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_brings_nothing_for_the_longest_time_gives_way_first_and_a_message_only_when_it_is_slow() {
        let present: [Presence; 7] = Default::default();
        let [silent, rested, began, receives, brought_again, late, stores] = &present;
        stores.receives();
        stores.stores();
        rested.took_message();
        rested.waits(false);
        tokio::time::advance(Duration::from_secs(1)).await;
        began.waits(true);
        receives.receives();
        brought_again.took_message();
        brought_again.waits(false);
        late.state().since = Instant::now();
        late.waits(false);
        let mut order: Vec<_> = present.iter().filter_map(Presence::rank).collect();
        order.sort_unstable();
        let expected = [silent, late, rested, brought_again, began];
        assert_eq!(order, expected.map(|one| one.rank().unwrap()));
        assert_eq!(receives.rank(), None);
        tokio::time::advance(SLOW).await;
        receives.receives(); // the next chunk of the same message
        assert!(receives.rank() > began.rank(), "{:?}", receives.rank());
        assert_eq!(stores.rank(), None);
        receives.took_message();
        receives.waits(false);
        receives.receives();
        assert_eq!(receives.rank(), None, "it is another message");
    }
}
