//! Page tokens: real ones, and all that can be made of them.

use super::event_tokens::EventTokens;
use super::request::FieldValue;
use super::{Server, mint};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use claim_proto::v1::ListClaimsRequest;

/// Tokens of listings of claims with different conditions.
pub(crate) struct PageTokens {
    /// Those of listings of events.
    pub(crate) events: EventTokens,
    /// Of a listing of the default tenant, without conditions.
    plain: String,
    /// Of the same claims, with conditions or of another tenant.
    foreign: Vec<(&'static str, String)>,
}

impl PageTokens {
    /// Mints claims and lists them, one to a page.
    pub(crate) async fn gather(server: &Server) -> Self {
        let mut client = server.client().await;
        for tenant in ["", "other"] {
            for consumer in ["w_page_1", "w_page_2"] {
                let entity = format!("/page/{consumer}");
                let asked = v1_mint(tenant, &entity, consumer);
                client.mint(asked).await.expect("a claim");
            }
        }
        // A second event of the first.
        client.mint(v1_mint("", "/page/w_page_1", "w_page_1")).await.expect("a re-mint");
        let events = EventTokens::gather(&mut client, "/page/w_page_1", "w_page_1").await;
        let mut token_of = async |request: ListClaimsRequest| {
            let request = ListClaimsRequest { page_size: 1, ..request };
            let page = client.list_claims(request).await.expect("a page").into_inner();
            assert_ne!(page.next_page_token, "");
            page.next_page_token
        };
        let plain = token_of(ListClaimsRequest::default()).await;
        let states = ListClaimsRequest { states: vec![1], ..Default::default() };
        let runner = ListClaimsRequest { runner_id: "r_page".into(), ..Default::default() };
        let tenant = ListClaimsRequest { tenant_id: "other".into(), ..Default::default() };
        let foreign = vec![
            ("of other states", token_of(states).await),
            ("of a runner", token_of(runner).await),
            ("of another tenant", token_of(tenant).await),
        ];
        Self { events, plain, foreign }
    }

    /// Tokens that a listing without conditions takes: also forged ones, which show no more than
    /// the listing does.
    pub(crate) fn good(&self) -> Vec<(String, FieldValue)> {
        let mut good = vec![
            ("empty".to_owned(), "".into()),
            ("a real one".to_owned(), self.plain.as_str().into()),
        ];
        for time in [0_i64, 1, 253_402_300_799_999_999] {
            let forged = self.forged(|content| content["t"] = time.into());
            good.push((format!("forged, of the time {time}"), forged.into()));
        }
        let forged = self.forged(|content| content["e"] = i64::MAX.into());
        good.push(("forged, of the last epoch".to_owned(), forged.into()));
        good
    }

    /// Tokens that no listing without conditions takes.
    pub(crate) fn bad(&self) -> Vec<(String, FieldValue)> {
        let plain = &self.plain;
        let mut bad: Vec<(String, FieldValue)> = [
            ("garbage", "garbage".to_owned()),
            ("no base64", "not base64!".to_owned()),
            ("NUL", "\0".to_owned()),
            ("padded", format!("{plain}=")),
            ("cut", plain[..plain.len() - 4].to_owned()),
            ("doubled", format!("{plain}{plain}")),
            ("bytes that are no text", URL_SAFE_NO_PAD.encode([0xff, 0xfe, 0x00])),
            ("JSON of another form", URL_SAFE_NO_PAD.encode("{}")),
            ("JSON, deeply nested", URL_SAFE_NO_PAD.encode("[".repeat(100_000))),
            ("many bytes", "A".repeat(1_000_000)),
            ("forged, of no consumer", self.forged(|content| content["c"] = "".into())),
            ("forged, of a bad consumer", self.forged(|content| content["c"] = "\0".into())),
            ("forged, of a long one", self.forged(|content| content["c"] = "x".repeat(257).into())),
            ("forged, of epoch 0", self.forged(|content| content["e"] = 0.into())),
            ("forged, of epoch -1", self.forged(|content| content["e"] = (-1).into())),
            ("forged, beyond 64 bits", self.forged(|content| content["t"] = 1e300.into())),
            ("forged, with more in it", self.forged(|content| content["x"] = 1.into())),
        ]
        .into_iter()
        .map(|(what, token)| (what.to_owned(), token.into()))
        .collect();
        for time in
            [i64::MIN, -1_000_000_000_000_000_000_i64, -1, 253_402_300_800_000_000, i64::MAX]
        {
            let forged = self.forged(|content| content["t"] = time.into());
            bad.push((format!("forged, of the time {time}"), forged.into()));
        }
        for (what, token) in &self.foreign {
            bad.push(((*what).to_owned(), token.as_str().into()));
        }
        bad
    }

    /// The real token with its content changed.
    fn forged(&self, change: impl FnOnce(&mut serde_json::Value)) -> String {
        let content = URL_SAFE_NO_PAD.decode(&self.plain).expect("base64");
        let mut content = serde_json::from_slice(&content).expect("JSON");
        change(&mut content);
        URL_SAFE_NO_PAD.encode(content.to_string())
    }
}

fn v1_mint(tenant: &str, entity: &str, consumer: &str) -> claim_proto::v1::MintRequest {
    claim_proto::v1::MintRequest {
        tenant_id: tenant.into(),
        runner_id: "r_page".into(),
        request_id: "q_page".into(),
        ..mint(entity, consumer)
    }
}
