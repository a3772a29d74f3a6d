//! dsnd
pub mod address;
pub mod smtp;
pub mod status;
