//! How far long work is, on a terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar on standard error; nothing where that is no terminal.
#[derive(Debug)]
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// For rows.
    pub(super) fn rows(what: &'static str) -> Self {
        Self::new(what, "{msg} {bar:40} {pos}/{len} rows, {per_sec}, {eta} left")
    }

    /// For octets.
    pub(super) fn octets(what: &'static str) -> Self {
        Self::new(what, "{msg} {bar:40} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left")
    }

    fn new(what: &'static str, template: &str) -> Self {
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        Self(ProgressBar::new(0).with_style(style).with_message(what))
    }

    /// So much of so much is done.
    pub(super) fn at(&self, done: u64, total: u64) {
        self.0.set_length(total);
        self.0.set_position(done);
    }

    /// Takes the bar away.
    pub(super) fn clear(&self) {
        self.0.finish_and_clear();
    }
}
