//! Which attempts to reconnect are worth a line.
//!
//! A client tries once or twice a second at first, perhaps for hours. A log needs to know that an outage began, why, that
//! the reason changed, and now and then that it goes on: attempts 1, 2, 4, 8 and so on.

use tacet_native::client::{ClientEvent, ConnectionState, DisconnectReason};

/// The last reason that was printed.
#[derive(Debug, Default)]
pub(super) struct Attempts(Option<DisconnectReason>);

impl Attempts {
    /// Whether to print an event. Only attempts to reconnect are left out.
    pub(super) fn prints(&mut self, event: &ClientEvent) -> bool {
        match event {
            ClientEvent::Connection(ConnectionState::Reconnecting { attempt, cause }) => {
                let news = self.0.as_ref() != Some(cause);
                if news {
                    self.0 = Some(cause.clone());
                }
                news || attempt.is_power_of_two()
            }
            ClientEvent::Connection(_) => {
                self.0 = None;
                true
            }
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(attempt: u32, cause: &DisconnectReason) -> ClientEvent {
        ClientEvent::Connection(ConnectionState::Reconnecting { attempt, cause: cause.clone() })
    }

    #[test]
    fn long_outage_is_a_few_lines() {
        let unreachable = DisconnectReason::Signaling("cannot reach the server".to_owned());
        let mut attempts = Attempts::default();
        let mut outage = |cause| (0..=75).filter(|n| attempts.prints(&attempt(*n, cause))).collect::<Vec<_>>();
        assert_eq!(outage(&unreachable), [0, 1, 2, 4, 8, 16, 32, 64]);
        assert_eq!(outage(&DisconnectReason::MediaSilent), [0, 1, 2, 4, 8, 16, 32, 64]);
        assert!(attempts.prints(&ClientEvent::Connection(ConnectionState::Connected)));
        assert!(attempts.prints(&attempt(3, &DisconnectReason::MediaSilent)), "another outage");
        assert!(attempts.prints(&attempt(3, &unreachable)), "another reason");
        assert!(!attempts.prints(&attempt(5, &unreachable)));
    }
}
