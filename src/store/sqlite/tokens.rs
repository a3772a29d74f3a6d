//! Tokens of the HTTP API, and the row that is written to see whether writing works.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};

use super::super::{NewToken, Probe, StoreError, Token, Tokens};
use super::read::{failed, maybe_time, time};
use super::{SqliteStore, written};

impl Tokens for SqliteStore {
    async fn tokens(&self) -> Result<Vec<Token>, StoreError> {
        list(&self.readers.lookups).await
    }

    async fn add_token(&self, token: NewToken) -> Result<bool, StoreError> {
        self.writer()?.send(1, Box::new(move |connection, _| Box::pin(add(connection, token)))).await
    }

    async fn revoke_token(&self, name: String, now: Timestamp, actor: String) -> Result<bool, StoreError> {
        self.writer()?
            .send(1, Box::new(move |connection, _| Box::pin(revoke(connection, name, now, actor))))
            .await
    }

    async fn note_token_use(&self, id: i64, at: Timestamp) -> Result<(), StoreError> {
        self.writer()?.send(1, Box::new(move |connection, _| Box::pin(note_use(connection, id, at)))).await
    }
}

impl Probe for SqliteStore {
    async fn probe(&self) -> Result<(), StoreError> {
        self.writer()?.send(1, Box::new(move |connection, _| Box::pin(probe(connection)))).await
    }
}

async fn list(pool: &SqlitePool) -> Result<Vec<Token>, StoreError> {
    let rows = sqlx::query("SELECT * FROM api_tokens ORDER BY id").fetch_all(pool).await.map_err(failed)?;
    rows.iter().map(to_token).collect()
}

fn to_token(row: &SqliteRow) -> Result<Token, StoreError> {
    let name: String = row.try_get("name")?;
    let corrupt = |what: &str| StoreError::Corrupt { what: format!("{what} of the token {name:?}") };
    let scope: String = row.try_get("scope")?;
    let hash: Vec<u8> = row.try_get("hash")?;
    Ok(Token {
        id: row.try_get("id")?,
        scope: scope.parse().map_err(|()| corrupt("the scope"))?,
        hash: hash.try_into().map_err(|_| corrupt("the hash"))?,
        created_at: time(row, "created_at")?,
        created_by: row.try_get("created_by")?,
        expires_at: maybe_time(row, "expires_at")?,
        revoked_at: maybe_time(row, "revoked_at")?,
        revoked_by: row.try_get("revoked_by")?,
        last_used: maybe_time(row, "last_used")?,
        name,
    })
}

async fn add(connection: &mut SqliteConnection, token: NewToken) -> Result<bool, sqlx::Error> {
    let added = sqlx::query(
        "INSERT INTO api_tokens (name, scope, hash, created_at, created_by, expires_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (name) WHERE revoked_at IS NULL DO NOTHING",
    )
    .bind(token.name)
    .bind(token.scope.as_str())
    .bind(token.hash.to_vec())
    .bind(written(token.created_at))
    .bind(token.created_by)
    .bind(token.expires_at.map(written))
    .execute(connection)
    .await?;
    Ok(added.rows_affected() > 0)
}

async fn revoke(
    connection: &mut SqliteConnection,
    name: String,
    now: Timestamp,
    actor: String,
) -> Result<bool, sqlx::Error> {
    let revoked = sqlx::query(
        "UPDATE api_tokens SET revoked_at = ?2, revoked_by = ?3 WHERE name = ?1 AND revoked_at IS NULL",
    )
    .bind(name)
    .bind(written(now))
    .bind(actor)
    .execute(connection)
    .await?;
    Ok(revoked.rows_affected() > 0)
}

async fn note_use(connection: &mut SqliteConnection, id: i64, at: Timestamp) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE api_tokens SET last_used = ?2 WHERE id = ?1")
        .bind(id)
        .bind(written(at))
        .execute(connection)
        .await
        .map(drop)
}

async fn probe(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO probe (id, at) VALUES (1, ?1) ON CONFLICT (id) DO UPDATE SET at = excluded.at")
        .bind(written(Timestamp::now()))
        .execute(connection)
        .await
        .map(drop)
}
