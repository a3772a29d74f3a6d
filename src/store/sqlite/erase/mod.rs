//! Forgetting a person: first everything is found that names her, then it is removed in small transactions.

mod file;
mod find;
mod hash;
mod write;

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use sqlx::Executor;
use sqlx::sqlite::SqliteConnection;

use super::super::erasure::{AddressesStand, Erase, Erased, Erasure};
use super::super::{StoreError, is_hashed};
use super::SqliteStore;
use super::job::Operation;
use super::mask::Person;
use super::read::failed;
use super::stored;
use crate::address::comparison_form;
pub use file::occurrences;
use find::Found;

/// Messages, or rows of the history, in one transaction.
const AT_ONCE: usize = 100;

/// How long the log is tried to be folded while others read.
const FOLD: Duration = Duration::from_secs(5);

/// Whom to forget, and in whose name.
#[derive(Debug)]
struct Plan {
    person: Person,
    /// Her address in comparison form, and hashed; the same twice where there is no key.
    keys: [String; 2],
    /// The hashed one, where there is a key: her entry stays under it.
    hashed: Option<String>,
    by: String,
    at: Timestamp,
    dry_run: bool,
}

impl Erase for SqliteStore {
    async fn erase(
        &self,
        erasure: &Erasure,
        progress: &(dyn Fn(u64, u64) + Sync),
    ) -> Result<Erased, StoreError> {
        let keys = self.addresses().keys(&comparison_form(&erasure.address));
        let hashed = Some(keys[1].clone()).filter(|key| is_hashed(key));
        let plan = Arc::new(Plan {
            person: Person::of(&erasure.address),
            keys,
            hashed,
            by: erasure.by.clone(),
            at: erasure.at,
            dry_run: erasure.dry_run,
        });
        // From here on, what comes in about her is hashed where she stays on the list.
        let mut erased = self.step(&plan, Step::Entries).await?;
        let mut since = find::Since::default();
        loop {
            let found = find::find(&self.readers.tasks, &plan, &mut since, progress).await?;
            if found.is_empty() {
                break;
            }
            erased.add(&self.remove_found(&plan, found).await?);
            if plan.dry_run {
                break;
            }
        }
        if !erased.is_empty() && !plan.dry_run {
            self.step(&plan, Step::Note).await?;
        }
        Ok(erased)
    }

    async fn hash_everything(&self, progress: &(dyn Fn(u64, u64) + Sync)) -> Result<u64, StoreError> {
        match self.addresses().key().filter(|_| self.addresses().all_hashed()) {
            Some(key) => hash::everything(self, key, progress).await,
            None => Err(StoreError::Unavailable("store.hash_addresses is off".to_owned())),
        }
    }

    async fn addresses_stand(&self) -> Result<AddressesStand, StoreError> {
        let mut connection = self.readers.tasks.acquire().await.map_err(failed)?;
        let clear = stored::any_clear(&mut connection).await.map_err(failed)?;
        Ok(AddressesStand { clear, hashed: stored::any_hashed(&mut connection).await.map_err(failed)? })
    }

    async fn fold_log(&self) -> Result<bool, StoreError> {
        let mut connection = self.apart().await?;
        let deadline = Instant::now() + FOLD;
        loop {
            let (busy, _, _): (i64, i64, i64) = sqlx::query_as("PRAGMA wal_checkpoint(TRUNCATE)")
                .fetch_one(&mut connection)
                .await
                .map_err(failed)?;
            if busy == 0 || Instant::now() > deadline {
                return Ok(busy == 0);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn rewrite(&self) -> Result<(), StoreError> {
        let mut connection = self.apart().await?;
        connection.execute("VACUUM").await.map_err(failed)?;
        Ok(())
    }
}

impl SqliteStore {
    /// A connection beside the writer's, for what no transaction may hold.
    pub(super) async fn apart(&self) -> Result<SqliteConnection, StoreError> {
        let mut connection = self.readers.tasks.acquire().await.map_err(failed)?.detach();
        connection.execute("PRAGMA query_only = off").await.map_err(failed)?;
        Ok(connection)
    }

    async fn remove_found(&self, plan: &Arc<Plan>, found: Found) -> Result<Erased, StoreError> {
        let mut erased = Erased::default();
        let steps = found.messages.chunks(AT_ONCE).map(|ids| Step::Messages(ids.to_vec()));
        let steps = steps.chain(found.audit.chunks(AT_ONCE).map(|ids| Step::Audit(ids.to_vec())));
        let steps = steps.chain(found.outbox.chunks(AT_ONCE).map(|ids| Step::Outbox(ids.to_vec())));
        let steps = steps.chain(found.entries.chunks(AT_ONCE).map(|entries| Step::Quoted(entries.to_vec())));
        for step in steps {
            erased.add(&self.step(plan, step).await?);
        }
        Ok(erased)
    }

    /// One transaction; a dry run takes it back.
    async fn step(&self, plan: &Arc<Plan>, step: Step) -> Result<Erased, StoreError> {
        let plan = Arc::clone(plan);
        let operation: Operation<Erased> = Box::new(move |connection, _| {
            Box::pin(async move {
                if !plan.dry_run {
                    return step.run(connection, &plan).await;
                }
                super::write::begin_dry_run(connection).await?;
                let erased = step.run(connection, &plan).await?;
                super::write::end_dry_run(connection).await?;
                Ok(erased)
            })
        });
        self.writer()?.send_freeing(AT_ONCE, operation).await
    }
}

/// What is done in one transaction.
#[derive(Debug)]
enum Step {
    /// Her own entries and counters.
    Entries,
    /// These messages, with their events.
    Messages(Vec<i64>),
    /// These rows of the history.
    Audit(Vec<i64>),
    /// These events of the outbox.
    Outbox(Vec<i64>),
    /// These entries of others.
    Quoted(Vec<(String, i64)>),
    /// The note that somebody was erased.
    Note,
}

impl Step {
    async fn run(self, connection: &mut SqliteConnection, plan: &Plan) -> Result<Erased, sqlx::Error> {
        match self {
            Self::Entries => write::entries(connection, plan).await,
            Self::Messages(ids) => write::messages(connection, plan, ids).await,
            Self::Audit(ids) => write::audit(connection, plan, ids).await,
            Self::Outbox(ids) => write::outbox(connection, plan, ids).await,
            Self::Quoted(entries) => write::quoted(connection, plan, entries).await,
            Self::Note => write::note(connection, plan).await,
        }
    }
}
