//! dsnd
pub mod address;
pub mod status;
