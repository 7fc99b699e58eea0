use super::*;
use clap::Parser;
use std::fs;

#[derive(Parser)]
struct Program {
    #[command(flatten)]
    access: AccessSettings,
}

/// Files that are good, for as long as it lives.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("claim-{test}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let grant =
            "[[grant]]\ncallers = [\"token:ci\"]\ntenants = [\"*\"]\nroles = [\"holder\"]\n";
        fs::write(folder.join("policy"), grant).unwrap();
        fs::write(folder.join("tokens"), format!("{}  ci\n", "0a".repeat(32))).unwrap();
        let key = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a",
            "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
        fs::write(folder.join("keys"), key).unwrap();
        fs::write(folder.join("wrong"), "what is\nthis [[").unwrap();
        Self(folder)
    }

    /// What becomes of these flags, in which `@` stands for the folder.
    fn check(&self, flags: &[&str]) -> Result<AccessConfig, WrongSetting> {
        self.check_at("127.0.0.1:1", false, flags)
    }

    fn check_at(
        &self,
        listen: &str,
        has_certificates: bool,
        flags: &[&str],
    ) -> Result<AccessConfig, WrongSetting> {
        let folder = format!("{}/", self.0.display());
        let flags = flags.iter().map(|flag| flag.replace('@', &folder));
        let program = ["program".to_owned()].into_iter().chain(flags);
        let settings = Program::try_parse_from(program).unwrap().access;
        settings.check(listen.parse().unwrap(), has_certificates)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const JWT: [&str; 2] = ["--jwt-issuer=i", "--jwt-audience=a"];

#[test]
fn without_settings_nobody_is_asked_and_only_loopback_is_served() {
    let folder = Folder::new("open");
    for loopback in ["127.0.0.1:1", "127.8.0.1:0", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
        assert!(!folder.check_at(loopback, false, &[]).unwrap().asks(), "{loopback}");
    }
    for public in ["0.0.0.0:1", "[::]:1", "10.0.0.1:1"] {
        let wrong = folder.check_at(public, false, &[]).unwrap_err();
        assert_eq!(wrong.name, "CLAIM_POLICY_FILE", "{public}");
        assert!(folder.check_at(public, false, &["--allow-anonymous"]).is_ok(), "{public}");
        assert!(folder.check_at(public, false, &["--policy-file=@policy"]).unwrap().asks());
    }
}

#[test]
fn good_files_are_read() {
    let folder = Folder::new("good");
    let flags = ["--policy-file=@policy", "--tokens-file=@tokens", "--jwks-file=@keys"];
    let config = folder.check(&[&flags[..], &JWT].concat()).unwrap();
    assert!(config.asks() && config.loaded.keys.is_some());
    let url = ["--policy-file=@policy", "--jwks-url=https://issuer.test/keys"];
    assert!(folder.check(&[&url[..], &JWT].concat()).unwrap().loaded.keys.is_some());
}

#[test]
fn what_cannot_be_used_is_refused_with_setting_and_place() {
    let folder = Folder::new("wrong");
    let policy = "--policy-file=@policy";
    let cases: &[(&[&str], &str, &str)] = &[
        (&["--policy-file=@none"], "CLAIM_POLICY_FILE", "/none: "),
        (&["--policy-file=@wrong"], "CLAIM_POLICY_FILE", "/wrong:1: "),
        (&[policy, "--tokens-file=@wrong"], "CLAIM_TOKENS_FILE", "/wrong:1: "),
        (&[policy, "--jwks-file=@wrong", JWT[0], JWT[1]], "CLAIM_JWKS_FILE", "/wrong:1: "),
        (&[policy, "--jwks-file=@keys", JWT[0]], "CLAIM_JWT_AUDIENCE", "is not set"),
        (&[policy, "--jwks-file=@keys", JWT[1]], "CLAIM_JWT_ISSUER", "is not set"),
        (&[policy, "--jwks-url=https://i", "--jwt-issuer="], "CLAIM_JWT_ISSUER", "is not set"),
        (&[policy, JWT[0]], "CLAIM_JWKS_FILE", "is not set"),
        (&[policy, "--jwks-file=@keys", "--jwks-url=https://i"], "CLAIM_JWKS_URL", "together"),
        (&[policy, "--jwks-url=http://i", JWT[0], JWT[1]], "CLAIM_JWKS_URL", "must begin with"),
        (&[policy, "--jwks-url=https:///", JWT[0], JWT[1]], "CLAIM_JWKS_URL", ""),
        (
            &[policy, "--jwks-url=https://i", "--jwks-ca-file=@keys", JWT[0], JWT[1]],
            "CLAIM_JWKS_CA_FILE",
            "has no certificate",
        ),
        (&["--tokens-file=@tokens"], "CLAIM_POLICY_FILE", "nothing granted"),
        (&["--jwks-file=@keys", JWT[0], JWT[1]], "CLAIM_POLICY_FILE", "nothing granted"),
        // Not even with the flag that lets everybody in.
        (&["--tokens-file=@tokens", "--allow-anonymous"], "CLAIM_POLICY_FILE", "nothing granted"),
    ];
    for (flags, name, told) in cases {
        let wrong = folder.check(flags).unwrap_err();
        assert_eq!(wrong.name, *name, "{flags:?}: {wrong}");
        assert!(wrong.problem.contains(told), "{flags:?}: {wrong}");
        assert_eq!(wrong.to_string().lines().count(), 1, "{wrong}");
    }
    let wrong = folder.check_at("127.0.0.1:1", true, &[]).unwrap_err();
    assert_eq!(wrong.name, "CLAIM_POLICY_FILE", "certificates alone grant nothing");
}

#[test]
fn an_algorithm_with_a_secret_key_cannot_be_set() {
    for algorithm in ["HS256", "none", "RS256,HS256", "rs256", ""] {
        let flag = format!("--jwt-algorithms={algorithm}");
        assert!(Program::try_parse_from(["program", &flag]).is_err(), "{algorithm}");
    }
    let settings = Program::try_parse_from(["program", "--jwt-algorithms=PS512,ES384"]).unwrap();
    assert_eq!(settings.access.jwt_algorithms, [Algorithm::PS512, Algorithm::ES384]);
    let settings = Program::try_parse_from(["program"]).unwrap().access;
    let documented = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];
    assert_eq!(settings.jwt_algorithms, documented);
}
