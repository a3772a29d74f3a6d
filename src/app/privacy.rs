//! Whether what is in the database fits to how addresses are to be kept.

use tracing::warn;

use crate::config::Config;
use crate::store::Erase;
use crate::store::sqlite::SqliteStore;

/// Warns where addresses stand in clear that should not, and where some are hashed that cannot be found.
pub(super) async fn warn_of_addresses(store: &SqliteStore, config: &Config) {
    let stand = match store.addresses_stand().await {
        Ok(stand) => stand,
        Err(error) => return warn!(%error, "cannot tell how addresses stand in the database"),
    };
    let addresses = &config.store.addresses;
    if addresses.all_hashed() && stand.clear {
        warn!("addresses from before store.hash_addresses stand in clear; `dsnd store hash` hashes them");
    }
    if addresses.key().is_none() && stand.hashed {
        warn!(
            "addresses in the database are hashed, and none of them is found without its key: those that are suppressed \
             can be mailed; set store.hash_key_file"
        );
    }
}
