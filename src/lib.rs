//! dsnd
pub mod address;
pub mod report;
pub mod status;
