//! How many connections there may be. One that waits for a request gives way to a new one, so that clients that never
//! finish a header keep nobody out.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// A number of places.
#[derive(Debug, Clone)]
pub(super) struct Places(Arc<Mutex<Table>>);

#[derive(Debug)]
struct Table {
    free: usize,
    /// Those that wait for a request, by the turn in which they began to.
    waiting: BTreeMap<u64, CancellationToken>,
    turn: u64,
}

/// The place of one connection, which is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Places,
    /// The turn in which it began to wait.
    turn: AtomicU64,
    /// Requests that are being answered: at most one, as HTTP/1.1 has them.
    requests: AtomicUsize,
    leave: CancellationToken,
}

/// A request that is being answered: until this is dropped, its connection keeps its place.
#[derive(Debug)]
pub(super) struct Busy(Arc<Place>);

impl Places {
    /// So many places, all free.
    pub(super) fn new(limit: usize) -> Self {
        Self(Arc::new(Mutex::new(Table { free: limit, waiting: BTreeMap::new(), turn: 0 })))
    }

    /// A free place, or that of the connection that has waited longest for a request; none while all are answered.
    pub(super) fn take(&self) -> Option<Arc<Place>> {
        let mut table = self.table();
        if table.free > 0 {
            table.free -= 1;
        } else {
            let (_, leave) = table.waiting.pop_first()?;
            leave.cancel();
        }
        let leave = CancellationToken::new();
        let turn = AtomicU64::new(table.wait(leave.clone()));
        drop(table);
        Some(Arc::new(Place { places: self.clone(), turn, requests: AtomicUsize::new(0), leave }))
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn wait(&mut self, leave: CancellationToken) -> u64 {
        self.turn += 1;
        self.waiting.insert(self.turn, leave);
        self.turn
    }
}

impl Place {
    /// Ready when a new connection has this place.
    pub(super) async fn is_lost(&self) {
        self.leave.cancelled().await;
    }

    /// A request has come.
    pub(super) fn busy(self: &Arc<Self>) -> Busy {
        let mut table = self.places.table();
        self.requests.fetch_add(1, Ordering::Relaxed);
        table.waiting.remove(&self.turn.load(Ordering::Relaxed));
        drop(table);
        Busy(Arc::clone(self))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut table = self.0.places.table();
        if self.0.requests.fetch_sub(1, Ordering::Relaxed) == 1 && !self.0.leave.is_cancelled() {
            self.0.turn.store(table.wait(self.0.leave.clone()), Ordering::Relaxed);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut table = self.places.table();
        // A place that was lost belongs to another connection.
        if !self.leave.is_cancelled() {
            table.waiting.remove(self.turn.get_mut());
            table.free += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_waited_longest_gives_way() {
        let places = Places::new(2);
        let (first, second) = (places.take().unwrap(), places.take().unwrap());
        let request = first.busy();
        let third = places.take().unwrap();
        assert!(second.leave.is_cancelled() && !first.leave.is_cancelled());
        drop(request);
        let fourth = places.take().unwrap();
        assert!(third.leave.is_cancelled() && !first.leave.is_cancelled(), "it waits since its answer alone");
        drop((second, third));
        let (one, other) = (first.busy(), fourth.busy());
        assert!(places.take().is_none(), "both are being answered");
        drop((one, fourth));
        let fifth = places.take().unwrap();
        assert!(first.leave.is_cancelled() && !fifth.leave.is_cancelled());
        drop((other, first, fifth));
        let table = places.table();
        assert_eq!((table.free, table.waiting.len()), (2, 0));
    }
}
