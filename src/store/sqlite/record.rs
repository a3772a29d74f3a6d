//! Messages on their way in: a group of them is settled at once.

use sqlx::sqlite::SqliteConnection;

use super::super::Recorded;
use super::facts::{Judge, load};
use super::stored;
use super::write::write;
use crate::ledger::{Arrival, Needs};

/// Records messages, applies their events, and says what they did.
pub(super) async fn record(
    connection: &mut SqliteConnection,
    judge: &Judge,
    arrivals: Vec<&mut Arrival>,
) -> Result<Vec<Recorded>, sqlx::Error> {
    let mut needs = Needs::default();
    let mut ready = Vec::with_capacity(arrivals.len());
    for arrival in arrivals {
        stored::settle(connection, &judge.settings.addresses, arrival).await?;
        needs.arrival(arrival);
        ready.push(&*arrival);
    }
    let facts = load(connection, judge, &needs).await?;
    let (recorded, writes) =
        judge.settle(facts, |book| ready.into_iter().map(|arrival| book.arrive(arrival)).collect());
    write(connection, &writes).await?;
    Ok(recorded)
}
