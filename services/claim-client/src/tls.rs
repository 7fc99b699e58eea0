//! Whom to trust, and who one is.

use std::fmt;
use std::io;
use std::path::Path;
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

/// Encryption by rustls. Servers are trusted if their certificate was signed by the given
/// authority; the operating system's list plays no part.
#[derive(Clone)]
pub struct Tls {
    authority_pem: Vec<u8>,
    identity_pem: Option<(Vec<u8>, Vec<u8>)>,
    server_name: Option<String>,
}

impl Tls {
    /// Trusts the authority of that certificate, or of several in a row, in PEM.
    pub fn trusting(authority_pem: impl Into<Vec<u8>>) -> Self {
        Self { authority_pem: authority_pem.into(), identity_pem: None, server_name: None }
    }

    /// As [`Tls::trusting`], from a file.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn trusting_file(authority: impl AsRef<Path>) -> io::Result<Self> {
        Ok(Self::trusting(std::fs::read(authority)?))
    }

    /// Presents that certificate, for servers that ask who comes; certificate and key in PEM.
    #[must_use]
    pub fn identity(
        mut self,
        certificate_pem: impl Into<Vec<u8>>,
        key_pem: impl Into<Vec<u8>>,
    ) -> Self {
        self.identity_pem = Some((certificate_pem.into(), key_pem.into()));
        self
    }

    /// As [`Tls::identity`], from files.
    ///
    /// # Errors
    /// If one of the files cannot be read.
    pub fn identity_files(
        self,
        certificate: impl AsRef<Path>,
        key: impl AsRef<Path>,
    ) -> io::Result<Self> {
        Ok(self.identity(std::fs::read(certificate)?, std::fs::read(key)?))
    }

    /// Expects that name in the servers' certificates, instead of the host of their address.
    #[must_use]
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    pub(crate) fn config(&self) -> ClientTlsConfig {
        let mut config =
            ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&self.authority_pem));
        if let Some((certificate, key)) = &self.identity_pem {
            config = config.identity(Identity::from_pem(certificate, key));
        }
        if let Some(name) = &self.server_name {
            config = config.domain_name(name);
        }
        config
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The key is a secret, and certificates are no reading.
        let Self { authority_pem: _, identity_pem, server_name } = self;
        f.debug_struct("Tls")
            .field("has_identity", &identity_pem.is_some())
            .field("server_name", server_name)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_debug_form_of_an_identity_does_not_show_its_key() {
        let shown = format!("{:?}", Tls::trusting("authority").identity("certificate", "secret"));
        assert!(!shown.contains("secret") && !shown.contains("[115"), "{shown}");
    }
}
