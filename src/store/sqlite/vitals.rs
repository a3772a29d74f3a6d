//! What can be watched of a database.

use std::path::Path;

use jiff::Timestamp;
use sqlx::Row;

use super::super::{ChangeCount, StoreError, Vital, Vitals};
use super::read::failed;
use super::{SqliteStore, written};

impl Vitals for SqliteStore {
    async fn vitals(&self) -> Result<Vital, StoreError> {
        let row = sqlx::query(
            "SELECT (SELECT count(*) FROM events WHERE change = 'quarantined') AS quarantined,
                    (SELECT count(*) FROM holds WHERE state = 'open') AS holds,
                    (SELECT count(*) FROM events WHERE change = 'held') AS held,
                    (SELECT freelist_count * page_size FROM pragma_freelist_count, pragma_page_size) AS unused,
                    (SELECT page_count * page_size FROM pragma_page_count, pragma_page_size) AS bytes,
                    (SELECT file FROM pragma_database_list WHERE name = 'main') AS file",
        )
        .fetch_one(&self.readers.tasks)
        .await
        .map_err(failed)?;
        let number = |column: &str| row.try_get::<i64, _>(column).map(i64::unsigned_abs).map_err(failed);
        let file: String = row.try_get("file").map_err(failed)?;
        let unproven = super::raw::unproven(&self.readers.tasks).await.map_err(failed)?;
        let log = tokio::fs::metadata(Path::new(&format!("{file}-wal"))).await;
        Ok(Vital {
            quarantined: number("quarantined")?,
            holds: number("holds")?,
            held: number("held")?,
            unproven_raw: unproven.unsigned_abs(),
            unused_bytes: number("unused")?,
            database_bytes: number("bytes")?,
            log_bytes: log.map_or(0, |log| log.len()),
        })
    }

    async fn entries_by_reason(&self, now: Timestamp) -> Result<Vec<(String, u64)>, StoreError> {
        let rows = sqlx::query(
            "SELECT reason, count(*) AS entries FROM suppressions
             WHERE expires_at IS NULL OR expires_at > ?1 GROUP BY reason",
        )
        .bind(written(now))
        .fetch_all(&self.readers.tasks)
        .await
        .map_err(failed)?;
        let entry = |row: &sqlx::sqlite::SqliteRow| {
            let entries: i64 = row.try_get("entries").map_err(failed)?;
            Ok((row.try_get("reason").map_err(failed)?, entries.unsigned_abs()))
        };
        rows.iter().map(entry).collect()
    }

    async fn last_change(&self) -> Result<i64, StoreError> {
        let last = sqlx::query_scalar("SELECT coalesce(max(id), 0) FROM audit");
        last.fetch_one(&self.readers.tasks).await.map_err(failed)
    }

    async fn changes_after(
        &self,
        after: i64,
        limit: u32,
    ) -> Result<Option<(i64, Vec<ChangeCount>)>, StoreError> {
        let rows = sqlx::query(
            "SELECT origin, action, iif(action = 'added', after ->> 'reason', NULL) AS reason,
                    count(*) AS changes, max(id) AS last
             FROM (SELECT * FROM audit WHERE id > ?1 ORDER BY id LIMIT ?2) GROUP BY 1, 2, 3",
        )
        .bind(after)
        .bind(limit)
        .fetch_all(&self.readers.tasks)
        .await
        .map_err(failed)?;
        let mut last = after;
        let mut changes = Vec::with_capacity(rows.len());
        for row in &rows {
            last = last.max(row.try_get("last").map_err(failed)?);
            let count: i64 = row.try_get("changes").map_err(failed)?;
            changes.push(ChangeCount {
                origin: row.try_get("origin").map_err(failed)?,
                action: row.try_get("action").map_err(failed)?,
                reason: row.try_get("reason").map_err(failed)?,
                count: count.unsigned_abs(),
            });
        }
        Ok((!changes.is_empty()).then_some((last, changes)))
    }
}
