//! One try: a request over HTTP, and what its answer means.

use std::error::Error;
use std::sync::OnceLock;
use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, StatusCode, redirect};
use tokio::time::timeout;

use super::body::{self, Message};
use super::endpoint::Endpoint;

/// How long, and how many octets, are spent on the body of an answer, so that its connection can be used again.
const BODY_TIME: Duration = Duration::from_secs(1);
const BODY_OCTETS: usize = 64 * 1024;

/// Longest text of an error that is kept.
const MAX_ERROR: usize = 200;

/// What an endpoint says to an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It has it.
    Taken,
    /// It has it not, as far as we know.
    Refused {
        /// Why, in one line.
        error: String,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
        /// It is not about this event: any other would be refused as well.
        whole: bool,
    },
}

/// Where events are brought to. The daemon's is [`HttpReceiver`].
pub trait Receiver: Send + Sync + 'static {
    /// Brings one event; returns within the endpoint's timeout.
    fn bring(&self, message: Message) -> impl Future<Output = Answer> + Send;
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
#[error("webhook {name}: {cause}")]
pub struct ReceiverError {
    /// The endpoint.
    name: String,
    /// What is wrong.
    cause: reqwest::Error,
}

/// An endpoint over HTTP.
#[derive(Debug)]
pub struct HttpReceiver {
    client: Client,
    endpoint: Endpoint,
}

impl HttpReceiver {
    /// A client for an endpoint. It follows no redirects and asks no proxy.
    ///
    /// # Errors
    /// [`ReceiverError`], when TLS cannot be set up.
    pub fn new(endpoint: Endpoint) -> Result<Self, ReceiverError> {
        static PROVIDER: OnceLock<()> = OnceLock::new();
        PROVIDER.get_or_init(|| {
            // Somebody else may have chosen before: any will do.
            let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
        });
        let client = Client::builder()
            .user_agent(concat!("dsnd/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .no_proxy()
            .timeout(endpoint.timeout)
            .connect_timeout(endpoint.timeout / 2)
            .pool_max_idle_per_host(endpoint.concurrency)
            .build()
            .map_err(|cause| ReceiverError { name: endpoint.name.clone(), cause })?;
        Ok(Self { client, endpoint })
    }

    /// Brings a test event: one that tells of nothing, and is written nowhere.
    pub async fn test(&self) -> Answer {
        self.bring(body::test(self.endpoint.format)).await
    }
}

impl Receiver for HttpReceiver {
    async fn bring(&self, message: Message) -> Answer {
        let now = Timestamp::now();
        let signature = self.endpoint.secret.sign(&message.id, now.as_second(), &message.body);
        let request = self
            .client
            .post(self.endpoint.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", message.id)
            .header("webhook-timestamp", now.as_second())
            .header("webhook-signature", signature)
            .body(message.body);
        match request.send().await {
            Ok(mut response) => {
                let answer = judge(response.status(), response.headers(), now);
                let mut octets = 0;
                let rest = async {
                    while let Ok(Some(chunk)) = response.chunk().await {
                        octets += chunk.len();
                        if octets > BODY_OCTETS {
                            break;
                        }
                    }
                };
                // What it says has been said: a body that does not end changes nothing.
                let _ = timeout(BODY_TIME, rest).await;
                answer
            }
            // What is not reached takes no other event either; anything else may be about this one.
            Err(error) => Answer::Refused {
                whole: error.is_connect(),
                error: in_words(error, self.endpoint.timeout),
                retry_after: None,
            },
        }
    }
}

/// What a status code means.
fn judge(status: StatusCode, headers: &HeaderMap, now: Timestamp) -> Answer {
    if status.is_success() {
        return Answer::Taken;
    }
    let asks = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    let retry_after = match status {
        // It is not coming back soon.
        StatusCode::GONE => Some(Duration::MAX),
        _ if asks => headers.get(RETRY_AFTER).and_then(|value| wait(value.to_str().ok()?, now)),
        _ => None,
    };
    let redirected = if status.is_redirection() { " (redirects are not followed)" } else { "" };
    Answer::Refused {
        error: format!("{status}{redirected}"),
        retry_after,
        whole: asks || status == StatusCode::GONE || status.is_redirection(),
    }
}

/// Retry-After: seconds, or a date (RFC 9110 §10.2.3).
fn wait(value: &str, now: Timestamp) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = rfc2822::DateTimeParser::new().parse_timestamp(value.trim()).ok()?;
    Some(Duration::try_from(at.duration_since(now)).unwrap_or_default())
}

/// An error with its causes, without the URL, which may hold a secret.
fn in_words(error: reqwest::Error, limit: Duration) -> String {
    if error.is_timeout() {
        return format!("no answer within {} seconds", limit.as_secs());
    }
    let error = error.without_url();
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let said = next.to_string();
        if !words.contains(&said) {
            words = format!("{words}: {said}");
        }
        cause = next.source();
    }
    words.chars().take(MAX_ERROR).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_code_says_whether_it_was_taken_and_when_to_ask_again() {
        let now = "2026-11-21T20:00:00Z".parse().unwrap();
        let ask = |status: u16, retry_after: &str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, retry_after.parse().unwrap())]);
            match judge(StatusCode::from_u16(status).unwrap(), &headers, now) {
                Answer::Taken => None,
                Answer::Refused { retry_after, whole, .. } => {
                    Some((retry_after.map(|wait| wait.as_secs()), whole))
                }
            }
        };
        for (status, retry_after, wanted) in [
            (200, "", None),
            (204, "7", None),
            (301, "7", Some((None, true))),
            (400, "7", Some((None, false))),
            (410, "", Some((Some(u64::MAX), true))),
            (429, "7", Some((Some(7), true))),
            (429, "", Some((None, true))),
            (429, "soon", Some((None, true))),
            (500, "7", Some((None, false))),
            (503, "Sat, 21 Nov 2026 20:02:00 GMT", Some((Some(120), true))),
            (503, "Sat, 21 Nov 2026 19:02:00 GMT", Some((Some(0), true))),
        ] {
            assert_eq!(ask(status, retry_after), wanted, "{status} {retry_after:?}");
        }
    }
}
