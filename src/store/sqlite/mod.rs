//! The store on SQLite: WAL, `synchronous=FULL`, one writer that commits in groups, readers apart.

mod backup;
mod deliveries;
mod edits;
mod entries;
mod erase;
mod facts;
mod filter;
mod gauge;
mod holds;
mod job;
mod known;
mod line;
mod lists;
mod log;
mod mask;
mod messages;
mod open;
mod outbox;
mod page;
mod people;
mod place;
mod quarantine;
mod raw;
mod read;
mod readers;
mod reclassify;
mod record;
mod reserve;
mod retention;
mod standing;
mod statistics;
mod stored;
mod tokens;
mod turn;
mod vitals;
mod write;
mod writer;

use std::path::Path;

use jiff::Timestamp;

use super::{
    Addresses, Bounce, BounceFilter, HeldEvent, Hold, HoldFilter, HoldSettled, HoldSettling, ManualEntry,
    NewMessage, Outcome, Page, Pressure, QuarantineFilter, Quarantined, Recorded, Removal, Settings,
    Settling, Store, StoreError, Story, StoryPlace, Suppression, SuppressionFilter,
};
pub use erase::occurrences;
pub use open::{Access, SCHEMA};
use readers::Readers;
pub use reserve::Disk;
use reserve::Reserve;
use writer::Writer;

/// A suppression store in one SQLite file.
#[derive(Debug)]
pub struct SqliteStore {
    readers: Readers,
    writer: Option<Writer>,
    addresses: Addresses,
    reserve: Reserve,
}

impl SqliteStore {
    /// Opens a database file; [`Access::Serve`] creates it with mode 0600 and brings its schema up to date.
    ///
    /// `busy_timeout` is how long a write waits for a lock that another process holds.
    ///
    /// # Errors
    /// [`StoreError`], naming the file and what is wrong with it.
    pub async fn open(
        path: &Path,
        access: Access,
        settings: Settings,
        busy_timeout: std::time::Duration,
    ) -> Result<Self, StoreError> {
        let addresses = settings.addresses.clone();
        let reserve = Reserve::beside(path);
        if access == Access::Write {
            reserve.spend(); // also opening writes
        }
        let options = open::prepare(path, access, busy_timeout, &addresses).await?;
        let readers = Readers::new(&options);
        let writer = (access != Access::Read).then(|| Writer::start(&options, settings, busy_timeout));
        Ok(Self { readers, writer, addresses, reserve })
    }

    /// Settings for what is recorded from now on. A store that was opened for reading has none.
    pub fn replace(&self, settings: Settings) {
        if let Some(writer) = &self.writer {
            writer.replace(Settings { addresses: self.addresses.clone(), ..settings });
        }
    }

    /// Lets the writer finish what it has, then closes the file, which folds the write-ahead log into it.
    pub async fn close(self) {
        self.readers.close().await;
        if let Some(writer) = self.writer {
            writer.close().await;
        }
    }

    /// Whether there is a key to hash addresses with, so that those which came hashed can be found.
    #[must_use]
    pub const fn has_hash_key(&self) -> bool {
        self.addresses.key().is_some()
    }

    /// Whether addresses stand hashed that cannot be found, since there is no key.
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be read.
    pub async fn lacks_hash_key(&self) -> Result<bool, StoreError> {
        if self.has_hash_key() {
            return Ok(false);
        }
        let mut connection = self.readers.lookups.acquire().await.map_err(read::failed)?;
        stored::any_hashed(&mut connection).await.map_err(read::failed)
    }

    /// What the disk has.
    ///
    /// # Errors
    /// What the system says.
    pub fn disk(&self) -> std::io::Result<Disk> {
        self.reserve.disk()
    }

    /// Keeps a file of so many octets, which are given back when something has to be deleted on a full disk. 0: none.
    ///
    /// # Errors
    /// What the system says.
    pub fn keep_reserve(&self, octets: u64) -> std::io::Result<()> {
        self.reserve.keep(octets)
    }

    /// How addresses are kept. A reader of this engine asks for rows by both of [`Addresses::keys`]:
    /// `address_key IN (?1, ?2)`.
    fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    fn writer(&self) -> Result<&Writer, StoreError> {
        self.writer
            .as_ref()
            .ok_or_else(|| StoreError::Unavailable("it was opened for reading only".to_owned()))
    }
}

impl Store for SqliteStore {
    async fn record(&self, message: NewMessage) -> Result<Recorded, StoreError> {
        self.writer()?.record(stored::arrival(&self.addresses, message)).await
    }

    fn pressure(&self) -> Pressure {
        self.writer.as_ref().map_or_else(Pressure::default, Writer::pressure)
    }

    async fn standing(
        &self,
        address_key: &str,
        stream: Option<i64>,
        now: Timestamp,
    ) -> Result<Vec<Suppression>, StoreError> {
        entries::standing(&self.readers.lookups, &self.addresses().keys(address_key), stream, now).await
    }

    async fn story(&self, address_key: &str, place: StoryPlace, limit: u32) -> Result<Story, StoreError> {
        entries::story(&self.readers.listings, &self.addresses().keys(address_key), place, limit).await
    }

    async fn suppressions(&self, filter: &SuppressionFilter) -> Result<Page<Suppression>, StoreError> {
        entries::list(&self.readers.listings, filter).await
    }

    async fn count(&self, filter: &SuppressionFilter) -> Result<u64, StoreError> {
        entries::count(&self.readers.listings, filter).await
    }

    async fn add(&self, entry: ManualEntry) -> Result<(), StoreError> {
        self.writer()?.add(entry).await
    }

    async fn remove(&self, removal: Removal) -> Result<bool, StoreError> {
        self.writer()?.remove(removal).await
    }

    async fn undo(
        &self,
        filter: SuppressionFilter,
        now: Timestamp,
        actor: Option<String>,
    ) -> Result<u64, StoreError> {
        self.writer()?.undo(filter, now, actor).await
    }

    async fn expire(&self, now: Timestamp, limit: u32) -> Result<u64, StoreError> {
        self.writer()?.expire(now, limit).await
    }

    async fn bounces(&self, filter: &BounceFilter) -> Result<Page<Bounce>, StoreError> {
        messages::bounces(&self.readers.listings, &self.addresses, filter).await
    }

    async fn count_bounces(&self, filter: &BounceFilter, most: u32) -> Result<u64, StoreError> {
        messages::count(&self.readers.listings, &self.addresses, filter, most).await
    }

    async fn bounce_after(&self, id: i64, after: i64) -> Result<Option<Bounce>, StoreError> {
        messages::bounce(&self.readers.listings, id, after).await
    }

    async fn raw(&self, id: i64) -> Result<Option<Vec<u8>>, StoreError> {
        read::raw(&self.readers.listings, id).await
    }

    async fn quarantined(&self, filter: &QuarantineFilter) -> Result<Page<Quarantined>, StoreError> {
        quarantine::quarantined(&self.readers.listings, &self.addresses, filter).await
    }

    async fn count_quarantined(&self, filter: &QuarantineFilter, most: u32) -> Result<u64, StoreError> {
        quarantine::count(&self.readers.listings, &self.addresses, filter, most).await
    }

    async fn settle(&self, settling: Settling) -> Result<Vec<Outcome>, StoreError> {
        self.writer()?.settle(settling).await
    }

    async fn prune_unproven(&self, keep: u64, limit: u32) -> Result<u64, StoreError> {
        self.writer()?.prune_unproven(keep, limit).await
    }

    async fn prune_raw(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        self.writer()?.prune_raw(before, limit).await
    }

    async fn holds(&self, filter: &HoldFilter) -> Result<Page<Hold>, StoreError> {
        holds::list(&self.readers.listings, filter).await
    }

    async fn count_holds(&self, filter: &HoldFilter, most: u32) -> Result<u64, StoreError> {
        holds::count(&self.readers.listings, filter, most).await
    }

    async fn hold(&self, id: i64) -> Result<Option<Hold>, StoreError> {
        holds::one(&self.readers.listings, id).await
    }

    async fn held(&self, id: i64, after: i64, limit: u32) -> Result<Page<HeldEvent>, StoreError> {
        holds::held(&self.readers.listings, id, after, limit).await
    }

    async fn settle_hold(&self, settling: HoldSettling) -> Result<Option<HoldSettled>, StoreError> {
        self.writer()?.settle_hold(settling).await
    }

    async fn prune_rates(&self, now: Timestamp, limit: u32) -> Result<u64, StoreError> {
        self.writer()?.prune_rates(now, limit).await
    }
}

/// A time as the database holds it: UTC, whole seconds, so that text order is time order.
fn written(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests;
