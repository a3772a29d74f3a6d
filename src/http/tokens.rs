//! What the service knows of the tokens: asked of the store at most once a second.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use super::secret;
use crate::store::{self, StoreError, Token};

/// How old what we know of the tokens may be: what another process revokes holds within this.
const FRESH: Duration = Duration::from_secs(1);

/// How long lies between two questions to the store about secrets that we do not know: guessing costs no more.
const AGAIN: Duration = Duration::from_millis(100);

/// How exactly the last use of a token is kept.
const COARSE: SignedDuration = SignedDuration::from_hours(1);

/// What we know of the tokens.
#[derive(Debug, Default)]
pub(super) struct KnownTokens {
    known: Mutex<Option<(Instant, Arc<[Token]>)>>,
    /// One asks the store, the others wait for its answer.
    asking: tokio::sync::Mutex<()>,
    /// Last uses that were noted, by the tokens' numbers.
    noted: Mutex<HashMap<i64, Timestamp>>,
}

impl KnownTokens {
    /// All tokens, as they were at most a second ago.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be read.
    pub(super) async fn all(&self, store: &impl store::Tokens) -> Result<Arc<[Token]>, StoreError> {
        if let Some(tokens) = self.fresh() {
            return Ok(tokens);
        }
        let _asking = self.asking.lock().await;
        if let Some(tokens) = self.fresh() {
            return Ok(tokens);
        }
        self.ask(store).await
    }

    /// The tokens as they stand after `moment`. Those who ask at the same time get the same answer.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be read.
    pub(super) async fn all_after(
        &self,
        store: &impl store::Tokens,
        moment: Instant,
    ) -> Result<Arc<[Token]>, StoreError> {
        let _asking = self.asking.lock().await;
        let known = self.known.lock().ok().and_then(|known| known.clone());
        if let Some((at, tokens)) = known {
            if at > moment {
                return Ok(tokens);
            }
            tokio::time::sleep(AGAIN.saturating_sub(at.elapsed())).await;
        }
        self.ask(store).await
    }

    /// To be called while holding `asking`.
    async fn ask(&self, store: &impl store::Tokens) -> Result<Arc<[Token]>, StoreError> {
        let asked = Instant::now();
        let tokens: Arc<[Token]> = store.tokens().await?.into();
        if let Ok(mut known) = self.known.lock() {
            *known = Some((asked, Arc::clone(&tokens)));
        }
        Ok(tokens)
    }

    fn fresh(&self) -> Option<Arc<[Token]>> {
        let known = self.known.lock().ok()?;
        known.as_ref().filter(|(at, _)| at.elapsed() < FRESH).map(|(_, tokens)| Arc::clone(tokens))
    }

    /// Whether this use has to be written down: the last one that was is old.
    pub(super) fn to_note(&self, token: &Token, now: Timestamp) -> bool {
        let Ok(mut noted) = self.noted.lock() else { return false };
        let last = noted.get(&token.id).copied().max(token.last_used);
        let old = last.is_none_or(|last| now.duration_since(last) >= COARSE);
        if old {
            noted.insert(token.id, now);
        }
        old
    }
}

/// The token with this secret, be it one that holds or not.
pub(super) fn find<'a>(tokens: &'a [Token], secret: &str) -> Option<&'a Token> {
    let hash = secret::hash(secret);
    // Every one is compared, so that the time does not tell which.
    let mut found = None;
    for token in tokens {
        if secret::same(&token.hash, &hash) {
            found = Some(token);
        }
    }
    found
}
