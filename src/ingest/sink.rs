//! What the SMTP service asks of ingest: about recipients, about room, and to take a message.

use std::net::IpAddr;

use jiff::Timestamp;
use tracing::{error, warn};

use super::Ingest;
use super::guard::{Taken, Way};
use super::verdict::verdict;
use crate::address::ForwardPath;
use crate::metrics;
use crate::smtp::{Delivery, Envelope, RecipientVerdict, Sink};
use crate::store::{Store, StoreError};

impl<S: Store> Ingest<S> {
    /// A client whose network has a quota.
    pub(super) fn counted(&self, client: Option<IpAddr>) -> Option<IpAddr> {
        let exempt = |client: IpAddr| self.settings.exempt.iter().any(|network| network.contains(&client));
        client.map(|client| client.to_canonical()).filter(|client| !exempt(*client))
    }

    /// Why a message that nothing proves cannot be taken now, if it cannot.
    pub(super) fn cannot_take(
        &self,
        taken: &Taken,
        way: Way<'_>,
        now: Timestamp,
    ) -> Option<RecipientVerdict> {
        if !self.room.for_unproven() {
            return Some(RecipientVerdict::NoRoom);
        }
        let quota = taken.used_up(&self.settings.quotas, way, now)?;
        metrics::UNPROVEN_REFUSED.increment([quota]);
        Some(RecipientVerdict::TooMuchUnproven)
    }
}

impl<S: Store> Sink for Ingest<S> {
    fn check_recipient(&self, recipient: &ForwardPath) -> RecipientVerdict {
        verdict(&self.settings.return_paths, recipient)
    }

    fn check_room(&self, recipient: &ForwardPath, client: Option<IpAddr>) -> RecipientVerdict {
        if !self.room.for_all() {
            return RecipientVerdict::NoRoom;
        }
        let settings = &self.settings;
        if settings.return_paths.accepted(recipient).is_signed()
            || settings.unsigned_trust.covers(client, [recipient])
        {
            return RecipientVerdict::Accept;
        }
        let (domain, now) = (domain(recipient), Timestamp::now());
        let way = Way { client: self.counted(client), domain: &domain };
        // A disk that is nearly full has no room for what may prove nothing.
        if self.room.for_unproven() && self.taken.may_try(way, now) {
            return RecipientVerdict::Accept;
        }
        self.cannot_take(&self.taken, way, now).unwrap_or(RecipientVerdict::Accept)
    }

    fn ready(&self) -> bool {
        self.waiting.ready()
    }

    async fn deliver(&self, envelope: Envelope, message: Vec<u8>) -> Delivery {
        match self.take(envelope, message).await {
            Ok(delivery) => delivery,
            Err(error @ StoreError::Unavailable(_)) => {
                warn!(%error, "not taken; the sender will try again");
                Delivery::TryLater
            }
            Err(error) => {
                error!(%error, "not taken; the sender will try again");
                Delivery::TryLater
            }
        }
    }
}

/// The domain of a forward-path, as it is counted; empty for `Postmaster` alone.
pub(super) fn domain(path: &ForwardPath) -> String {
    match path {
        ForwardPath::Mailbox(mailbox) => mailbox.domain_key(),
        _ => String::new(),
    }
}
