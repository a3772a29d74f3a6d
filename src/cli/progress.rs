//! Progress of long work, on standard error where somebody sees it.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar over octets: how far, how fast, how long to go. Without a total it tells how far and how fast.
pub(super) fn octets(total: Option<u64>) -> ProgressBar {
    match total {
        Some(total) => {
            styled(ProgressBar::new(total), "{bar:30} {percent}% of {total_bytes}, {msg}, {eta} left")
        }
        None => styled(ProgressBar::new_spinner(), "{spinner} {bytes}, {msg}"),
    }
}

/// The same over things that are counted.
pub(super) fn things(total: u64) -> ProgressBar {
    styled(ProgressBar::new(total), "{bar:30} {human_pos} of {human_len}, {per_sec}, {eta} left")
}

/// How many there were, and how many a second.
pub(super) fn told(bar: &ProgressBar, done: u64, what: &str) {
    let seconds = bar.elapsed().as_secs_f64().max(0.001);
    // A rate needs no more than this precision.
    let rate = (done as f64 / seconds) as u64;
    bar.set_message(format!("{done} {what}, {rate}/s"));
}

fn styled(bar: ProgressBar, template: &str) -> ProgressBar {
    bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

/// So much of so much is done.
pub(super) fn reach(bar: &ProgressBar, done: u64, total: u64) {
    bar.set_length(total);
    bar.set_position(done);
}
