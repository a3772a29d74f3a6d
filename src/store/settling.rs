//! Going through events that wait, to settle them: a transaction's worth at a time.

use super::{QuarantineFilter, Store, StoreError};

/// Events read at once.
const PAGE: u32 = 500;

/// Events settled in one transaction, so that bounces that come in meanwhile need not wait long.
const BATCH: usize = 500;

/// The most, where that keeps the events about one address together: what one does depends on those before.
const LARGEST_BATCH: usize = 4_000;

/// An event to settle; the rest is known where it was found by a filter.
#[derive(Debug)]
pub struct ChosenEvent {
    /// Its number.
    pub event: i64,
    /// The number of its message.
    pub bounce: Option<i64>,
    /// The address it is about, where it names one.
    pub recipient: Option<String>,
    recipient_key: String,
}

/// More events were named than are settled in one transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyEvents {
    /// How many were named.
    pub given: usize,
    /// How many may be.
    pub most: usize,
}

/// Events to settle, of which no more than a transaction's worth is held at once.
#[derive(Debug)]
pub struct SettlingQueue {
    chosen: Vec<ChosenEvent>,
    /// Where the next page begins; `None` when there is none.
    filter: Option<QuarantineFilter>,
}

impl SettlingQueue {
    /// Events that were named by their numbers, each once; all in one transaction.
    ///
    /// # Errors
    /// [`TooManyEvents`] where they are too many for one.
    pub fn named(numbers: &[i64]) -> Result<Self, TooManyEvents> {
        let mut numbers = numbers.to_vec();
        numbers.sort_unstable();
        numbers.dedup();
        if numbers.len() > LARGEST_BATCH {
            return Err(TooManyEvents { given: numbers.len(), most: LARGEST_BATCH });
        }
        let chosen =
            |event| ChosenEvent { event, bounce: None, recipient: None, recipient_key: String::new() };
        Ok(Self { chosen: numbers.into_iter().map(chosen).collect(), filter: None })
    }

    /// What a filter finds: address by address, each in the order in which it came in.
    #[must_use]
    pub fn matching(filter: QuarantineFilter) -> Self {
        let filter = QuarantineFilter { by_address: true, limit: PAGE, ..filter };
        Self { chosen: Vec::new(), filter: Some(filter) }
    }

    /// The events of the next transaction; none at the end. It ends between addresses where it can be done: a dry
    /// run, which takes each back, then counts as the run itself does.
    ///
    /// # Errors
    /// What the store says.
    pub async fn next(&mut self, store: &impl Store) -> Result<Vec<ChosenEvent>, StoreError> {
        while self.filter.is_some()
            && whole(&self.chosen) == self.chosen.len()
            && self.chosen.len() < LARGEST_BATCH
        {
            self.read(store).await?;
        }
        let end = match self.filter {
            None if self.chosen.iter().all(|chosen| chosen.recipient_key.is_empty()) => self.chosen.len(),
            _ => whole(&self.chosen),
        };
        let rest = self.chosen.split_off(end.min(LARGEST_BATCH));
        Ok(std::mem::replace(&mut self.chosen, rest))
    }

    async fn read(&mut self, store: &impl Store) -> Result<(), StoreError> {
        let Some(mut filter) = self.filter.take() else { return Ok(()) };
        let page = store.quarantined(&filter).await?;
        if let Some(last) = page.items.last()
            && page.more
        {
            filter.after_address = Some((last.recipient_key.clone(), last.received_at, last.event));
            self.filter = Some(filter);
        }
        self.chosen.extend(page.items.into_iter().map(|event| ChosenEvent {
            event: event.event,
            bounce: Some(event.bounce),
            recipient: Some(event.recipient).filter(|recipient| !recipient.is_empty()),
            recipient_key: event.recipient_key,
        }));
        Ok(())
    }
}

/// How many from the beginning make a transaction that ends between addresses, where it can be done.
fn whole(chosen: &[ChosenEvent]) -> usize {
    let mut end = BATCH.min(chosen.len());
    while end > 0
        && end < chosen.len()
        && end < LARGEST_BATCH
        && !chosen[end].recipient_key.is_empty()
        && chosen[end].recipient_key == chosen[end - 1].recipient_key
    {
        end += 1;
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_events_about_one_address_stay_in_one_transaction() {
        let chosen = |event, key: &str| ChosenEvent {
            event,
            bounce: None,
            recipient: None,
            recipient_key: key.to_owned(),
        };
        let mut all: Vec<_> = (0..499).map(|event| chosen(event, "")).collect();
        all.extend((499..600).map(|event| chosen(event, "a@x.example")));
        all.extend((600..700).map(|event| chosen(event, "b@x.example")));
        assert_eq!((whole(&all), whole(&all[600..])), (600, 100));
        let flood: Vec<_> = (0..5_000).map(|event| chosen(event, "a@x.example")).collect();
        assert_eq!(whole(&flood), LARGEST_BATCH, "and no transaction is without bounds");
        assert_eq!(whole(&[]), 0);
        let numbers: Vec<i64> = (1..=600).collect();
        assert_eq!(
            SettlingQueue::named(&numbers).unwrap().chosen.len(),
            600,
            "those named are settled together"
        );
        assert!(SettlingQueue::named(&(0..5_000).collect::<Vec<_>>()).is_err());
    }
}
