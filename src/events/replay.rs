//! Which events a webhook gets again when a person asks.

use jiff::Timestamp;

use super::endpoint::{Endpoint, Way};
use crate::store::{Again, Deliveries, Filter, Outbox, OutboxFilter, StoreError};

/// Events that were given up and are let go again in one transaction.
const AT_ONCE: u32 = 2_000;

/// Events counted at once.
const PAGE: u32 = 5_000;

/// Which events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replay {
    /// Those that were given up.
    Dead,
    /// Those written at this time or later that the webhook wants.
    Since(Timestamp),
    /// One by its number, whether or not the webhook wants its like.
    Event(i64),
}

impl Replay {
    /// How many events an endpoint would get again. Nothing is changed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn count<S: Outbox + Deliveries>(
        self,
        store: &S,
        endpoint: &Endpoint,
    ) -> Result<u64, StoreError> {
        match self {
            Self::Dead => {
                let names: Vec<String> = endpoint.names().collect();
                let all = store.webhooks().await?;
                let ours = all.iter().filter(|standing| names.contains(&standing.state.name));
                Ok(ours.map(|standing| standing.dead.unsigned_abs()).sum())
            }
            Self::Event(event) => {
                let name = endpoint.named(way_of(store, endpoint, event).await?);
                let all = store.webhooks().await?;
                let comes_anyway =
                    all.iter().any(|known| known.state.name == name && known.state.through < event);
                let exists = store.outbox_event(event).await?.is_some();
                Ok(u64::from(exists && !comes_anyway))
            }
            Self::Since(since) => {
                let Some(first) = first(store, since).await? else { return Ok(0) };
                let (mut count, mut after) = (0, first - 1);
                loop {
                    let heads = store.heads(after, PAGE).await?;
                    let wanted = heads
                        .iter()
                        .filter(|head| endpoint.ways().iter().any(|way| endpoint.wants(head, *way)));
                    count += u64::try_from(wanted.count()).unwrap_or(u64::MAX);
                    match heads.last() {
                        Some(last) => after = last.event,
                        None => return Ok(count),
                    }
                }
            }
        }
    }

    /// Lets an endpoint have them again. A daemon that runs notices.
    ///
    /// # Errors
    /// [`StoreError`]; what was let go by then comes.
    pub async fn run<S: Outbox + Deliveries>(self, store: &S, endpoint: &Endpoint) -> Result<(), StoreError> {
        match self {
            Self::Dead => {
                for name in endpoint.names() {
                    // They may be many: it goes in steps.
                    while store.again(&name, Again::Dead(AT_ONCE)).await? > 0 {}
                }
            }
            Self::Event(event) => {
                let name = endpoint.named(way_of(store, endpoint, event).await?);
                store.again(&name, Again::Event(event)).await?;
            }
            Self::Since(since) => {
                let Some(first) = first(store, since).await? else { return Ok(()) };
                for name in endpoint.names() {
                    store.again(&name, Again::From(first)).await?;
                }
            }
        }
        Ok(())
    }
}

/// The first event that was written at this time or later.
async fn first(store: &impl Outbox, since: Timestamp) -> Result<Option<i64>, StoreError> {
    let common = Filter { since: Some(since), ..Filter::default() };
    let filter = OutboxFilter { common, limit: 1, ..OutboxFilter::default() };
    Ok(store.outbox(&filter).await?.items.first().map(|event| event.id))
}

/// The way on which an endpoint gets an event.
async fn way_of(store: &impl Deliveries, endpoint: &Endpoint, event: i64) -> Result<Way, StoreError> {
    let head = store.heads(event - 1, 1).await?.into_iter().find(|head| head.event == event);
    Ok(match head {
        Some(head) if !head.believed && endpoint.unproven => Way::Unproven,
        _ => Way::Believed,
    })
}
