//! Listings: a page at a time, up to a limit, and how much there is beyond it.

use crate::store::{Page, StoreError};

/// Items read at once.
pub(super) const PAGE: u32 = 500;

/// How far is counted what there is beyond a limit; where there is more, "more than" is said.
pub(super) const COUNTED: u32 = 10_000;

/// Shows what `fetch` gives, up to `limit` items, and counts what is left where `tell` asks for it.
///
/// `fetch` has the last item before the page, and how many are wanted; `show` has the page and whether it is the first,
/// which may be empty; `count` has the last item that was shown, and says how many there are after it, as far as
/// [`COUNTED`] + 1.
pub(super) async fn list<T>(
    limit: u32,
    tell: bool,
    fetch: impl AsyncFn(Option<&T>, u32) -> Result<Page<T>, StoreError>,
    count: impl AsyncFn(Option<&T>) -> Result<u64, StoreError>,
    mut show: impl FnMut(&mut [T], bool) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let (mut left, mut first, mut last) = (limit, true, None);
    loop {
        let Page { mut items, more } = fetch(last.as_ref(), PAGE.min(left)).await?;
        left -= u32::try_from(items.len()).unwrap_or(u32::MAX).min(left);
        if first || !items.is_empty() {
            show(&mut items, first)?;
        }
        first = false;
        last = items.pop().or(last);
        if !more || left == 0 {
            if more && tell {
                say_more(limit, count(last.as_ref()).await?);
            }
            return Ok(());
        }
    }
}

/// Says on standard error how many items there are beyond a limit: standard output may be read by a program.
fn say_more(limit: u32, more: u64) {
    if more > u64::from(COUNTED) {
        super::output::note(&format!("and more than {COUNTED} more; --limit sets how many are shown"));
    } else if more > 0 {
        super::output::note(&format!("and {more} more; --limit {} shows all", u64::from(limit) + more));
    }
}
