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
    mut ask: impl FnMut(Option<&T>, u32) -> Sql,
    read: impl Fn(&SqliteRow) -> Result<T, StoreError>,
) -> Result<Page<T>, StoreError> {
    let mut page = Page { items: Vec::new(), more: false };
    let (mut room, mut left) = (Room::default(), limit);
    loop {
        // One more than is shown says whether there are more.
        let wanted = AT_ONCE.min(left.saturating_add(1));
        let rows = ask(page.items.last(), wanted).build().fetch_all(pool).await.map_err(failed)?;
        for row in &rows {
            if left == 0 || room.is_gone() {
                page.more = true;
                return Ok(page);
            }
            let item = read(row)?;
            room.take(&item);
            page.items.push(item);
            left -= 1;
        }
        if rows.len() < wanted as usize {
            return Ok(page);
        }
    }
}
