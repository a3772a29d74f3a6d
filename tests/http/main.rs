//! The HTTP API as its clients see it.

#[path = "../common/mod.rs"]
mod common;

mod events;
mod lists;
mod service;
