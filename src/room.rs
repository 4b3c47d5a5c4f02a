//! `tacet room`: creates a room on a running server. The secret is drawn on this machine and not sent. `tacet rooms` and `tacet
//! end`: lists and ends the rooms of a server.

use crate::operator::Operator;
use anyhow::Context;
use clap::Args;
use qrcode::render::unicode::Dense1x2;
use std::{
    io::Write,
    time::{Duration, SystemTime},
};
use tacet_native::{
    link::{Origin, RoomLink},
    rooms,
};
use tacet_proto::RoomId;

/// Create a room on a running server and print its link
///
/// The link's secret is drawn on this machine. The server receives the hash of a token that is derived from it.
#[derive(Args, Debug)]
pub(crate) struct Room {
    #[command(flatten)]
    operator: Operator,
    /// Also show the link as a QR code, for a phone
    #[arg(long)]
    qr: bool,
}

/// List the rooms of a running server
///
/// One line for each: the room, its participants, and for how long nothing has begun or ended in it. No names, since the server
/// knows none.
#[derive(Args, Debug)]
pub(crate) struct Rooms {
    #[command(flatten)]
    operator: Operator,
    /// Print JSON: a list of room, participants, used (seconds since 1970)
    #[arg(long)]
    json: bool,
}

/// End a room of a running server
///
/// Its participants read that it has ended, and its link opens nothing any more.
#[derive(Args, Debug)]
pub(crate) struct End {
    /// The room, as `tacet rooms` lists it, or its link
    #[arg(value_parser = named)]
    room: Named,
    #[command(flatten)]
    operator: Operator,
}

/// A room by its id, or by its link, which names the server as well.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    pub(crate) room: RoomId,
    server: Option<Origin>,
}

/// An id, as such or as the path of a link: an id may begin with a hyphen.
pub(crate) fn named(text: &str) -> Result<Named, String> {
    match text.parse::<RoomLink>() {
        Ok(link) => Ok(Named { room: link.room(), server: Some(link.origin().clone()) }),
        Err(_) => match text.strip_prefix("r/").unwrap_or(text).parse() {
            Ok(room) => Ok(Named { room, server: None }),
            Err(error) => Err(error.to_string()),
        },
    }
}

impl Named {
    /// The operator, who speaks to the server of the link if the room is named by one.
    ///
    /// # Errors
    /// The link is of another server than the one that is named.
    pub(crate) fn operator(&self, operator: Operator) -> anyhow::Result<Operator> {
        match &self.server {
            Some(server) => operator.server_of(server),
            None => Ok(operator),
        }
    }
}

impl Rooms {
    /// Prints the list.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let (origin, trust) = self.operator.server()?;
        let rooms = rooms::list(&origin, trust, self.operator.api_key.as_deref())
            .with_context(|| format!("cannot list the rooms of {origin}"))?;
        let mut out = std::io::stdout().lock();
        if self.json {
            let list = rooms.iter().map(
                |room| serde_json::json!({"room": room.room, "participants": room.participants, "used": room.used}),
            );
            writeln!(out, "{}", serde_json::Value::from_iter(list))?;
            return Ok(());
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        for room in &rooms {
            let since = since(now.saturating_sub(Duration::from_secs(room.used)));
            writeln!(out, "r/{}  {:>5} in it  {since}", room.room, room.participants)?;
        }
        Ok(())
    }
}

/// A duration in its largest whole unit.
fn since(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 86_400, seconds / 3_600, seconds / 60) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, _) => format!("{hours} h"),
        (days, ..) => format!("{days} d"),
    }
}

impl End {
    /// Ends the room.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let operator = self.room.operator(self.operator)?;
        let (origin, trust) = operator.server()?;
        rooms::end(&origin, trust, operator.api_key.as_deref(), self.room.room)
            .with_context(|| format!("cannot end the room on {origin}"))
    }
}

impl Room {
    /// Creates the room.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let (origin, trust) = self.operator.server()?;
        let link = rooms::make(&origin, trust, self.operator.api_key.as_deref())
            .with_context(|| format!("cannot create a room on {origin}"))?;
        let mut out = std::io::stdout();
        writeln!(out, "{link}")?;
        if self.qr {
            let code = qrcode::QrCode::new(link.to_string()).context("cannot encode the link as a QR code")?;
            // Most terminals are dark: invert the colours.
            let (light, dark) = (Dense1x2::Dark, Dense1x2::Light);
            writeln!(out, "\n{}", code.render().light_color(light).dark_color(dark).build())?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn room_is_named_by_its_id_or_its_link() {
        let (id, secret) = ("-".to_owned() + &"A".repeat(21), "B".repeat(42) + "A");
        let of_link = named(&format!("https://call.example.org/r/{id}#{secret}")).unwrap();
        assert_eq!(of_link.server.unwrap().to_string(), "https://call.example.org");
        for text in [id.clone(), format!("r/{id}")] {
            let named = named(&text).unwrap();
            assert!(named.room == of_link.room && named.server.is_none(), "{text}");
        }
        assert!(named("kitchen").unwrap_err().contains("22 characters"));
    }

    #[test]
    fn time_is_in_its_largest_whole_unit() {
        let shown = [59, 60, 3_599, 3_600, 86_399, 200_000].map(|seconds| since(Duration::from_secs(seconds)));
        assert_eq!(shown, ["59 s", "1 min", "59 min", "1 h", "23 h", "2 d"]);
    }
}
