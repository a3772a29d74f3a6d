//! The HTTP API as its clients see it.

#[path = "../common/mod.rs"]
mod common;

mod lists;
mod events;
mod service;
