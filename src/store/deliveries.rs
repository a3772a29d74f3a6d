//! How far each webhook is: everything that a restart needs to go on where it was.

use std::future::Future;

use jiff::Timestamp;
use serde::Serialize;

use super::{EventType, StoreError};

/// How a webhook stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WebhookState {
    /// Its name in the configuration.
    pub name: String,
    /// Every event up to this one is delivered, or passed by: refused, overtaken, waiting behind such a one, or given up.
    pub through: i64,
    /// How often somebody has asked for events again.
    #[serde(skip)]
    pub replays: i64,
    /// It took nothing since then; `None` where its last answer was good.
    pub failing_since: Option<Timestamp>,
    /// What was wrong then.
    pub error: Option<String>,
    /// The last time that it took something.
    pub delivered_at: Option<Timestamp>,
}

/// How a webhook stands, in numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WebhookStanding {
    /// Where it is.
    #[serde(flatten)]
    pub state: WebhookState,
    /// Events that it comes to next, whether or not it wants them.
    pub behind: i64,
    /// Events that were passed by and are tried again.
    pub waiting: i64,
    /// Events that were given up.
    pub dead: i64,
}

/// What is needed of an event to put it in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Its number.
    pub event: i64,
    /// When it was written.
    pub at: Timestamp,
    /// What it tells of.
    pub kind: EventType,
    /// The address it is about: events of one address go one after the other.
    pub address_key: String,
    /// The stream it is about, 0 for every one.
    pub stream: i64,
    /// It tells of something that holds: anything but a report that nothing proves and that changed nothing.
    pub believed: bool,
}

/// An event that was passed by and is tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Its number.
    pub event: i64,
    /// When it was written.
    pub at: Timestamp,
    /// The address it is about.
    pub address_key: String,
    /// How often it was tried in vain.
    pub attempts: u32,
    /// When it was, for the first time.
    pub failed_at: Option<Timestamp>,
    /// It is not tried before then.
    pub next_at: Option<Timestamp>,
}

/// What becomes of an event that was not delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassedBy {
    /// Its number.
    pub event: i64,
    /// How often it was tried in vain; 0 where it waits behind another.
    pub attempts: u32,
    /// When it was, for the first time.
    pub failed_at: Option<Timestamp>,
    /// It is not tried before then.
    pub next_at: Option<Timestamp>,
    /// Since when it is given up.
    pub dead_at: Option<Timestamp>,
    /// The last answer.
    pub error: Option<String>,
}

impl PassedBy {
    /// One that was not tried yet.
    #[must_use]
    pub const fn untried(event: i64) -> Self {
        Self { event, attempts: 0, failed_at: None, next_at: None, dead_at: None, error: None }
    }
}

/// What became of events since the last time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// How the webhook stands now. Where somebody asked for events again meanwhile, `through` is left alone, and nothing
    /// is written about events after it.
    pub state: WebhookState,
    /// Events that were passed by before, and are delivered now.
    pub delivered: Vec<i64>,
    /// Events that were not.
    pub passed_by: Vec<PassedBy>,
}

/// An event that was given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeadLetter {
    /// Whose.
    pub webhook: String,
    /// The event's number.
    pub event: i64,
    /// What it tells of.
    #[serde(rename = "type")]
    pub kind: EventType,
    /// When it was written.
    pub timestamp: Timestamp,
    /// The address it is about.
    pub address: Option<String>,
    /// How often it was tried.
    pub attempts: i64,
    /// When it was tried for the first time; `None` where it never was.
    pub failed_at: Option<Timestamp>,
    /// When it was given up.
    pub dead_at: Option<Timestamp>,
    /// The last answer.
    pub error: Option<String>,
}

/// Which events a webhook shall get again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// Those that were given up, at most so many at once.
    Dead(u32),
    /// This one and every later one, in their order.
    From(i64),
    /// One.
    Event(i64),
}

/// Where webhooks are, and how they come to what they miss.
pub trait Deliveries: Send + Sync + 'static {
    /// How a webhook stands. One that is new begins after the last event that there is.
    fn webhook(&self, name: &str) -> impl Future<Output = Result<WebhookState, StoreError>> + Send;

    /// How every webhook stands that there ever was, by name.
    fn webhooks(&self) -> impl Future<Output = Result<Vec<WebhookStanding>, StoreError>> + Send;

    /// Events after this one, the oldest first.
    fn heads(&self, after: i64, limit: u32) -> impl Future<Output = Result<Vec<Head>, StoreError>> + Send;

    /// What was passed by and is tried again, after an event, the oldest first.
    fn waiting(
        &self,
        name: &str,
        after: i64,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<Waiting>, StoreError>> + Send;

    /// The same for one address alone.
    fn waiting_about(
        &self,
        name: &str,
        address_key: &str,
        after: i64,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<Waiting>, StoreError>> + Send;

    /// Writes down what became of events. False: somebody has asked for events again, so read anew where it stands.
    fn progress(&self, progress: Progress) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// What was given up, of one webhook (its unproven reports among it) or of all, after an event, the oldest first.
    fn dead(
        &self,
        name: Option<&str>,
        after: Option<(String, i64)>,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<DeadLetter>, StoreError>> + Send;

    /// Lets a webhook have events again; how many. A daemon that runs notices.
    fn again(&self, name: &str, what: Again) -> impl Future<Output = Result<u64, StoreError>> + Send;
}
