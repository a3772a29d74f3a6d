//! Turns at reading, which is work for the processor: as many at once as there are cores, and not all of them large.

use tokio::sync::{AcquireError, Semaphore, SemaphorePermit};

/// Messages of more octets are large.
const LARGE: usize = 256 << 10;

/// The turns of all messages.
#[derive(Debug)]
pub(super) struct Turns {
    all: Semaphore,
    large: Semaphore,
}

/// A message's turn, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn<'t> {
    _large: Option<SemaphorePermit<'t>>,
    _one: SemaphorePermit<'t>,
}

impl Turns {
    /// As many as there are cores, and two at least: one of them is always for messages that are not large.
    pub(super) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        let most = cores.max(2);
        Self { all: Semaphore::new(most), large: Semaphore::new(most - 1) }
    }

    /// Waits for the turn of a message of so many octets.
    ///
    /// # Errors
    /// Never: nobody closes them.
    pub(super) async fn take(&self, octets: usize) -> Result<Turn<'_>, AcquireError> {
        let large = if octets > LARGE { Some(self.large.acquire().await?) } else { None };
        Ok(Turn { _large: large, _one: self.all.acquire().await? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn large_messages_leave_a_turn_to_the_others() {
        let turns = Turns::new();
        let mut large = Vec::new();
        for _ in 0..turns.large.available_permits() {
            large.push(turns.take(LARGE + 1).await.unwrap());
        }
        let next = turns.take(LARGE + 1);
        tokio::pin!(next);
        let small = tokio::select! {
            biased;
            _ = &mut next => panic!("there is no turn for one more large message"),
            small = turns.take(LARGE) => small.unwrap(),
        };
        drop((small, large));
        assert!(next.await.is_ok());
    }
}
