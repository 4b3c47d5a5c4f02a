//! What the server does beside calls while it runs: reads changed certificate files, renews the self-signed certificate and
//! the keys of tokens.

use crate::{
    certificate::{Certificate, CurrentCertificate, FileCertificate, SelfSigned},
    hangup::{Cause, Hangup},
};
use signaling::{DailyKeys, MonthlyTokenKeys};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::{
    task::spawn_blocking,
    time::{Instant, MissedTickBehavior, interval},
};

/// Interval at which certificate files are looked at.
const FILES: Duration = Duration::from_secs(2);
/// Interval at which the age of keys and of the self-signed certificate is looked at.
const AGES: Duration = Duration::from_secs(600);

/// Where the certificate of the listener comes from.
#[derive(Debug)]
pub(crate) enum Source {
    Files(FileCertificate),
    SelfSigned(SelfSigned),
}

/// The certificate of the listener, and where its successors come from.
#[derive(Debug)]
pub(crate) struct Tls {
    pub(crate) current: Arc<CurrentCertificate>,
    pub(crate) source: Source,
}

/// Everything that changes with time.
#[derive(Debug, Default)]
pub(crate) struct Upkeep {
    pub(crate) tls: Option<Tls>,
    pub(crate) keys: Option<Keys>,
}

/// Keys of the data folder that change with time.
#[derive(Debug)]
pub(crate) struct Keys {
    pub(crate) resume: DailyKeys,
    pub(crate) tokens: MonthlyTokenKeys,
}

/// What to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// Files, if they have changed.
    Files,
    /// Files, changed or not.
    Reload,
    /// Ages.
    Ages,
}

impl Upkeep {
    /// Works until the terminal of the process is closed.
    pub(crate) async fn run(mut self, mut hangup: Hangup) {
        let mut files = interval(FILES);
        files.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut ages = Instant::now();
        loop {
            let look = tokio::select! {
                cause = hangup.received() => match cause {
                    Cause::TerminalClosed => return,
                    Cause::Reload => Look::Reload,
                },
                now = files.tick() => {
                    if now.duration_since(ages) >= AGES {
                        ages = now;
                        Look::Ages
                    } else {
                        Look::Files
                    }
                }
            };
            // Reading and writing may wait for a disk.
            let worked = spawn_blocking(move || {
                self.look(look, SystemTime::now());
                self
            });
            match worked.await {
                Ok(back) => self = back,
                Err(error) => {
                    tracing::error!(%error, "certificates and keys are no longer renewed");
                    std::future::pending::<()>().await;
                    return;
                }
            }
        }
    }

    fn look(&mut self, look: Look, now: SystemTime) {
        if look == Look::Reload && !matches!(self.tls, Some(Tls { source: Source::Files(_), .. })) {
            tracing::info!("SIGHUP: there are no certificate files to read again");
        }
        if let Some(tls) = &mut self.tls {
            tls.look(look, now);
        }
        if let (Look::Ages, Some(keys)) = (look, &mut self.keys) {
            keys.renew(now);
        }
    }
}

impl Keys {
    fn renew(&mut self, now: SystemTime) {
        if let Err(error) = self.resume.renew(now) {
            tracing::error!(error = one_line(&error), "the key of resume tokens is kept for now");
        }
        if let Err(error) = self.tokens.renew(now) {
            tracing::error!(error = one_line(&error), "the key of room tokens is kept for now");
        }
    }
}

impl Tls {
    fn look(&mut self, look: Look, now: SystemTime) {
        let found = match (&mut self.source, look) {
            (Source::Files(files), Look::Reload) => Some(files.again()),
            (Source::Files(files), Look::Files) => files.if_changed(),
            (Source::SelfSigned(own), Look::Ages) => own.successor(&self.current.get(), now).transpose(),
            _ => None,
        };
        match found {
            None => {}
            Some(Ok(certificate)) => {
                warn_of(&certificate, now);
                self.current.replace(certificate);
                tracing::info!("new connections get the new certificate");
            }
            Some(Err(error)) => {
                tracing::error!(error = crate::one_line(&error), "the certificate in use is kept");
            }
        }
    }
}

/// Logs why browsers will refuse a certificate. The server runs nevertheless: its clock may be the one that is wrong.
pub(crate) fn warn_of(certificate: &Certificate, now: SystemTime) {
    if let Some(problem) = certificate.problem(now) {
        tracing::error!("the certificate {problem}: browsers refuse it");
    }
}

fn one_line(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn broken_files_keep_the_certificate() {
        let folder = tempfile::tempdir().unwrap();
        let [chain, key] = ["chain", "key"].map(|name| folder.path().join(name));
        let write = || {
            let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
            std::fs::write(&chain, made.cert.pem()).unwrap();
            std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        };
        write();
        let (files, certificate) = FileCertificate::read(chain.clone(), key.clone()).unwrap();
        let first = certificate.fingerprint();
        let current = CurrentCertificate::new(certificate);
        let tls = Tls { current: Arc::clone(&current), source: Source::Files(files) };
        let mut upkeep = Upkeep { tls: Some(tls), keys: None };

        std::fs::write(&key, "nonsense").unwrap();
        upkeep.look(Look::Reload, SystemTime::now());
        assert_eq!(current.get().fingerprint(), first);
        write();
        upkeep.look(Look::Reload, SystemTime::now());
        assert_ne!(current.get().fingerprint(), first);
    }
}
