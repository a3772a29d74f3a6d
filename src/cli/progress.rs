//! Progress of long work, on standard error where somebody sees it.

use std::fmt::Write;
use std::time::Duration;

use indicatif::{HumanCount, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

/// Shorter work is done before anybody could read its bar.
const UNSEEN: Duration = Duration::from_millis(500);

/// A bar over octets: how far, how fast, how long to go. Without a total it tells how far and how fast.
pub(super) fn octets(total: Option<u64>) -> ProgressBar {
    match total {
        Some(total) => {
            styled(ProgressBar::new(total), "{bar:30} {percent}% of {total_bytes}, {msg}, {left} left")
        }
        None => styled(ProgressBar::new_spinner(), "{spinner} {bytes}, {msg}"),
    }
}

/// The same over things that are counted.
pub(super) fn things(total: u64) -> ProgressBar {
    styled(ProgressBar::new(total), "{bar:30} {human_pos} of {human_len}, {rate}/s, {left} left")
}

/// How many there were, and how many a second.
pub(super) fn told(bar: &ProgressBar, done: u64, what: &str) {
    bar.set_message(format!("{} {what}, {}/s", HumanCount(done), HumanCount(rate(done, bar.elapsed()))));
}

fn styled(bar: ProgressBar, template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let style = style
        .with_key("rate", |state: &ProgressState, out: &mut dyn Write| {
            let _ = write!(out, "{}", HumanCount(rate(state.pos(), state.elapsed())));
        })
        .with_key("left", |state: &ProgressState, out: &mut dyn Write| {
            let left = left(state.pos(), state.len().unwrap_or_default(), state.elapsed());
            let _ = match left {
                Some(left) => write!(out, "{:#}", HumanDuration(left)),
                None => write!(out, "?"),
            };
        });
    bar.set_style(style);
    shown_after(&bar, UNSEEN);
    bar
}

/// Hides a bar, and shows it when so much time is over and its work is not done.
fn shown_after(bar: &ProgressBar, unseen: Duration) {
    bar.set_draw_target(ProgressDrawTarget::hidden());
    let bar = bar.downgrade();
    std::thread::spawn(move || {
        std::thread::sleep(unseen);
        if let Some(bar) = bar.upgrade().filter(|bar| !bar.is_finished()) {
            bar.set_draw_target(ProgressDrawTarget::stderr());
        }
    });
}

/// How many a second so far; whole numbers are enough.
fn rate(done: u64, elapsed: Duration) -> u64 {
    (done as f64 / elapsed.as_secs_f64().max(0.001)) as u64
}

/// How long the rest takes if it goes on as it went from the start; none before anything is done.
fn left(done: u64, total: u64, elapsed: Duration) -> Option<Duration> {
    let rest = total.saturating_sub(done) as f64 / done as f64;
    Duration::try_from_secs_f64((elapsed.as_secs_f64() * rest).ceil()).ok()
}

/// So much of so much is done.
pub(super) fn reach(bar: &ProgressBar, done: u64, total: u64) {
    bar.set_length(total);
    bar.set_position(done);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_takes_as_long_as_what_is_done_took() {
        let after = Duration::from_secs(30);
        assert_eq!(left(3_000, 4_000, after), Some(Duration::from_secs(10)));
        assert_eq!(left(4_000, 4_000, after), Some(Duration::ZERO));
        assert_eq!(left(0, 4_000, after), None, "nothing tells that yet");
        assert_eq!(rate(100, Duration::from_millis(1_500)), 66);
    }
}
