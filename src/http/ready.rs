//! Whether the store can commit, asked of the writer itself and at most once a second.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use crate::store::{Probe, StoreError};

/// How long an answer holds.
const HOLDS: Duration = Duration::from_secs(1);

/// How long a commit may take before the store counts as one that cannot.
const PATIENCE: Duration = Duration::from_secs(3);

/// The last answer.
#[derive(Debug, Default)]
pub(super) struct Readiness {
    last: Mutex<Option<(Instant, bool)>>,
    /// One asks, the others wait for its answer.
    asking: tokio::sync::Mutex<()>,
}

impl Readiness {
    /// Whether the store could commit within the last second.
    pub(super) async fn ask(&self, store: &impl Probe) -> bool {
        if let Some(answer) = self.fresh() {
            return answer;
        }
        let _asking = self.asking.lock().await;
        if let Some(answer) = self.fresh() {
            return answer;
        }
        let answer = match timeout(PATIENCE, store.probe()).await {
            Ok(Ok(())) => true,
            Ok(Err(StoreError::Unavailable(cause))) => {
                tracing::warn!(error = %cause, "not ready: the store cannot commit");
                false
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "not ready: the store cannot commit");
                false
            }
            Err(_) => {
                tracing::warn!(limit = ?PATIENCE, "not ready: the store does not answer");
                false
            }
        };
        if let Ok(mut last) = self.last.lock() {
            *last = Some((Instant::now(), answer));
        }
        answer
    }

    fn fresh(&self) -> Option<bool> {
        let last = *self.last.lock().ok()?;
        last.filter(|(at, _)| at.elapsed() < HOLDS).map(|(_, answer)| answer)
    }
}
