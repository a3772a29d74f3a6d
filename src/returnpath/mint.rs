//! Making the return path of a message to one recipient.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::{ReturnPaths, Token};
use crate::address::{AddressError, Mailbox};

/// A minted return path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ReturnPath)]
pub struct Minted {
    /// Whom the message goes to.
    pub recipient: String,
    /// Its MAIL FROM.
    pub return_path: String,
    /// The key that signed it.
    pub key_id: u8,
    /// The sending stream, 0 for none.
    pub stream: u32,
    /// The day it was made, UTC.
    #[schema(format = Date)]
    pub made: String,
}

/// Why no return path can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MintError {
    /// Nothing to sign with.
    #[error("there is no key; `dsnd return-path keygen --output FILE` makes one for return_path.keys_file")]
    NoKey,
    /// No domain to make it in.
    #[error("no return_path.domains")]
    NoDomain,
    /// The domain does not make an address.
    #[error("return_path.domains: {0}")]
    Domain(AddressError),
    /// The day does not fit into a token.
    #[error("the clock is not within 1970 to 2149")]
    Clock,
}

/// Makes the return path of a message to `recipient` with the newest key, in `domain` or else in the first of ours.
/// `readable`: with the recipient in it, where it fits.
///
/// # Errors
/// [`MintError`].
pub fn mint(
    ours: &ReturnPaths,
    domain: Option<&str>,
    recipient: &Mailbox,
    (stream, readable): (u32, bool),
    now: Timestamp,
) -> Result<Minted, MintError> {
    let key = ours.keys().newest().ok_or(MintError::NoKey)?;
    let domain = domain.or_else(|| ours.domains().first().map(String::as_str)).ok_or(MintError::NoDomain)?;
    let token = Token::mint(key, &recipient.comparison_form(), stream, now).ok_or(MintError::Clock)?;
    let prefix = ours.prefix();
    let local_part = if readable { prefix.readable(&token, recipient) } else { prefix.blind(&token) };
    let return_path = Mailbox::new(&local_part, domain).map_err(MintError::Domain)?;
    Ok(Minted {
        recipient: recipient.to_string(),
        return_path: return_path.to_string(),
        key_id: token.key_id(),
        stream: token.stream(),
        made: token.made(),
    })
}
