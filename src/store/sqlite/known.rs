//! What was recorded before, asked for many messages at once.

use std::collections::HashMap;

use data_encoding::HEXLOWER;
use sqlx::Row;

use super::super::{Known, StoreError};
use super::SqliteStore;
use super::read::failed;

impl Known for SqliteStore {
    async fn known(&self, digests: &[[u8; 32]]) -> Result<HashMap<[u8; 32], i64>, StoreError> {
        let digests: Vec<String> = digests.iter().map(|digest| HEXLOWER.encode(digest)).collect();
        let rows = sqlx::query(
            "SELECT digest, id FROM messages WHERE digest IN (SELECT unhex(value) FROM json_each(?1))",
        )
        .bind(serde_json::Value::from(digests).to_string())
        .fetch_all(&self.readers.tasks)
        .await
        .map_err(failed)?;
        let mut known = HashMap::with_capacity(rows.len());
        for row in rows {
            // A digest of another length is none of those asked for.
            if let Ok(digest) = row.try_get::<&[u8], _>("digest")?.try_into() {
                known.insert(digest, row.try_get("id")?);
            }
        }
        Ok(known)
    }
}
