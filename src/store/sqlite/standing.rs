//! What is known of addresses that are asked about, many at once: what suppresses them, what waits, what is counted, and
//! the last failure.

use std::collections::HashMap;

use jiff::Timestamp;
use sqlx::sqlite::{SqliteConnection, SqlitePool};
use sqlx::{Connection, Row};

use super::super::{ANY_STREAM, CountedDay, Standing, StoreError, Suppression, ToldEvent};
use super::entries::{by_weight, entries, to_suppression, to_told_event};
use super::read::{failed, maybe_time};
use super::written;

/// What is held about addresses, the oldest first.
pub(super) const HELD: &str = "
    SELECT recipient_key, hold FROM json_each(?1) AS asked CROSS JOIN events INDEXED BY events_held_address
        ON recipient_key = asked.value
    WHERE change = 'held' AND hold IS NOT NULL ORDER BY received_at";

/// The last believed report about each address that its mail failed, or arrived: one that is proven or trusted, or that
/// a person let through.
const LAST: &str = "
    SELECT events.* FROM json_each(?1) AS asked CROSS JOIN events ON events.id = (
        SELECT id FROM events INDEXED BY events_recipient
        WHERE recipient_key = asked.value AND change NOT IN ('quarantined', 'discarded')
          AND (applies OR settled_at IS NOT NULL)
          AND (bounce_type <> 'none' OR decision = 'sender'
               OR (class = 'delivered' AND rule NOT IN ('action.relayed', 'action.expanded')))
        ORDER BY received_at DESC, id DESC LIMIT 1)";

/// What is known of addresses, each by the keys that it may be stored under.
pub(super) async fn of(
    pool: &SqlitePool,
    stored: &[[String; 2]],
    stream: Option<i64>,
    now: Timestamp,
) -> Result<Vec<Standing>, StoreError> {
    let keys = serde_json::Value::from_iter(stored.iter().flatten().map(String::as_str)).to_string();
    let mut connection = pool.acquire().await.map_err(failed)?;
    // All questions about the same moment.
    let mut at_once = connection.begin().await.map_err(failed)?;
    let found = by_key(&mut at_once, &keys, stream, now).await?;
    at_once.rollback().await.map_err(failed)?;
    let nothing = Found::default();
    let one = |[plain, hashed]: &[String; 2]| {
        let first = found.get(plain).unwrap_or(&nothing);
        if plain == hashed {
            return first.clone().into();
        }
        first.clone().and(found.get(hashed).unwrap_or(&nothing)).into()
    };
    Ok(stored.iter().map(one).collect())
}

/// What is known under a key, before anything is weighed: entries with the replies behind them.
#[derive(Debug, Clone, Default)]
struct Found {
    entries: Vec<(Suppression, Reply)>,
    hold: Option<i64>,
    unproven: u64,
    counted: Vec<CountedDay>,
    last: Option<ToldEvent>,
}

/// What the report behind an entry says, and when it came in.
type Reply = (Option<String>, Option<Timestamp>);

impl Found {
    fn and(mut self, other: &Self) -> Self {
        self.entries.extend_from_slice(&other.entries);
        self.hold = self.hold.max(other.hold);
        self.unproven += other.unproven;
        self.counted.extend_from_slice(&other.counted);
        let other = other.last.as_ref();
        let later = |one: &ToldEvent| (one.received_at, one.event.event);
        if other.map(later) > self.last.as_ref().map(later) {
            self.last = other.cloned();
        }
        self
    }
}

impl From<Found> for Standing {
    fn from(mut found: Found) -> Self {
        found.entries.sort_by(|(a, _), (b, _)| by_weight(a, b));
        let (reply, replied_at) = found.entries.first().map(|(_, reply)| reply.clone()).unwrap_or_default();
        Self {
            entries: found.entries.into_iter().map(|(entry, _)| entry).collect(),
            reply,
            replied_at,
            hold: found.hold,
            unproven: found.unproven,
            counted: found.counted,
            // A delivery after it says that it is over.
            last_failure: found.last.filter(|told| told.event.class != "delivered"),
        }
    }
}

async fn by_key(
    connection: &mut SqliteConnection,
    keys: &str,
    stream: Option<i64>,
    now: Timestamp,
) -> Result<HashMap<String, Found>, StoreError> {
    let mut found: HashMap<String, Found> = HashMap::new();
    let rows = sqlx::query(concat!(
        entries!(", events.diagnostic_code AS reply, events.received_at AS replied_at"),
        "address_key IN (SELECT value FROM json_each(?1)) AND (?2 IS NULL OR suppressions.stream IN (?2, ?3))
         AND (expires_at IS NULL OR expires_at > ?4) ORDER BY address_key, suppressions.stream"
    ))
    .bind(keys)
    .bind(stream)
    .bind(ANY_STREAM)
    .bind(written(now))
    .fetch_all(&mut *connection)
    .await
    .map_err(failed)?;
    for row in &rows {
        let entry = to_suppression(row)?;
        found
            .entry(entry.address_key.clone())
            .or_default()
            .entries
            .push((entry, (row.try_get("reply")?, maybe_time(row, "replied_at")?)));
    }
    let rows = sqlx::query(HELD).bind(keys).fetch_all(&mut *connection).await.map_err(failed)?;
    for row in &rows {
        found.entry(row.try_get(0)?).or_default().hold = row.try_get(1)?;
    }
    let rows = sqlx::query(
        "SELECT recipient_key, count(*) FROM events INDEXED BY events_waiting_address
         WHERE change = 'quarantined' AND recipient_key IN (SELECT value FROM json_each(?1)) GROUP BY recipient_key",
    )
    .bind(keys)
    .fetch_all(&mut *connection)
    .await
    .map_err(failed)?;
    for row in &rows {
        found.entry(row.try_get(0)?).or_default().unproven = row.try_get::<i64, _>(1)?.unsigned_abs();
    }
    let rows = sqlx::query(
        "SELECT name, kind, stream, day FROM counters
         WHERE scope = 'address' AND name IN (SELECT value FROM json_each(?1)) ORDER BY kind, stream, day",
    )
    .bind(keys)
    .fetch_all(&mut *connection)
    .await
    .map_err(failed)?;
    for row in &rows {
        let day = CountedDay { kind: row.try_get(1)?, stream: row.try_get(2)?, day: row.try_get(3)? };
        found.entry(row.try_get(0)?).or_default().counted.push(day);
    }
    let rows = sqlx::query(LAST).bind(keys).fetch_all(connection).await.map_err(failed)?;
    for row in &rows {
        found.entry(row.try_get("recipient_key")?).or_default().last = Some(to_told_event(row)?);
    }
    Ok(found)
}
