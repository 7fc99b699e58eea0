//! Settings of the listener's encryption. All files are read before anything binds.

use super::files::{Certificates, ClientAuthority, Files, Look};
use claims::program::{WrongSetting, parse_length};
use clap::{Args, ValueEnum};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

/// More often would be a load; more seldom, a certificate may have ended before its successor is seen.
const RELOAD_INTERVAL: RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_secs(60 * 60);

/// Encryption of the gRPC listener. Without a certificate it speaks plain text, on loopback only.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Encryption")]
pub struct TransportSettings {
    /// File of the server's certificate, with those between it and its authority, in PEM: gRPC is
    /// then encrypted
    ///
    /// Certificate, key and authority are read again when their files change; new connections get the
    /// new ones, and files that cannot be used change nothing but the log.
    #[arg(long, env = "CLAIM_TLS_CERT", value_name = "CLAIM_TLS_CERT")]
    pub tls_cert: Option<PathBuf>,

    /// File of that certificate's private key, in PEM, without a passphrase
    #[arg(long, env = "CLAIM_TLS_KEY", value_name = "CLAIM_TLS_KEY")]
    pub tls_key: Option<PathBuf>,

    /// File of the authorities that sign clients' certificates, in PEM: clients are then asked for
    /// theirs
    ///
    /// Whoever has a certificate of theirs can connect, so they should sign nothing else.
    #[arg(long, env = "CLAIM_TLS_CLIENT_CA", value_name = "CLAIM_TLS_CLIENT_CA")]
    pub tls_client_ca: Option<PathBuf>,

    /// Whether a client must have a certificate, with CLAIM_TLS_CLIENT_CA [default: required]
    #[arg(long, env = "CLAIM_TLS_CLIENT_AUTH", value_name = "CLAIM_TLS_CLIENT_AUTH")]
    pub tls_client_auth: Option<ClientAuth>,

    /// How often the files are looked at; 100ms to 1h
    ///
    /// Contents are taken when two looks have found them the same. Longer: a new certificate comes
    /// into use later, which must be before the old one ends.
    #[arg(
        long,
        env = "CLAIM_TLS_RELOAD_INTERVAL",
        value_name = "CLAIM_TLS_RELOAD_INTERVAL",
        default_value = "5s",
        value_parser = parse_length
    )]
    pub tls_reload_interval: Duration,

    /// Speak plain text on an address that others than this machine reach
    ///
    /// Whoever is on the way then reads and changes everything, write tokens included. For networks
    /// that encrypt by themselves, such as a service mesh. In the environment: true or false.
    #[arg(long, env = "CLAIM_ALLOW_PLAINTEXT", value_parser = parse_permission)]
    pub allow_plaintext: bool,
}

/// A flag's value in the environment. The error names it, because clap would name the flag alone.
fn parse_permission(value: &str) -> Result<bool, &'static str> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("CLAIM_ALLOW_PLAINTEXT must be true or false"),
    }
}

/// Whether a client must have a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ClientAuth {
    /// Who has none is refused.
    Required,
    /// Who has none may connect all the same; one that was not signed by the authority is refused.
    Optional,
}

/// How connections are carried; checked.
#[derive(Clone, Debug, Default)]
pub struct Transport(pub(crate) Option<Encrypted>);

/// An encrypted listener: its files, and what was in them at the start.
#[derive(Clone, Debug)]
pub(crate) struct Encrypted {
    pub(crate) files: Files,
    pub(crate) reload_interval: Duration,
    pub(crate) look: Look,
    pub(crate) certificates: Certificates,
}

impl Transport {
    /// Whether connections are encrypted.
    #[must_use]
    pub const fn is_encrypted(&self) -> bool {
        self.0.is_some()
    }

    /// Whether clients can show certificates that are verified.
    pub(crate) fn knows_clients(&self) -> bool {
        self.0.as_ref().is_some_and(|encrypted| encrypted.files.clients.is_some())
    }

    /// Says in the log if others could read what is spoken at this address.
    pub(crate) fn caution(&self, address: SocketAddr) {
        if !self.is_encrypted() && is_reached_by_others(address) {
            tracing::warn!(
                %address,
                "plain text is spoken on {address}, as CLAIM_ALLOW_PLAINTEXT says: whoever is on the \
                 way reads and changes all of it, unless the network encrypts"
            );
        }
    }

    /// The scheme of the server's address.
    #[must_use]
    pub const fn scheme(&self) -> &'static str {
        if self.is_encrypted() { "https" } else { "http" }
    }
}

impl TransportSettings {
    /// Reads the files and checks that they fit; and that plain text on `listen` is meant.
    pub fn check(&self, listen: SocketAddr) -> Result<Transport, WrongSetting> {
        if !RELOAD_INTERVAL.contains(&self.tls_reload_interval) {
            return Err(WrongSetting::new("CLAIM_TLS_RELOAD_INTERVAL", "must be 100ms to 1h"));
        }
        let Some(files) = self.files()? else {
            self.check_plaintext(listen)?;
            return Ok(Transport(None));
        };
        let look = files.look();
        let certificates = look.certificates(&files)?;
        let reload_interval = self.tls_reload_interval;
        Ok(Transport(Some(Encrypted { files, reload_interval, look, certificates })))
    }

    /// The files of an encrypted listener; none if it is to speak plain text.
    fn files(&self) -> Result<Option<Files>, WrongSetting> {
        let (certificate, key) = match (&self.tls_cert, &self.tls_key) {
            (Some(certificate), Some(key)) => (certificate.clone(), key.clone()),
            (Some(_), None) => return Err(alone("CLAIM_TLS_KEY", "CLAIM_TLS_CERT")),
            (None, Some(_)) => return Err(alone("CLAIM_TLS_CERT", "CLAIM_TLS_KEY")),
            (None, None) if self.tls_client_ca.is_some() => {
                return Err(alone("CLAIM_TLS_CERT", "CLAIM_TLS_CLIENT_CA"));
            }
            (None, None) if self.tls_client_auth.is_some() => {
                return Err(alone("CLAIM_TLS_CERT", "CLAIM_TLS_CLIENT_AUTH"));
            }
            (None, None) => return Ok(None),
        };
        if self.allow_plaintext {
            let problem = "is set, but CLAIM_TLS_CERT leaves no plain text to allow";
            return Err(WrongSetting::new("CLAIM_ALLOW_PLAINTEXT", problem));
        }
        if self.tls_client_auth.is_some() && self.tls_client_ca.is_none() {
            return Err(alone("CLAIM_TLS_CLIENT_CA", "CLAIM_TLS_CLIENT_AUTH"));
        }
        let is_required = self.tls_client_auth != Some(ClientAuth::Optional);
        let clients = self.tls_client_ca.clone().map(|file| ClientAuthority { file, is_required });
        Ok(Some(Files { certificate, key, clients }))
    }

    fn check_plaintext(&self, listen: SocketAddr) -> Result<(), WrongSetting> {
        if !is_reached_by_others(listen) || self.allow_plaintext {
            return Ok(());
        }
        let problem = format!(
            "{listen} is reached from other machines, and nothing is encrypted: set CLAIM_TLS_CERT \
             and CLAIM_TLS_KEY, or CLAIM_ALLOW_PLAINTEXT if that is meant"
        );
        Err(WrongSetting::new("CLAIM_LISTEN", problem))
    }
}

/// Whether other machines may reach this address.
fn is_reached_by_others(address: SocketAddr) -> bool {
    !address.ip().to_canonical().is_loopback()
}

fn alone(missing: &'static str, given: &str) -> WrongSetting {
    WrongSetting::new(missing, format!("is not set, but {given} is, which needs it"))
}

#[cfg(test)]
mod tests;
