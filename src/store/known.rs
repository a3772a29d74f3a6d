//! What was recorded before.

use std::collections::HashMap;

use super::StoreError;

/// Messages by their digests.
pub trait Known: Send + Sync + 'static {
    /// The numbers of those messages that are recorded, by their digests ([`super::NewMessage::digest`]).
    fn known(
        &self,
        digests: &[[u8; 32]],
    ) -> impl Future<Output = Result<HashMap<[u8; 32], i64>, StoreError>> + Send;
}
