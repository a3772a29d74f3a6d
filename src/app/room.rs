//! Watches the room on the disk, and makes room where it runs short.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::background::{RAW_AT_ONCE, in_batches, until_none};
use crate::config::Config;
use crate::ingest::{Reserve, Room};
use crate::metrics;
use crate::store::sqlite::SqliteStore;
use crate::store::{Store, Vitals};

/// How often the disk is asked.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// How often it is looked whether old raw messages that nothing proves have to go.
const MAKE_EVERY: Duration = Duration::from_secs(10);

/// At most one part in 100 of the time.
const PART: u32 = 100;

/// Measures until the shutdown.
pub(super) async fn watch(
    store: Arc<SqliteStore>,
    config: Arc<ArcSwap<Config>>,
    room: Arc<Room>,
    shutdown: CancellationToken,
) {
    let (mut unused, mut short, mut next) = (0, false, Instant::now());
    while !shutdown.is_cancelled() {
        let store_config = config.load().store.clone();
        match store.disk() {
            Ok(disk) => {
                // Pages that hold nothing are written before the file grows.
                let free = disk.free.saturating_add(unused);
                let reserve = store_config.reserve.on(disk.size);
                room.measured(free, reserve);
                metrics::STORE_ROOM.set([], free);
                tell(&mut short, &room, free, reserve);
                if next <= Instant::now() {
                    let began = Instant::now();
                    if let Err(error) = store.keep_reserve(store_config.reserve_file) {
                        debug!(%error, "the reserve on the disk is kept later");
                    }
                    let lacks = reserve.unproven.saturating_sub(free);
                    unused = make(&store, config.load().unproven.raw_octets, lacks, unused, &shutdown).await;
                    next = Instant::now() + MAKE_EVERY.max(began.elapsed() * PART);
                }
            }
            Err(error) => debug!(%error, "the disk is asked later"),
        }
        let _ = tokio::time::timeout(ASK_EVERY, shutdown.cancelled()).await;
    }
}

/// Says when there is no more room, and when there is again.
fn tell(short: &mut bool, room: &Room, free: u64, reserve: Reserve) {
    let was = std::mem::replace(short, !room.for_unproven());
    match (was, *short) {
        (false, true) => warn!(
            free,
            reserve = reserve.unproven,
            "the disk is nearly full: what no return path proves is put off (store.reserve_unproven)"
        ),
        (true, false) => info!(free, "there is room on the disk again"),
        _ => {}
    }
}

/// Drops the oldest raw messages that nothing proves: those beyond their quota, and so many octets more as the disk lacks.
/// Says how many octets of the database hold nothing.
async fn make(store: &SqliteStore, quota: u64, lacks: u64, unused: u64, shutdown: &CancellationToken) -> u64 {
    let vital = match store.vitals().await {
        Ok(vital) => vital,
        Err(error) => {
            debug!(%error, "room is made later");
            return unused;
        }
    };
    metrics::UNPROVEN_RAW.set([], vital.unproven_raw);
    // What is unused by now is lacking no more.
    let lacks = lacks.saturating_sub(vital.unused_bytes.saturating_sub(unused));
    let quota = if quota == 0 { u64::MAX } else { quota };
    let keep = quota.min(vital.unproven_raw.saturating_sub(lacks));
    if vital.unproven_raw > keep {
        let batch = |()| async move { until_none(store.prune_unproven(keep, RAW_AT_ONCE).await) };
        let messages = in_batches("raw messages that nothing proves stay for now", shutdown, (), batch).await;
        if messages > 0 {
            metrics::UNPROVEN_DROPPED.add([], messages);
            info!(messages, "dropped the oldest raw messages that nothing proves, to make room");
        }
    }
    vital.unused_bytes
}
