//! `tacet kick`: lists the participants of a room, and removes one.

use crate::{
    operator::Operator,
    room::{Named, named},
};
use anyhow::Context;
use clap::Args;
use std::io::Write;
use tacet_native::rooms;

/// Remove a participant from a room of a running server
///
/// Without PARTICIPANT, the participants are listed: id, role. The server knows no names; clients show ids with them.
#[derive(Args, Debug)]
pub(crate) struct Kick {
    /// The room, as `tacet rooms` lists it, or its link
    #[arg(value_parser = named)]
    room: Named,
    /// The participant's id
    participant: Option<u32>,
    /// Refuse its device and token from now on; the room is locked, too, if guests come in by link
    #[arg(long, requires = "participant")]
    ban: bool,
    #[command(flatten)]
    operator: Operator,
}

impl Kick {
    /// Removes or lists.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let operator = self.room.operator(self.operator)?;
        let (origin, trust) = operator.server()?;
        let key = operator.api_key.as_deref();
        let room = self.room.room;
        if let Some(participant) = self.participant {
            return rooms::kick(&origin, trust, key, room, participant, self.ban)
                .with_context(|| format!("cannot remove the participant on {origin}"));
        }
        let present = rooms::participants(&origin, trust, key, room)
            .with_context(|| format!("cannot list the participants on {origin}"))?;
        let mut out = std::io::stdout().lock();
        for (participant, role) in present {
            writeln!(out, "{participant:>10}  {role}")?;
        }
        Ok(())
    }
}
