//! What every request can reach.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::problem::Problem;
use super::ready::Readiness;
use super::settings::Settings;
use super::tokens::KnownTokens;
use crate::classify::Classifier;
use crate::store::sqlite::SqliteStore;

/// How long a heavy request waits for its turn.
const TURN: Duration = Duration::from_secs(5);

/// Clients that may wait for events at the same time.
const MAX_LISTENERS: usize = 50;

/// Writes all metrics in Prometheus' text format.
pub type RenderMetrics = Arc<dyn Fn() -> String + Send + Sync>;

/// The parts of the API: handlers take it as their state, `State(api): State<Api>`.
#[derive(Clone)]
pub struct Api(Arc<Shared>);

/// What [`Api`] holds.
pub struct Shared {
    /// The bounces and the list.
    pub store: Arc<SqliteStore>,
    /// Cancelled when the daemon ends: answers that would go on for ever end with it.
    pub shutdown: CancellationToken,
    /// What the operator set, and the rules: exchanged when the configuration is read again.
    current: ArcSwap<Current>,
    /// Heavy requests that may begin.
    heavy: Arc<Semaphore>,
    /// Clients that may wait for events.
    pub(super) listeners: Arc<Semaphore>,
    pub(super) metrics: Option<RenderMetrics>,
    pub(super) tokens: KnownTokens,
    pub(super) readiness: Readiness,
}

/// What a reload of the configuration exchanges. A request works with one of these to its end.
#[derive(Debug)]
pub struct Current {
    /// The rules.
    pub classifier: Arc<Classifier>,
    /// `[http]` and what else is set.
    pub settings: Settings,
}

impl std::ops::Deref for Api {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("current", &self.current).finish_non_exhaustive()
    }
}

impl Api {
    /// Puts the parts together. `metrics` writes them; without it there is no `/metrics`.
    #[must_use]
    pub fn new(
        store: Arc<SqliteStore>,
        classifier: Arc<Classifier>,
        settings: Settings,
        metrics: Option<RenderMetrics>,
        shutdown: CancellationToken,
    ) -> Self {
        let heavy = Arc::new(Semaphore::new(settings.max_heavy));
        Self(Arc::new(Shared {
            store,
            shutdown,
            current: ArcSwap::from_pointee(Current { classifier, settings }),
            heavy,
            listeners: Arc::new(Semaphore::new(MAX_LISTENERS)),
            metrics,
            tokens: KnownTokens::default(),
            readiness: Readiness::default(),
        }))
    }

    /// Requests from now on work with these. How many heavy ones there may be stays.
    pub fn replace(&self, classifier: Arc<Classifier>, settings: Settings) {
        self.current.store(Arc::new(Current { classifier, settings }));
    }

    /// What holds now.
    #[must_use]
    pub fn current(&self) -> Arc<Current> {
        self.current.load_full()
    }

    /// Waits for the turn of a request that takes much memory or time: it has it until the permit is dropped.
    ///
    /// # Errors
    /// 503 where it does not come soon.
    pub async fn heavy(&self) -> Result<OwnedSemaphorePermit, Problem> {
        match timeout(TURN, Arc::clone(&self.heavy).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(Problem::unavailable("too many large requests at once; try again later")
                .of_kind("busy", "Too many large requests")),
        }
    }
}
