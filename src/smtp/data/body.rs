//! The octets of one message as they come in: never more than the largest message, nor more than there is memory for.

use super::Message;
use crate::smtp::limits::memory::Reservation;

/// The smallest buffer a message gets when its first octet arrives.
const FIRST_ALLOCATION: usize = 8 * 1024;

/// Why nothing more of a message is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::smtp) enum Dropped {
    TooBig,
    NoRoom,
}

/// What has come of a message. Once it is dropped, it takes what comes and keeps nothing.
#[derive(Debug)]
pub(in crate::smtp) struct Body {
    octets: Vec<u8>,
    max_size: usize,
    dropped: Option<Dropped>,
    reservation: Reservation,
}

impl Body {
    /// Nothing yet, of at most `max_size` octets; memory is asked for before it grows.
    pub(in crate::smtp) const fn new(max_size: usize, reservation: Reservation) -> Self {
        Self { octets: Vec::new(), max_size, dropped: None, reservation }
    }

    /// `size` octets come next: what cannot fit is not collected at all.
    pub(in crate::smtp) fn announce(&mut self, size: u64) {
        let room = self.max_size.saturating_sub(self.octets.len());
        if self.dropped.is_none() && usize::try_from(size).map_or(true, |size| size > room) {
            self.drop_it(Dropped::TooBig);
        }
    }

    pub(in crate::smtp) fn push(&mut self, bytes: &[u8]) {
        let needed = self.octets.len() + bytes.len();
        match self.dropped {
            None if needed > self.max_size => return self.drop_it(Dropped::TooBig),
            None => {}
            Some(_) => return,
        }
        if needed > self.octets.capacity() {
            // Doubling as `Vec` does, but never beyond the cap.
            let wanted = needed.max(self.octets.capacity() * 2).max(FIRST_ALLOCATION).min(self.max_size);
            if !self.reservation.grow_to(wanted) {
                return self.drop_it(Dropped::NoRoom);
            }
            self.octets.reserve_exact(wanted - self.octets.len());
        }
        self.octets.extend_from_slice(bytes);
    }

    /// Why it is dropped, if it is.
    pub(in crate::smtp) const fn dropped(&self) -> Option<Dropped> {
        self.dropped
    }

    /// The message, and what it holds of the memory: to be kept as long as the message is.
    pub(in crate::smtp) fn finish(self, bare_newlines: bool) -> (Message, Reservation) {
        let message = match self.dropped {
            Some(Dropped::TooBig) => Message::TooBig,
            Some(Dropped::NoRoom) => Message::NoRoom,
            None => Message::Complete { octets: self.octets, bare_newlines },
        };
        (message, self.reservation)
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.octets.capacity()
    }

    fn drop_it(&mut self, why: Dropped) {
        self.dropped = Some(why);
        self.octets = Vec::new();
        self.reservation.clear();
    }
}
