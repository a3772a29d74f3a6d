//! Counts of events by day, class, domain and stream, which outlive the events themselves.

use std::future::Future;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::StoreError;
use crate::classify::Class;

/// What counts are told apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dimension {
    /// The UTC day on which the report came in.
    Day,
    /// The week, from Monday to Sunday in UTC.
    Week,
    /// Our conclusion.
    Class,
    /// The recipient's domain: A-labels in lower case. Empty for everything that nothing proves, whatever domain it
    /// names, since a stranger could name any number of them.
    Domain,
    /// The sending stream.
    Stream,
}

impl Dimension {
    /// Every one, in the order in which rows are sorted.
    pub const ALL: [Self; 5] = [Self::Day, Self::Week, Self::Class, Self::Domain, Self::Stream];

    /// The word used in output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Class => "class",
            Self::Domain => "domain",
            Self::Stream => "stream",
        }
    }
}

/// Which events are counted, and by what they are told apart.
#[derive(Debug, Clone, Default)]
pub struct StatisticsFilter {
    /// What has a row of its own; empty: one row for all.
    pub by: Vec<Dimension>,
    /// From this UTC day on; `None`: from the oldest that is kept.
    pub since: Option<Date>,
    /// Up to the beginning of this UTC day: it is not counted itself, so that two ranges that meet share nothing. `None`:
    /// up to now.
    pub until: Option<Date>,
    /// Only events of this class.
    pub class: Option<Class>,
    /// Only events about recipients at this domain (A-labels, lower case).
    pub domain: Option<String>,
    /// Only events of this stream.
    pub stream: Option<i64>,
    /// At most so many rows.
    pub limit: u32,
}

/// How many events a combination of day, class, domain and stream had. What the rows are not told apart by is empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct StatisticsRow {
    /// The UTC day.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Date)]
    pub day: Option<Date>,
    /// The Monday of the week.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Date)]
    pub week: Option<Date>,
    /// Our conclusion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// The recipient's domain; empty where nothing proves it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// The sending stream; 0 where the return path names none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<i64>,
    /// Its name in the configuration, where it has one there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream_name: Option<String>,
    /// All events. What repeats another delivery of the same report is not counted.
    pub events: u64,
    /// The same by what the class asks for.
    pub decisions: Decisions,
    /// The same by what they did to the list.
    pub changes: Changes,
}

/// Events by their decision.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = DecisionCounts)]
pub struct Decisions {
    /// Suppress now.
    pub suppress: u64,
    /// Count toward the soft threshold.
    pub count: u64,
    /// Count against the domain and the host only.
    pub host: u64,
    /// The sender's own problem.
    pub sender: u64,
    /// Suppress, reason complaint.
    pub complaint: u64,
    /// Record only.
    pub ignore: u64,
}

/// Events by what they did to the list, as it stands: what waited and was settled is counted as what it became.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ChangeCounts)]
pub struct Changes {
    /// Addresses that came on the list by them.
    pub suppressed: u64,
    /// The day was counted.
    pub counted: u64,
    /// The address was suppressed already; its entry may last longer now.
    pub seen: u64,
    /// Counters were cleared.
    pub cleared: u64,
    /// Unproven: they wait for a person.
    pub quarantined: u64,
    /// They would have suppressed and wait for a person, since far more than usual do so.
    pub held: u64,
    /// A person decided that they shall change nothing.
    pub discarded: u64,
    /// Nothing.
    pub none: u64,
}

/// Counts that are kept for longer than the events.
pub trait Statistics: Send + Sync + 'static {
    /// Rows by day or week, the oldest first; within a day, and without days, those with the most events first.
    fn statistics(
        &self,
        filter: &StatisticsFilter,
    ) -> impl Future<Output = Result<Vec<StatisticsRow>, StoreError>> + Send;
}
