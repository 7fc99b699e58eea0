use super::*;
use crate::transport::testing::{Authority, Folder};
use clap::Parser;

#[derive(Parser)]
struct Program {
    #[command(flatten)]
    transport: TransportSettings,
}

const LOOPBACK: &str = "127.0.0.1:50051";
const EVERYWHERE: &str = "0.0.0.0:50051";

fn check(flags: &[String], listen: &str) -> Result<Transport, WrongSetting> {
    let arguments = ["claim-server".to_owned()].into_iter().chain(flags.iter().cloned());
    Program::try_parse_from(arguments).unwrap().transport.check(listen.parse().unwrap())
}

/// A folder with all that can be set, and the flags that set it.
struct Scene {
    folder: Folder,
    certificate: String,
    key: String,
    client_ca: String,
}

impl Scene {
    fn new() -> Self {
        let (folder, authority) = (Folder::new(), Authority::new());
        folder.write_pair(&authority.issue(2040));
        folder.write("clients.pem", Authority::new().pem());
        let flag = |flag: &str, name: &str| format!("{flag}={}", folder.path(name).display());
        Self {
            certificate: flag("--tls-cert", "server.pem"),
            key: flag("--tls-key", "server.key"),
            client_ca: flag("--tls-client-ca", "clients.pem"),
            folder,
        }
    }

    fn complete(&self) -> Vec<String> {
        vec![self.certificate.clone(), self.key.clone(), self.client_ca.clone()]
    }

    fn refused(&self) -> WrongSetting {
        check(&self.complete(), LOOPBACK).unwrap_err()
    }
}

#[test]
fn plain_text_is_refused_where_others_reach_it_unless_it_is_meant() {
    for listen in [LOOPBACK, "127.1.2.3:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
        assert!(!check(&[], listen).unwrap().is_encrypted(), "{listen}");
    }
    for listen in [EVERYWHERE, "[::]:1", "10.0.0.1:1", "[::ffff:10.0.0.1]:1", "192.168.0.1:1"] {
        let refused = check(&[], listen).unwrap_err();
        assert_eq!(refused.name, "CLAIM_LISTEN", "{listen}");
        assert!(refused.problem.contains("CLAIM_ALLOW_PLAINTEXT"), "{refused}");
        check(&["--allow-plaintext".to_owned()], listen).unwrap();
    }
}

#[test]
fn an_encrypted_listener_may_be_anywhere() {
    let scene = Scene::new();
    let pair = [scene.certificate.clone(), scene.key.clone()];
    assert!(check(&pair, EVERYWHERE).unwrap().is_encrypted());
    let transport = check(&scene.complete(), EVERYWHERE).unwrap();
    assert_eq!(transport.scheme(), "https");
    let optional = [scene.complete(), vec!["--tls-client-auth=optional".to_owned()]].concat();
    check(&optional, EVERYWHERE).unwrap();
    let shown = format!("{transport:?}");
    assert!(!shown.contains("PRIVATE") && !shown.contains("[45, 45"), "{shown}");
}

#[test]
fn a_setting_without_those_that_it_needs_is_refused() {
    let scene = Scene::new();
    let (certificate, key) = (scene.certificate.as_str(), scene.key.as_str());
    let client_ca = scene.client_ca.as_str();
    for (flags, missing) in [
        (vec![certificate], "CLAIM_TLS_KEY"),
        (vec![key], "CLAIM_TLS_CERT"),
        (vec![client_ca], "CLAIM_TLS_CERT"),
        (vec!["--tls-client-auth=optional"], "CLAIM_TLS_CERT"),
        (vec![certificate, key, "--tls-client-auth=required"], "CLAIM_TLS_CLIENT_CA"),
        (vec![certificate, key, "--allow-plaintext"], "CLAIM_ALLOW_PLAINTEXT"),
        (vec!["--tls-reload-interval=50ms"], "CLAIM_TLS_RELOAD_INTERVAL"),
        (vec!["--tls-reload-interval=2h"], "CLAIM_TLS_RELOAD_INTERVAL"),
    ] {
        let flags: Vec<_> = flags.into_iter().map(str::to_owned).collect();
        assert_eq!(check(&flags, LOOPBACK).unwrap_err().name, missing, "{flags:?}");
    }
}

#[test]
fn files_that_cannot_be_used_are_refused_by_the_name_of_their_setting() {
    const NAMES: [(&str, &str); 3] = [
        ("server.pem", "CLAIM_TLS_CERT"),
        ("server.key", "CLAIM_TLS_KEY"),
        ("clients.pem", "CLAIM_TLS_CLIENT_CA"),
    ];
    let broken = "-----BEGIN CERTIFICATE-----\nbm90IG9uZQ==\n-----END CERTIFICATE-----\n";
    for (file, setting) in NAMES {
        let scene = Scene::new();
        for content in ["", "text", "-----BEGIN CERTIFICATE-----\n", broken] {
            scene.folder.write(file, content);
            let refused = scene.refused();
            assert_eq!(refused.name, setting, "{content:?}: {refused}");
            assert!(refused.problem.contains(file), "{refused}");
        }
        std::fs::remove_file(scene.folder.path(file)).unwrap();
        assert_eq!(scene.refused().name, setting);
    }
}

#[test]
fn a_key_of_another_certificate_is_refused_and_not_shown() {
    let scene = Scene::new();
    let (_, other) = Authority::new().issue(2040);
    scene.folder.write("server.key", &other);
    let refused = scene.refused();
    assert_eq!(refused.name, "CLAIM_TLS_KEY");
    assert!(refused.problem.contains("is not the key"), "{refused}");
    let secret = other.lines().nth(1).unwrap();
    scene.folder.write("server.key", other.replace("PRIVATE", "SOME"));
    for shown in [refused, scene.refused()] {
        assert!(!format!("{shown:?}").contains(secret), "{shown}");
    }
}
