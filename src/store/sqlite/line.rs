//! The line before the writer: small jobs are not kept waiting by large ones.

use std::collections::VecDeque;

/// Most jobs in one transaction.
const GROUP: usize = 256;

/// Most rows of small jobs in one transaction.
const GROUP_ROWS: usize = 4_096;

/// Jobs with more rows are large.
const LARGE: usize = 64;

/// Most rows of large jobs in one transaction, so that it does not last; one job may have more.
const LARGE_ROWS: usize = 512;

/// Jobs that wait, the small apart from the large. They take turns: behind each group of large ones come the small ones
/// that came meanwhile, so that a small one waits for one group of large ones at most.
#[derive(Debug)]
pub(super) struct Line<T> {
    small: VecDeque<(usize, T)>,
    large: VecDeque<(usize, T)>,
    /// The last group was one of small ones.
    large_next: bool,
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self { small: VecDeque::new(), large: VecDeque::new(), large_next: false }
    }
}

impl<T> Line<T> {
    /// A job that writes so many rows.
    pub(super) fn push(&mut self, rows: usize, job: T) {
        let lane = if rows > LARGE { &mut self.large } else { &mut self.small };
        lane.push_back((rows, job));
    }

    pub(super) fn len(&self) -> usize {
        self.small.len() + self.large.len()
    }

    /// The next group, empty where nothing waits; each lane in the order in which its jobs came.
    pub(super) fn group(&mut self) -> Vec<T> {
        let large = self.small.is_empty() || (self.large_next && !self.large.is_empty());
        self.large_next = !large;
        let (lane, most) = if large { (&mut self.large, LARGE_ROWS) } else { (&mut self.small, GROUP_ROWS) };
        let (mut group, mut rows) = (Vec::new(), 0);
        while group.len() < GROUP
            && let Some((next, _)) = lane.front()
            && (group.is_empty() || rows + next <= most)
            && let Some((next, job)) = lane.pop_front()
        {
            rows += next;
            group.push(job);
        }
        group
    }

    /// Those at the head of their lanes.
    pub(super) fn heads(&self) -> impl Iterator<Item = &T> {
        [&self.small, &self.large].into_iter().filter_map(|lane| lane.front().map(|(_, job)| job))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_jobs_go_before_large_ones_and_wait_for_one_group_of_them_at_most() {
        let mut line = Line::default();
        for report in 0..3 {
            line.push(1_000, format!("large {report}"));
        }
        line.push(2, "small 0".to_owned());
        line.push(64, "small 1".to_owned());
        assert_eq!(line.group(), ["small 0", "small 1"]);
        line.push(2, "small 2".to_owned());
        assert_eq!(line.group(), ["large 0"], "large ones are not put off for ever");
        line.push(2, "small 3".to_owned());
        assert_eq!(line.heads().collect::<Vec<_>>(), ["small 2", "large 1"]);
        assert_eq!(line.group(), ["small 2", "small 3"]);
        assert_eq!(line.group(), ["large 1"]);
        assert_eq!(line.group(), ["large 2"]);
        assert!(line.group().is_empty() && line.len() == 0);
    }

    #[test]
    fn a_group_is_bounded_in_jobs_and_in_rows() {
        let mut line = Line::default();
        (0..GROUP + 1).for_each(|job| line.push(1, job));
        assert_eq!((line.group().len(), line.group().len()), (GROUP, 1));
        (0..200).for_each(|job| line.push(60, job));
        assert_eq!(line.group().len(), GROUP_ROWS / 60);
        let mut line = Line::default();
        (0..9).for_each(|job| line.push(100, job));
        assert_eq!((line.group().len(), line.group().len()), (5, 4));
    }
}
