//! Listings: a page at a time, up to a limit, and how much there is beyond it.

use crate::store::StoreError;

/// Items read at once.
pub(super) const PAGE: u32 = 500;

/// Pages that are counted beyond a limit; where there are more, "more than" is said.
const COUNTED: u32 = 20;

/// Shows what `fetch` gives, up to `limit` items, and counts what is left where `tell` asks for it.
///
/// `fetch` has the last item before the page, and how many are wanted; `show` has the page and whether it is the first,
/// which may be empty.
pub(super) async fn list<T>(
    limit: u32,
    tell: bool,
    mut fetch: impl AsyncFnMut(Option<&T>, u32) -> Result<Vec<T>, StoreError>,
    mut show: impl FnMut(&mut [T], bool) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let (mut left, mut first, mut last) = (limit, true, None);
    loop {
        let wanted = PAGE.min(left);
        let mut page = if wanted == 0 { Vec::new() } else { fetch(last.as_ref(), wanted).await? };
        let whole = count(&page) == wanted;
        left -= count(&page).min(left);
        if first || !page.is_empty() {
            show(&mut page, first)?;
        }
        first = false;
        last = page.pop().or(last);
        if !whole || left == 0 {
            if whole && tell {
                say_more(limit, last, fetch).await?;
            }
            return Ok(());
        }
    }
}

/// Says on standard error how many items there are beyond a limit: standard output may be read by a program.
async fn say_more<T>(
    limit: u32,
    mut last: Option<T>,
    mut fetch: impl AsyncFnMut(Option<&T>, u32) -> Result<Vec<T>, StoreError>,
) -> anyhow::Result<()> {
    let mut more = 0;
    for _ in 0..COUNTED {
        let mut page = fetch(last.as_ref(), PAGE).await?;
        more += count(&page);
        if count(&page) < PAGE {
            if more > 0 {
                super::output::note(&format!(
                    "and {more} more; --limit {} shows all",
                    limit.saturating_add(more)
                ));
            }
            return Ok(());
        }
        last = page.pop();
    }
    super::output::note(&format!("and more than {more} more; --limit sets how many are shown"));
    Ok(())
}

fn count<T>(page: &[T]) -> u32 {
    u32::try_from(page.len()).unwrap_or(u32::MAX)
}
