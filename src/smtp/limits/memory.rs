//! The memory for message bodies: what is asked for before a body grows, and given back when it is stored or gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Octets held, by everybody or by one client.
#[derive(Debug, Default)]
pub struct BodyMemory(AtomicU64);

impl BodyMemory {
    /// Octets held now.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn take(&self, octets: u64, limit: u64) -> bool {
        let more = |held: u64| held.checked_add(octets).filter(|held| *held <= limit);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    fn give_back(&self, octets: u64) {
        self.0.fetch_sub(octets, Ordering::Relaxed);
    }
}

/// What one body holds of the memory; given back when dropped. The default asks nobody.
#[derive(Debug, Default)]
pub struct Reservation(Option<Box<Account>>);

#[derive(Debug)]
struct Account {
    all: Arc<BodyMemory>,
    limit: u64,
    /// The client's own count, and its limit.
    share: Option<(Arc<BodyMemory>, u64)>,
    held: u64,
}

impl Reservation {
    /// Nothing yet, of `limit` octets in `all` and of the client's share.
    pub(super) fn new(all: Arc<BodyMemory>, limit: u64, share: Option<(Arc<BodyMemory>, u64)>) -> Self {
        Self(Some(Box::new(Account { all, limit, share, held: 0 })))
    }

    /// Makes it hold `octets` in all; false, and nothing changes, when there is not so much.
    #[must_use]
    pub fn grow_to(&mut self, octets: usize) -> bool {
        let Some(account) = &mut self.0 else { return true };
        let Some(more) = (octets as u64).checked_sub(account.held) else { return true };
        if !account.all.take(more, account.limit) {
            return false;
        }
        if let Some((own, limit)) = &account.share
            && !own.take(more, *limit)
        {
            account.all.give_back(more);
            return false;
        }
        account.held += more;
        true
    }

    /// Whether it could hold `octets` now. What it answers holds for a moment, nothing is set aside.
    #[must_use]
    pub fn could_hold(&self, octets: u64) -> bool {
        self.0.as_ref().is_none_or(|account| {
            let fits = |memory: &BodyMemory, limit: u64| {
                memory.held().checked_add(octets).is_some_and(|held| held <= limit)
            };
            fits(&account.all, account.limit)
                && account.share.as_ref().is_none_or(|(own, limit)| fits(own, *limit))
        })
    }

    /// Gives everything back.
    pub fn clear(&mut self) {
        if let Some(account) = &mut self.0 {
            account.all.give_back(account.held);
            if let Some((own, _)) = &account.share {
                own.give_back(account.held);
            }
            account.held = 0;
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_take_no_more_than_there_is_and_give_all_of_it_back() {
        let all = Arc::new(BodyMemory::default());
        let body = || Reservation::new(Arc::clone(&all), 100, None);
        let (mut one, mut two) = (body(), body());
        assert!(one.grow_to(60) && two.grow_to(40));
        assert!(!two.grow_to(41), "there is no more");
        assert!(two.grow_to(10), "less than it has is always there");
        assert_eq!(all.held(), 100, "a refusal takes nothing");
        assert!(!body().could_hold(1));
        drop(one);
        assert!(body().could_hold(60) && !body().could_hold(61) && !body().could_hold(u64::MAX));
        assert!(two.grow_to(100));
        two.clear();
        assert_eq!(all.held(), 0);
        assert!(two.grow_to(1), "and it can begin again");
    }

    #[test]
    fn one_client_cannot_take_what_is_there_for_all() {
        let all = Arc::new(BodyMemory::default());
        let body =
            |own: &Arc<BodyMemory>| Reservation::new(Arc::clone(&all), 100, Some((Arc::clone(own), 25)));
        let (greedy, honest) = (Arc::default(), Arc::default());
        let (mut first, mut second) = (body(&greedy), body(&greedy));
        assert!(first.grow_to(20) && !second.grow_to(6) && second.grow_to(5));
        assert_eq!(all.held(), 25, "what the share refuses is not held either");
        assert!(!body(&greedy).could_hold(1) && body(&honest).could_hold(25));
        assert!(body(&honest).grow_to(25));
    }

    #[test]
    fn threads_that_ask_at_once_never_get_more_than_the_limit() {
        let all = Arc::new(BodyMemory::default());
        let granted = std::thread::scope(|scope| {
            let ask = || {
                let mut body = Reservation::new(Arc::clone(&all), 1_000, None);
                let granted = (1..=500).take_while(|octets| body.grow_to(*octets)).count();
                (body, granted)
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        let held: usize = granted.iter().map(|(_, granted)| granted).sum();
        assert_eq!(all.held(), held as u64);
        assert_eq!(held, 1_000);
        drop(granted);
        assert_eq!(all.held(), 0);
    }
}
