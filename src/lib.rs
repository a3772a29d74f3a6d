//! dsnd stands at the Return-Path: it receives bounces over SMTP, reads who failed and why, and keeps the
//! answer in a suppression list that every sending program can ask.
//!
//! # The way of a bounce
//!
//! ```text
//! remote MTA ──SMTP──▶ smtp ──Envelope+bytes──▶ ingest ─┬─ returnpath  is it ours, and how far is it believed?
//!                                                       ├─ report      bytes → Report
//!                                                       ├─ classify    recipient fields → Classification
//!                                                       ├─ policy      classification + history → Change
//!                                                       └─ store       one transaction; only then "250"
//! ```
//!
//! # Layers
//!
//! A module imports lower layers only, and siblings of layer 1 never import each other; `tests/layering.rs`
//! holds this.
//!
//! | layer | modules | what |
//! | --- | --- | --- |
//! | 0 vocabulary | [`address`], [`status`], [`metrics`], [`nearest`], [`when`] | words without I/O |
//! | 1 formats | [`report`], [`returnpath`], [`smtp`] | bytes to types, pure |
//! | 2 decisions | [`classify`], [`policy`], [`ledger`] | types to conclusions, pure; the time is an argument |
//! | 3 persistence | [`store`] | the list and what led to it |
//! | 4 movement | [`ingest`], [`events`], [`transfer`], [`http`], [`lookup`], [`smtp::listener`], [`smtp::tls`] | one bounce's way through all of the above, whole lists, and those who ask |
//! | 5 assembly | [`config`], [`app`], [`cli`] | wires everything |
//!
//! [`policy`] has the thresholds and terms: what one event does to one address. [`ledger`] has the book-keeping: what a
//! group of commands writes, given what is known.
//!
//! # RFC index
//!
//! | RFC | what | here |
//! | --- | --- | --- |
//! | 2045–2047 | MIME | Yes, as far as reports need it |
//! | 3461 | SMTP DSN extension | Yes, the receiving side: parameters are read and kept |
//! | 3462, 6522 | multipart/report | Yes |
//! | 3463, 5248 | enhanced status codes | Yes |
//! | 3464 | delivery status notifications | Yes |
//! | 3834 | automatic replies | Yes, as far as recognising them |
//! | 4155 | mbox files | Yes, read |
//! | 4180 | CSV | Yes: suppression lists |
//! | 5321 | SMTP | Yes, the receiving side |
//! | 5322 | message format | Partial: header fields that reports need |
//! | 5965 | feedback reports | Yes; with the types of RFC 6430 and RFC 6591 |
//! | 6531–6533 | internationalised mail | Yes, the receiving side |
//! | 8098 | disposition notifications | Yes, as far as recognising them |
//! | 7504, 7505 | 521, 556, null MX | Yes, as evidence |
//! | 2104, 4648, draft-levine-smtp-batv | HMAC, base32, BATV | Yes, for return paths |
//! | 1870, 2034, 2920, 6152 | SIZE, enhanced codes in replies, pipelining, 8BITMIME | Yes |
//! | 2033 | LMTP | Yes, the receiving side |
//! | 3030 | CHUNKING, BINARYMIME | Partial: BDAT; BINARYMIME is not offered |
//! | 3207 | STARTTLS | Yes, the receiving side |
//! | 3848 | names of transmission types | Yes |
//! | 6750, 9110, 9457 | bearer tokens, HTTP, problem details | Yes, as far as the API needs them |
//! | 9422 | LIMITS | Yes: RCPTMAX, MAILMAX |

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod address;
pub mod app;
pub mod classify;
pub mod cli;
pub mod config;
pub mod events;
pub mod http;
pub mod ingest;
pub mod ledger;
pub mod lookup;
pub mod metrics;
pub mod nearest;
pub mod policy;
pub mod report;
pub mod returnpath;
pub mod smtp;
pub mod status;
pub mod store;
pub mod transfer;
pub mod when;
