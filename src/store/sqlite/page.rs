//! Pages of rows: read a few at once, so that neither their number nor their size is beyond bounds.

use serde::Serialize;
use sqlx::sqlite::{SqlitePool, SqliteRow};

use super::super::page::Room;
use super::super::{Page, StoreError};
use super::filter::Sql;
use super::read::failed;

/// Rows read at once.
const AT_ONCE: u32 = 50;

/// A page of at most `limit` rows, and [`super::super::PAGE_OCTETS`]. `ask` makes the question for so many rows after the
/// last one that was read.
pub(super) async fn page<T: Serialize>(
    pool: &SqlitePool,
    limit: u32,
    ask: impl FnMut(Option<&T>, u32) -> Sql,
    read: impl Fn(&SqliteRow) -> Result<T, StoreError>,
) -> Result<Page<T>, StoreError> {
    // One more than is shown says whether there are more.
    sifted(pool, limit, AT_ONCE.min(limit.saturating_add(1)), ask, read, |_| true).await
}

/// The same of those rows alone that `takes` takes; `at_once` are read at once.
pub(super) async fn sifted<T: Serialize>(
    pool: &SqlitePool,
    limit: u32,
    at_once: u32,
    mut ask: impl FnMut(Option<&T>, u32) -> Sql,
    read: impl Fn(&SqliteRow) -> Result<T, StoreError>,
    takes: impl Fn(&T) -> bool,
) -> Result<Page<T>, StoreError> {
    let mut page = Page { items: Vec::new(), more: false };
    let (mut room, mut left, mut passed) = (Room::default(), limit, None);
    loop {
        let last = passed.as_ref().or(page.items.last());
        let rows = ask(last, at_once).build().fetch_all(pool).await.map_err(failed)?;
        for row in &rows {
            let item = read(row)?;
            if !takes(&item) {
                passed = Some(item);
                continue;
            }
            if left == 0 || room.is_gone() {
                page.more = true;
                return Ok(page);
            }
            room.take(&item);
            page.items.push(item);
            (left, passed) = (left - 1, None);
        }
        if rows.len() < at_once as usize {
            return Ok(page);
        }
    }
}
