//! Encryption on the way to the database, by rustls. What each `sslmode` of the URL means:
//!
//! | `sslmode` | encrypted | the database's certificate |
//! |---|---|---|
//! | `disable` | no | |
//! | `prefer`, or none given | if the database offers it | is not looked at |
//! | `require` | always | is not looked at, unless `sslrootcert` is given: then as `verify-ca` |
//! | `verify-ca` | always | was signed by an authority of `sslrootcert` |
//! | `verify-full` | always | the same, and it bears the host's name |
//!
//! That is what libpq does. Here is stricter: `verify-ca` and `verify-full` need a `sslrootcert`;
//! `sslrootcert` without a `sslmode` means `verify-full`, and beside one that may send plain text it
//! is refused. `sslrootcert=system` stands for the authorities that the operating system trusts, and
//! goes with `verify-full` only: anybody can get a certificate from those. A Unix socket is never
//! encrypted, whatever the URL says.

use super::InvalidDatabaseUrl;
use super::parameters::{Asked, Authorities, Mode};
use super::unnamed::Unnamed;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Once};
use tokio_postgres::config::{Config, Host, SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

/// The protocol's name, which Postgres 17 asks for when TLS begins without its question.
const ALPN: &[u8] = b"postgresql";

/// How connections are encrypted, and whom they trust.
#[derive(Clone)]
pub(super) struct Encryption {
    /// What the driver is to ask of the database.
    pub(super) mode: SslMode,
    pub(super) connector: MakeRustlsConnect,
    /// What to say once of connections that somebody in between could read or change.
    caution: Option<(&'static str, Arc<Once>)>,
}

/// By what the database's certificate is judged.
enum Trust {
    Anybody,
    Signed(RootCertStore),
    SignedForHost(RootCertStore),
}

impl Encryption {
    /// What the URL asks for, on the way to the hosts of `config`.
    pub(super) fn new(asked: &Asked, config: &Config) -> Result<Self, InvalidDatabaseUrl> {
        // A connection string that is no URL was read by the driver alone, which knows three modes.
        let mode = asked.mode.or(match config.get_ssl_mode() {
            SslMode::Disable => Some(Mode::Disable),
            SslMode::Require => Some(Mode::Require),
            _ => None,
        });
        let way = Way::of(config);
        let (mode, trust) = match way {
            Way::Local => (SslMode::Disable, Trust::Anybody),
            Way::Mixed | Way::Loopback | Way::Network => decide(mode, asked.authorities.as_ref())?,
        };
        if way == Way::Mixed && mode == SslMode::Require {
            return Err(InvalidDatabaseUrl::new(
                "a Unix socket among its hosts cannot be encrypted, as sslmode asks",
            ));
        }
        let caution = match (mode, &trust) {
            _ if way == Way::Loopback => None,
            (SslMode::Prefer, _) => Some(
                "the database is reached without sslmode: the connection may be plain text; \
                 say sslmode=verify-full and sslrootcert, or sslmode=disable if that is meant",
            ),
            (SslMode::Require, Trust::Anybody) => Some(
                "the database's certificate is not verified, so that anybody in between can pass \
                 for it; say sslmode=verify-full and sslrootcert",
            ),
            _ => None,
        };
        let connector = MakeRustlsConnect::new(client_config(trust)?);
        Ok(Self { mode, connector, caution: caution.map(|text| (text, Arc::new(Once::new()))) })
    }

    /// Says, once for a database, what is to be said of the connections.
    pub(super) fn caution(&self) {
        if let Some((text, said)) = &self.caution {
            said.call_once(|| tracing::warn!("{text}"));
        }
    }
}

/// The ways to the hosts, all taken together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// By Unix sockets.
    Local,
    /// Within this machine.
    Loopback,
    Network,
    /// By Unix sockets and networks.
    Mixed,
}

impl Way {
    fn of(config: &Config) -> Self {
        let is_local = |host: &Host| !matches!(host, Host::Tcp(_));
        let is_loopback = |host: &Host| match host {
            Host::Tcp(name) => {
                name == "localhost" || name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
            }
            Host::Unix(_) => false,
        };
        let (hosts, addresses) = (config.get_hosts(), config.get_hostaddrs());
        // Addresses, if there are any, are what is connected to; the hosts are names then.
        if addresses.is_empty() && hosts.iter().all(is_local) {
            Self::Local
        } else if hosts.iter().any(is_local) {
            Self::Mixed
        } else if hosts.iter().all(is_loopback) && addresses.iter().all(IpAddr::is_loopback) {
            Self::Loopback
        } else {
            Self::Network
        }
    }
}

/// The table of this page.
fn decide(
    mode: Option<Mode>,
    authorities: Option<&Authorities>,
) -> Result<(SslMode, Trust), InvalidDatabaseUrl> {
    let Some(authorities) = authorities else {
        return match mode {
            Some(Mode::Disable) => Ok((SslMode::Disable, Trust::Anybody)),
            Some(Mode::Prefer) | None => Ok((SslMode::Prefer, Trust::Anybody)),
            Some(Mode::Require) => Ok((SslMode::Require, Trust::Anybody)),
            Some(Mode::VerifyCa | Mode::VerifyFull) => Err(InvalidDatabaseUrl::new(
                "sslmode asks to verify the database, but no sslrootcert says by whom: name a file \
                 with the authority's certificate in PEM, or `system`",
            )),
        };
    };
    let is_system = *authorities == Authorities::System;
    match mode {
        Some(Mode::Disable | Mode::Prefer) => Err(InvalidDatabaseUrl::new(
            "sslrootcert is given, but sslmode allows plain text: say sslmode=verify-full",
        )),
        Some(Mode::Require | Mode::VerifyCa) if is_system => Err(InvalidDatabaseUrl::new(
            "with sslrootcert=system anybody could pass for the database: say sslmode=verify-full",
        )),
        Some(Mode::Require | Mode::VerifyCa) => {
            Ok((SslMode::Require, Trust::Signed(read(authorities)?)))
        }
        Some(Mode::VerifyFull) | None => {
            Ok((SslMode::Require, Trust::SignedForHost(read(authorities)?)))
        }
    }
}

fn read(authorities: &Authorities) -> Result<RootCertStore, InvalidDatabaseUrl> {
    let mut roots = RootCertStore::empty();
    match authorities {
        Authorities::System => {
            // Some entries of a system's list are usually too old to be understood.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return Err(InvalidDatabaseUrl::new(
                    "sslrootcert=system, but the operating system trusts no authority",
                ));
            }
        }
        Authorities::File(path) => read_file(path, &mut roots).map_err(|problem| {
            InvalidDatabaseUrl::new(format!("sslrootcert: {}: {problem}", path.display()))
        })?,
    }
    Ok(roots)
}

fn read_file(path: &Path, roots: &mut RootCertStore) -> Result<(), String> {
    let pem = std::fs::read(path).map_err(|error| error.to_string())?;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| format!("is not PEM: {error}"))?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    if roots.is_empty() { Err("holds no certificate in PEM".to_owned()) } else { Ok(()) }
}

fn client_config(trust: Trust) -> Result<ClientConfig, InvalidDatabaseUrl> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| InvalidDatabaseUrl::new(error.to_string()))?;
    let unnamed = |roots| Arc::new(Unnamed::new(provider, roots));
    let builder = match trust {
        Trust::SignedForHost(roots) => builder.with_root_certificates(roots),
        Trust::Signed(roots) => {
            builder.dangerous().with_custom_certificate_verifier(unnamed(Some(roots)))
        }
        Trust::Anybody => builder.dangerous().with_custom_certificate_verifier(unnamed(None)),
    };
    let mut config = builder.with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(config)
}

#[cfg(test)]
mod tests;
