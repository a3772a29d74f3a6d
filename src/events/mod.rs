//! Events on their way to those who want to be told: webhooks.
//!
//! A [`Dispatcher`] brings the events of the outbox to one [`Endpoint`]: at least once, those of one address in their
//! order. What is tried in vain is tried again for a day, in ever longer intervals. The backlog lies in the database
//! alone; here is what is on its way, and the order of what comes next (`lanes`).

mod body;
mod client;
mod dispatch;
mod endpoint;
mod lanes;
mod replay;
mod ses;
mod sign;

pub use body::named;
pub use client::{Answer, HttpReceiver, Receiver, ReceiverError};
pub use dispatch::Dispatcher;
pub use endpoint::{Endpoint, EndpointError, Format, Way};
pub use replay::Replay;
pub use sign::{Secret, SecretError};

#[cfg(test)]
mod tests;
