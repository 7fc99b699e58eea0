//! What a certificate says: whose it is, and until when.

use crate::peer::CertificateNames;
use rustls::pki_types::CertificateDer;
use x509_cert::Certificate;
use x509_cert::der::{DateTime, Decode, Error};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// The names of a certificate, which must have been verified: anybody can write names.
pub(super) fn names(certificate: &CertificateDer<'_>) -> Result<CertificateNames, Error> {
    let certificate = Certificate::from_der(certificate)?;
    let mut names = CertificateNames::default();
    let Some((_, SubjectAltName(all))) = certificate.tbs_certificate.get::<SubjectAltName>()?
    else {
        return Ok(names);
    };
    for name in all {
        match name {
            GeneralName::UniformResourceIdentifier(uri) => names.uris.push(uri.to_string()),
            GeneralName::DnsName(name) => names.dns.push(name.to_string().to_ascii_lowercase()),
            // Addresses and directories are nobody's identity here.
            _ => {}
        }
    }
    Ok(names)
}

/// The end of a chain of certificates, which is the first end of any of them.
pub(super) fn expires_at(chain: &[CertificateDer<'_>]) -> Result<DateTime, Error> {
    chain.iter().try_fold(DateTime::INFINITY, |earliest, certificate| {
        let certificate = Certificate::from_der(certificate)?;
        Ok(earliest.min(certificate.tbs_certificate.validity.not_after.to_date_time()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::string::Ia5String;
    use rcgen::{CertificateParams, KeyPair, SanType};

    fn certificate(names: Vec<SanType>) -> CertificateDer<'static> {
        let mut params = CertificateParams::new([]).unwrap();
        params.subject_alt_names = names;
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    fn ends_in(year: i32) -> CertificateDer<'static> {
        let mut params = CertificateParams::new([]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 2, 3);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    fn text(text: &str) -> Ia5String {
        text.try_into().unwrap()
    }

    #[test]
    fn uris_stay_as_they_are_and_other_kinds_of_names_are_left_out() {
        let found = names(&certificate(vec![
            SanType::URI(text("spiffe://Cluster.local/ns/a/sa/Runner")),
            SanType::DnsName(text("Runner-1.Example")),
            SanType::IpAddress([10, 0, 0, 1].into()),
            SanType::Rfc822Name(text("runner@example")),
            SanType::DnsName(text("runner-2.example")),
        ]));
        let expected = CertificateNames {
            uris: vec!["spiffe://Cluster.local/ns/a/sa/Runner".to_owned()],
            dns: vec!["runner-1.example".to_owned(), "runner-2.example".to_owned()],
        };
        assert_eq!(found.unwrap(), expected);
    }

    #[test]
    fn a_certificate_without_names_has_none() {
        assert_eq!(names(&certificate(vec![])).unwrap(), CertificateNames::default());
        assert!(names(&CertificateDer::from(vec![0x30, 0x00])).is_err());
    }

    #[test]
    fn a_chain_holds_no_longer_than_its_shortest_certificate() {
        let expires_at = expires_at(&[ends_in(2041), ends_in(2031), ends_in(2051)]).unwrap();
        assert_eq!(expires_at.to_string(), "2031-02-03T00:00:00Z");
    }
}
