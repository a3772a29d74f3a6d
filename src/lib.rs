//! dsnd
#![forbid(unsafe_code)]
pub mod address;
pub mod smtp;
pub mod status;
pub mod classify;
pub mod report;
pub mod returnpath;
pub mod policy;
pub mod store;
