//! A copy of the database while it is in use: `VACUUM INTO`, which reads one snapshot and leaves out unused pages.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};

use super::super::{Backup, StoreError};
use super::SqliteStore;
use super::read::failed;

/// How often it is looked how far the copy is.
const LOOK_EVERY: Duration = Duration::from_millis(100);

impl Backup for SqliteStore {
    async fn copy_into(&self, file: &Path, progress: &(dyn Fn(u64, u64) + Sync)) -> Result<u64, StoreError> {
        let Some(name) = file.to_str() else {
            return Err(StoreError::Open {
                path: file.to_owned(),
                cause: "its name is not UTF-8".to_owned(),
            });
        };
        let mut connection = self.apart().await?;
        let (total, schema) = measure(&mut connection).await.map_err(failed)?;
        let copying = async move {
            let copied = sqlx::query("VACUUM INTO ?1").bind(name).execute(&mut connection).await;
            let _ = connection.close().await;
            copied
        };
        tokio::pin!(copying);
        loop {
            tokio::select! {
                copied = &mut copying => break copied.map(drop).map_err(failed)?,
                () = tokio::time::sleep(LOOK_EVERY) => {
                    let written = std::fs::metadata(file).map_or(0, |metadata| metadata.len());
                    progress(written.min(total), total);
                }
            };
        }
        let broken = |cause: String| StoreError::Open { path: file.to_owned(), cause };
        File::open(file).and_then(|file| file.sync_all()).map_err(|error| broken(error.to_string()))?;
        let found = verify(file).await.map_err(|error| broken(error.to_string()))?;
        if found != ("ok".to_owned(), schema) {
            return Err(broken(format!("the copy is not whole: {} (schema {})", found.0, found.1)));
        }
        Ok(std::fs::metadata(file).map_err(|error| broken(error.to_string()))?.len())
    }
}

/// How many octets the copy will have, about, and the schema that it must have.
async fn measure(connection: &mut SqliteConnection) -> Result<(u64, i64), sqlx::Error> {
    let (used, schema): (i64, i64) = sqlx::query_as(
        "SELECT (page_count - freelist_count) * page_size, user_version
         FROM pragma_page_count, pragma_freelist_count, pragma_page_size, pragma_user_version",
    )
    .fetch_one(connection)
    .await?;
    Ok((u64::try_from(used).unwrap_or(0), schema))
}

async fn verify(file: &Path) -> Result<(String, i64), sqlx::Error> {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .read_only(true)
        .immutable(true)
        .disable_statement_logging();
    let mut copy = options.connect().await?;
    let found = sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(&mut copy).await?;
    let schema = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut copy).await?;
    copy.close().await?;
    Ok((found, schema))
}
