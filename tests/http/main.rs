//! The HTTP API as its clients see it.

#[path = "../common/mod.rs"]
mod common;

mod bounces;
mod contract;
mod events;
mod limits;
mod lists;
mod readme;
mod service;
mod stats;
mod suppressions;
mod tokens;
