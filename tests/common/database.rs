//! A look into the database, past the program.

use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow};
use sqlx::{ConnectOptions, Connection, FromRow};
use tokio::runtime::Runtime;

/// A connection of the test's own.
pub(crate) struct Database {
    runtime: Runtime,
    connection: Option<SqliteConnection>,
}

impl Database {
    /// Opens it for reading only: closing such a connection does not tidy the file up either.
    pub(crate) fn read(path: &Path) -> Self {
        Self::open(SqliteConnectOptions::new().filename(path).read_only(true))
    }

    /// Opens it for writing.
    pub(crate) fn write(path: &Path) -> Self {
        Self::open(SqliteConnectOptions::new().filename(path))
    }

    fn open(options: SqliteConnectOptions) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let connection = runtime.block_on(options.connect()).expect("the database opens");
        Self { runtime, connection: Some(connection) }
    }

    /// Runs statements.
    pub(crate) fn run(&mut self, sql: &'static str) {
        let connection = self.connection.as_mut().expect("an open connection");
        self.runtime
            .block_on(sqlx::raw_sql(sql).execute(connection))
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// Every row of a query.
    pub(crate) fn rows<T: Send + Unpin + for<'r> FromRow<'r, SqliteRow>>(
        &mut self,
        sql: &'static str,
    ) -> Vec<T> {
        let connection = self.connection.as_mut().expect("an open connection");
        let rows = self.runtime.block_on(sqlx::query_as(sql).fetch_all(connection));
        rows.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// The only value of a query for a number.
    pub(crate) fn number(&mut self, sql: &'static str) -> i64 {
        self.rows::<(i64,)>(sql)[0].0
    }

    /// What SQLite itself says about the file; `ok` when nothing is wrong.
    pub(crate) fn integrity(&mut self) -> String {
        self.rows::<(String,)>("PRAGMA integrity_check")
            .into_iter()
            .map(|row| row.0)
            .collect::<Vec<_>>()
            .join("\n")
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            let _ = self.runtime.block_on(connection.close());
        }
    }
}
