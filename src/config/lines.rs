//! Lines of a text.

/// Where the lines of a text begin, so that many places in it are found quickly.
pub(super) struct Lines(Vec<usize>);

impl Lines {
    pub(super) fn new(text: &str) -> Self {
        Self(std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect())
    }

    /// The number of the line that a byte stands in, from 1.
    pub(super) fn of(&self, at: usize) -> usize {
        self.0.partition_point(|start| *start <= at).max(1)
    }
}
