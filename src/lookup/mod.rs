//! The sending MTA asks before it takes a message: is this recipient suppressed?
//!
//! Postfix asks with the socketmap protocol (socketmap_table(5)): a request names a map and a key, and the answer is
//! what `check_recipient_access` does with the recipient (access(5)). Whatever else can send a string and read one,
//! such as Exim's `${readsocket…}`, asks in the same way.
//!
//! `netstring` has the frame, `answer` what a question means and what is said to it, `server` the connections.

mod answer;
mod netstring;
mod server;
mod settings;

pub use answer::{Answer, Map, Question};
pub use netstring::{Malformed, decode, encode};
pub use server::Server;
pub use settings::{OnError, Settings};
