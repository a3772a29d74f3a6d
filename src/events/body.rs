//! What is sent: the same octets and the same id, however often.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::endpoint::{Endpoint, Format};
use super::ses;
use crate::store::{OutboxEvent, Streams};

/// The type of a test event.
const TEST: &str = "webhook.test";

/// An event, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The same for every try, and for no other event: whoever gets it twice can drop the second.
    pub id: String,
    /// The body.
    pub body: Vec<u8>,
}

/// Gives the data of an event the name of its stream.
#[must_use]
pub fn named(mut event: OutboxEvent, streams: &Streams) -> OutboxEvent {
    if let Value::Object(data) = &mut event.data
        && let Some(stream) = data.get("stream").and_then(Value::as_i64)
    {
        data.insert("stream_name".to_owned(), streams.name(stream).map_or(Value::Null, Value::from));
    }
    event
}

/// The event as this endpoint gets it; `None` where its format has no words for it.
pub(super) fn message(event: OutboxEvent, endpoint: &Endpoint, streams: &Streams) -> Option<Message> {
    let id = id(&event);
    let body = match endpoint.format {
        Format::Dsnd => serde_json::to_vec(&named(event, streams)).ok()?,
        Format::Ses => serde_json::to_vec(&ses::notification(&event, &id)?).ok()?,
    };
    Some(Message { id, body })
}

/// An event that tells of nothing, so that somebody can see whether events arrive. SES itself sends such a one.
pub(super) fn test(format: Format) -> Message {
    let now = jiff::Timestamp::now();
    let body = match format {
        Format::Dsnd => json!({"id": 0, "type": TEST, "timestamp": now, "data": {}}),
        Format::Ses => {
            json!({"notificationType": "AmazonSnsSubscriptionSucceeded", "message": "A test by dsnd."})
        }
    };
    let id = format!("evt_test_{:016x}", getrandom::u64().unwrap_or_default());
    Message { id, body: body.to_string().into_bytes() }
}

/// Made of the number and of what the event says: numbers may come again where an old copy of the database was
/// restored, and what follows then is something else.
fn id(event: &OutboxEvent) -> String {
    let hash = Sha256::new()
        .chain_update(event.timestamp.as_second().to_be_bytes())
        .chain_update(event.kind.as_str())
        .chain_update(event.data.to_string())
        .finalize();
    format!("evt_{}_{}", event.id, data_encoding::HEXLOWER.encode(&hash[..8]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::EventType;

    fn event(id: i64, data: Value) -> OutboxEvent {
        OutboxEvent {
            id,
            kind: EventType::SuppressionAdded,
            timestamp: "2026-11-21T20:00:00Z".parse().unwrap(),
            address_key: "a@example.org".to_owned(),
            stream: 7,
            data,
        }
    }

    #[test]
    fn an_id_is_that_of_one_event_and_stays() {
        let one = event(12, json!({"address": "a@example.org"}));
        assert_eq!(id(&one), id(&one.clone()));
        assert!(id(&one).starts_with("evt_12_"));
        assert_ne!(id(&one), id(&event(13, one.data.clone())));
        assert_ne!(id(&one), id(&event(12, json!({"address": "b@example.org"}))), "after a restore");
    }

    #[test]
    fn streams_have_their_names() {
        let mut streams = Streams::default();
        streams.insert("news".to_owned(), 7);
        let body = serde_json::to_value(named(event(1, json!({"stream": 7})), &streams)).unwrap();
        let whole = json!({"id": 1, "type": "suppression.added", "timestamp": "2026-11-21T20:00:00Z",
                           "data": {"stream": 7, "stream_name": "news"}});
        assert_eq!(body, whole);
        assert_eq!(named(event(1, json!({"stream": 8})), &streams).data["stream_name"], Value::Null);
    }
}
