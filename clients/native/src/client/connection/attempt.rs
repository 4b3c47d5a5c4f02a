//! One attempt to connect to the server, made while the rest of the client goes on.

use crate::{
    call::{Admission, Call, CallError, Continues, JoinOptions, Return, Ticket},
    link::RoomLink,
    signaling::SignalingError,
};
use std::time::Duration;
use tokio::time::timeout;

/// Maximum time for joining, once the server has welcomed the client.
const JOIN_TIMEOUT: Duration = Duration::from_secs(10);

/// What an attempt is to achieve.
pub(in crate::client) enum Aim {
    /// Continue the session of this ticket.
    Continue(Ticket),
    /// Follow a session that was sent away.
    Succeed(Ticket),
    /// Follow a session that the server may still hold.
    Replace(Ticket),
    /// Join as a new participant.
    Newcomer,
}

/// What an attempt has achieved.
pub(in crate::client) enum Outcome {
    /// The session can go on with this connection.
    Continued(Admission),
    /// Another session has joined.
    Joined(Box<Call>),
}

/// Connects, and joins unless the server continues the session.
pub(in crate::client) async fn attempt(link: RoomLink, options: JoinOptions, aim: Aim) -> Result<Outcome, CallError> {
    let trust = options.trust;
    let admission = match aim {
        Aim::Continue(ticket) => {
            let admission = Admission::open(&link, trust, &Return::Session(ticket)).await?;
            if matches!(admission.continues(), Continues::Session | Continues::Seat) {
                return Ok(Outcome::Continued(admission));
            }
            admission
        }
        Aim::Succeed(ticket) => Admission::open(&link, trust, &Return::Successor(ticket)).await?,
        Aim::Replace(ticket) => Admission::open_successor(&link, trust, ticket).await?,
        Aim::Newcomer => Admission::open(&link, trust, &Return::Newcomer).await?,
    };
    join(admission, &link, &options).await.map(|call| Outcome::Joined(Box::new(call)))
}

async fn join(admission: Admission, link: &RoomLink, options: &JoinOptions) -> Result<Call, CallError> {
    let joining = timeout(JOIN_TIMEOUT, Call::join_admitted(admission, link, options)).await;
    joining.map_err(|_| SignalingError::Timeout(link.authority().to_owned()))?
}

/// Joins for the first time.
pub(in crate::client) async fn first_attempt(link: &RoomLink, options: &JoinOptions) -> Result<Call, CallError> {
    join(Admission::open(link, options.trust, &Return::Newcomer).await?, link, options).await
}
