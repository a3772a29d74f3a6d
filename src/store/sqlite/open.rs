//! Opening a database file: who may, with which schema, and whose file it is.

use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqlSafeStr};

use super::super::whose::whose;
use super::super::{Addresses, HashKey, StoreError};

/// The schema this program writes; `PRAGMA user_version` of a database it made.
pub const SCHEMA: i64 = 11;

/// `PRAGMA application_id` of our databases: "dsnd".
const APPLICATION_ID: i64 = 0x6473_6e64;

/// Every schema step, in order; each sets `PRAGMA user_version` to its number.
pub(super) const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "initial", include_str!("../migrations/0001_initial.sql")),
    (2, "trust", include_str!("../migrations/0002_trust.sql")),
    (3, "transport", include_str!("../migrations/0003_transport.sql")),
    (4, "lifecycle", include_str!("../migrations/0004_lifecycle.sql")),
    (5, "privacy", include_str!("../migrations/0005_privacy.sql")),
    (6, "api_tokens", include_str!("../migrations/0006_api_tokens.sql")),
    (7, "outbox", include_str!("../migrations/0007_outbox.sql")),
    (9, "reclassify", include_str!("../migrations/0009_reclassify.sql")),
    (10, "bounds", include_str!("../migrations/0010_bounds.sql")),
    (11, "ledger", include_str!("../migrations/0011_ledger.sql")),
];

/// What a store is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// The daemon: creates the file and migrates it.
    Serve,
    /// A command that changes an existing database.
    Write,
    /// A command that only reads one.
    Read,
}

/// Makes sure that there is a database of ours with our schema; returns how to connect to it.
pub(super) async fn prepare(
    path: &Path,
    access: Access,
    busy_timeout: Duration,
    addresses: &Addresses,
) -> Result<SqliteConnectOptions, StoreError> {
    let open_error = |cause: String| cannot_open(path, cause);
    match std::fs::metadata(path) {
        Ok(meta) if meta.is_dir() => return Err(open_error("it is a directory".to_owned())),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            if access != Access::Serve {
                return Err(StoreError::Missing(path.to_owned()));
            }
            // Made here and not by SQLite, so that nobody else can read it from the first moment on.
            std::fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(path)
                .map_err(|error| open_error(error.to_string()))?;
        }
        Err(error) => return Err(open_error(error.to_string())),
    }
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .busy_timeout(busy_timeout)
        .foreign_keys(true)
        .disable_statement_logging();
    let mut connection = connect(path, &options).await?;
    let checked = check(path, access, &mut connection).await;
    let mut checked = match checked {
        Ok(true) => migrate(path, &options).await,
        Ok(false) => Ok(()),
        Err(error) => Err(error),
    };
    if checked.is_ok()
        && let Some(key) = addresses.key()
    {
        checked = check_hash_key(path, access, &mut connection, key).await;
    }
    let _ = connection.close().await;
    checked.map(|()| options)
}

/// The connection of the writer.
pub(super) fn writer_options(options: &SqliteConnectOptions) -> SqliteConnectOptions {
    options
        .clone()
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("wal_autocheckpoint", "1000")
        // The log shrinks to this when it begins anew.
        .pragma("journal_size_limit", super::log::KEPT.to_string())
        // What is deleted is overwritten: nobody who is forgotten goes on standing in free pages.
        .pragma("secure_delete", "on")
}

/// The error of a database that cannot be opened; where it may be a matter of rights, it says whose it is.
fn cannot_open(path: &Path, cause: String) -> StoreError {
    const RIGHTS: &[&str] = &["unable to open database file", "readonly database", "Permission denied"];
    let rights = RIGHTS.iter().any(|words| cause.contains(words));
    let whose = if rights { whose(path) } else { String::new() };
    StoreError::Open { path: path.to_owned(), cause: cause + &whose }
}

async fn connect(path: &Path, options: &SqliteConnectOptions) -> Result<SqliteConnection, StoreError> {
    options.connect().await.map_err(|error| cannot_open(path, error.to_string()))
}

/// Whose file is it, and which schema has it? True when it has to be migrated.
async fn check(path: &Path, access: Access, connection: &mut SqliteConnection) -> Result<bool, StoreError> {
    let not_ours = |cause: String| StoreError::NotOurs { path: path.to_owned(), cause };
    let open_error = |cause: String| cannot_open(path, cause);
    let number = |result: Result<i64, sqlx::Error>| {
        result.map_err(|error| match super::writer::unavailable(&error) {
            Some(cause) if cause.contains("locked") => open_error(cause),
            Some(cause) => open_error(cause),
            None => not_ours(error.to_string()),
        })
    };
    let application: i64 =
        number(sqlx::query_scalar("PRAGMA application_id").fetch_one(&mut *connection).await)?;
    let found: i64 = number(sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *connection).await)?;
    // A first start that was cut short leaves the list of migrations, and nothing in it.
    let tables = "SELECT count(*) FROM sqlite_schema WHERE tbl_name <> '_sqlx_migrations'";
    let tables: i64 = number(sqlx::query_scalar(tables).fetch_one(&mut *connection).await)?;
    let empty = tables == 0 && found == 0;
    if application != APPLICATION_ID && !empty {
        return Err(not_ours("it belongs to another program".to_owned()));
    }
    if found > SCHEMA {
        return Err(StoreError::Newer { path: path.to_owned(), found, known: SCHEMA });
    }
    if found == SCHEMA {
        return Ok(false);
    }
    match access {
        Access::Serve => Ok(true),
        Access::Write | Access::Read if empty => Err(StoreError::Missing(path.to_owned())),
        Access::Write | Access::Read => {
            Err(StoreError::Older { path: path.to_owned(), found, known: SCHEMA })
        }
    }
}

/// The key must be the one that addresses were hashed with, or none of them would be found. Where none is hashed yet,
/// any key is; it is noted then by whoever may write.
async fn check_hash_key(
    path: &Path,
    access: Access,
    connection: &mut SqliteConnection,
    key: &HashKey,
) -> Result<(), StoreError> {
    let open_error = |error: sqlx::Error| cannot_open(path, error.to_string());
    let known: Option<String> = sqlx::query_scalar("SELECT fingerprint FROM hash_key")
        .fetch_optional(&mut *connection)
        .await
        .map_err(open_error)?;
    let own = key.fingerprint();
    if known.as_ref() == Some(&own) {
        return Ok(());
    }
    if known.is_some() && super::stored::any_hashed(connection).await.map_err(open_error)? {
        return Err(StoreError::OtherHashKey(path.to_owned()));
    }
    if access != Access::Read {
        sqlx::query("INSERT OR REPLACE INTO hash_key (id, fingerprint) VALUES (1, ?1)")
            .bind(own)
            .execute(connection)
            .await
            .map_err(open_error)?;
    }
    Ok(())
}

async fn migrate(path: &Path, options: &SqliteConnectOptions) -> Result<(), StoreError> {
    let migrations = MIGRATIONS
        .iter()
        .map(|(version, name, sql)| {
            Migration::new(*version, (*name).into(), MigrationType::Simple, sql.into_sql_str(), false)
        })
        .collect();
    let mut connection = connect(path, &writer_options(options)).await?;
    let result = Migrator::with_migrations(migrations).run(&mut connection).await;
    let _ = connection.close().await;
    result.map_err(|error| cannot_open(path, format!("bringing the schema up to date: {error}")))
}
