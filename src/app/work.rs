//! What runs for as long as the daemon does: listeners and background work. None of it may end unheard of.

use std::collections::HashMap;
use std::io;

use tokio::task::{Id, JoinError, JoinSet};
use tracing::error;

use super::AppError;

/// Tasks that end when the shutdown is asked for, and not before.
#[derive(Debug, Default)]
pub(super) struct Work {
    tasks: JoinSet<io::Result<()>>,
    names: HashMap<Id, &'static str>,
}

impl Work {
    /// Begins one; `name` is what the log calls it.
    pub(super) fn begin(
        &mut self,
        name: &'static str,
        task: impl Future<Output = io::Result<()>> + Send + 'static,
    ) {
        let id = self.tasks.spawn(task).id();
        self.names.insert(id, name);
    }

    /// The same for one that has nothing to say at its end.
    pub(super) fn keep(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.begin(name, async move {
            task.await;
            Ok(())
        });
    }

    /// Waits until one ends. Before the shutdown that is a fault: the daemon has to end, so that it is started again as
    /// a whole.
    pub(super) async fn fails(&mut self) -> AppError {
        match self.tasks.join_next_with_id().await {
            Some(ended) => {
                let (name, why) = self.told(ended);
                AppError::Ended { what: name, why: why.unwrap_or_else(|| "it had no reason to".to_owned()) }
            }
            None => std::future::pending().await,
        }
    }

    /// Waits until all have ended, after the shutdown was asked for.
    pub(super) async fn end(&mut self) {
        while let Some(ended) = self.tasks.join_next_with_id().await {
            if let (name, Some(why)) = self.told(ended) {
                error!(task = name, error = why, "did not end well");
            }
        }
    }

    /// Its name, and what was wrong with its end.
    fn told(&self, ended: Result<(Id, io::Result<()>), JoinError>) -> (&'static str, Option<String>) {
        let (id, why) = match ended {
            Ok((id, Ok(()))) => (id, None),
            Ok((id, Err(cause))) => (id, Some(cause.to_string())),
            Err(error) => (error.id(), Some(error.to_string())),
        };
        (self.names.get(&id).copied().unwrap_or("a task"), why)
    }
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::*;

    async fn failure(task: impl Future<Output = io::Result<()>> + Send + 'static) -> String {
        let mut work = Work::default();
        work.keep("what goes on", std::future::pending());
        work.begin("a listener", task);
        work.fails().await.to_string()
    }

    #[tokio::test]
    async fn whatever_ends_before_its_time_is_named_with_its_reason() {
        let error = failure(async { Err(io::Error::other("no such socket")) }).await;
        assert_eq!(error, "a listener ended while dsnd was running: no such socket");
        assert!(failure(async { Ok(()) }).await.contains("it had no reason to"));
        let error = failure(async { panic!("on purpose") }).await;
        assert!(
            error.starts_with("a listener ended while dsnd was running: ") && error.contains("on purpose"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn at_a_shutdown_all_of_it_is_waited_for() {
        let (mut work, shutdown) = (Work::default(), CancellationToken::new());
        let done = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        for _ in 0..3 {
            let (shutdown, done) = (shutdown.clone(), std::sync::Arc::clone(&done));
            work.keep("background work", async move {
                shutdown.cancelled().await;
                tokio::task::yield_now().await;
                done.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            });
        }
        shutdown.cancel();
        work.end().await;
        assert_eq!(done.load(std::sync::atomic::Ordering::Relaxed), 3);
    }
}
