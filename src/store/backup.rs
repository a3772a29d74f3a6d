//! Copies of a store that goes on serving.

use std::future::Future;
use std::path::Path;

use super::StoreError;

/// A store that can be copied while it is in use.
pub trait Backup: Send + Sync {
    /// Writes a copy of everything that was committed when it began into an empty file; neither readers nor writers
    /// wait. `progress` is told how many octets of about how many are written. The copy is whole when this returns:
    /// it was synced, and read again.
    ///
    /// # Errors
    /// When the copy cannot be written, or is not whole; the file is then of no use.
    fn copy_into(
        &self,
        file: &Path,
        progress: &(dyn Fn(u64, u64) + Sync),
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;
}
