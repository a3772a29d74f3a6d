//! Tells the operator of holds that are open: those that another process opened, and those that grew, as well.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::ingest::in_log;
use crate::store::sqlite::SqliteStore;
use crate::store::{Hold, open_holds};

/// How often open holds are looked for.
const TELL_EVERY: Duration = Duration::from_secs(300);

/// Tells of every open hold at the start, and from then on of those that were opened or grew. It looks once even
/// where the end is near already.
pub(super) async fn tell(store: Arc<SqliteStore>, shutdown: CancellationToken) {
    let mut told = HashMap::new();
    loop {
        match open_holds(&*store).await {
            Ok(holds) => untold(&mut told, &holds).for_each(raise),
            Err(error) => warn!(%error, "open holds are looked for later"),
        }
        tokio::select! {
            () = tokio::time::sleep(TELL_EVERY) => {}
            () = shutdown.cancelled() => return,
        }
    }
}

/// The holds of which there is news: more addresses wait than when they were told last.
fn untold<'a>(told: &mut HashMap<i64, i64>, holds: &'a [Hold]) -> impl Iterator<Item = &'a Hold> {
    let before = std::mem::replace(told, holds.iter().map(|hold| (hold.id, hold.addresses)).collect());
    holds.iter().filter(move |hold| before.get(&hold.id).is_none_or(|addresses| hold.addresses > *addresses))
}

fn raise(hold: &Hold) {
    let (id, kind, name) = (hold.id, hold.kind.as_str(), in_log(&hold.name));
    error!(
        hold = id,
        kind,
        name,
        why = hold.why,
        waiting = hold.waiting,
        addresses = hold.addresses,
        "suppressions are held back; look at `dsnd holds show {id}`, which says what to do"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hold(id: i64, addresses: i64) -> Hold {
        Hold {
            id,
            kind: "rule".to_owned(),
            name: "iana.5.1.2".to_owned(),
            opened_at: jiff::Timestamp::UNIX_EPOCH,
            why: String::new(),
            recheckable_only: true,
            state: "open".to_owned(),
            held: addresses,
            waiting: addresses,
            addresses,
            settled_at: None,
            settled_by: None,
        }
    }

    #[test]
    fn every_open_hold_is_told_at_the_start_and_again_when_it_grew() {
        let mut told = HashMap::new();
        for (holds, news) in [
            (vec![hold(1, 3), hold(2, 1)], vec![1, 2]),
            (vec![hold(1, 3), hold(2, 1)], vec![]),
            (vec![hold(1, 4), hold(2, 1), hold(3, 1)], vec![1, 3]),
            (vec![hold(1, 2), hold(3, 1)], vec![]),
            (vec![hold(1, 3)], vec![1]),
        ] {
            let ids: Vec<i64> = untold(&mut told, &holds).map(|hold| hold.id).collect();
            assert_eq!(ids, news);
        }
    }
}
