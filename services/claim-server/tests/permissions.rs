//! Who may call what: every method of the contract, for every role, in the caller's own tenant and in
//! others, with credentials and without. Exactly the cells that the policy grants pass.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod support;

use claim_proto::v1::keep_alive_response::Result as StreamResult;
use claim_proto::v1::{EntitySignal, HeartbeatBatchResponse, MintRequest};
use claims::testing::TestDatabase;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, ReflectMessage, Value};
use std::collections::BTreeMap;
use std::time::Duration;
use support::identity::{Files, grant, token, with_token};
use support::raw::{self, Answer, Connection};
use support::refusal::Refusal;
use support::streams::answers_in;
use support::{PATIENCE, Server, mint};
use tokio::time::timeout;
use tonic::{Code, Status};

/// What it takes to call a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Needs {
    Nothing,
    Identity,
    Role(&'static str),
    /// The role in all tenants.
    Everywhere(&'static str),
}
use Needs::{Everywhere, Identity, Nothing, Role};

/// The table. A method that is not in it fails the test.
const TABLE: [(&str, Needs); 18] = [
    ("claim.v1.ClaimService/Mint", Role("holder")),
    ("claim.v1.ClaimService/Heartbeat", Role("holder")),
    ("claim.v1.ClaimService/HeartbeatBatch", Role("holder")),
    ("claim.v1.ClaimService/KeepAlive", Role("holder")),
    ("claim.v1.ClaimService/Done", Role("holder")),
    ("claim.v1.ClaimService/AuthorizeWrite", Role("verifier")),
    ("claim.v1.ClaimService/GetClaim", Role("observer")),
    ("claim.v1.ClaimService/ListClaims", Role("observer")),
    ("claim.v1.ClaimService/GetEntity", Role("observer")),
    ("claim.v1.ClaimService/ListClaimEvents", Role("observer")),
    ("claim.v1.ClaimService/WatchClaimEvents", Role("observer")),
    ("claim.v1.ClaimAdminService/RevokeClaim", Role("operator")),
    ("claim.v1.ClaimAdminService/SignalEntity", Role("operator")),
    ("claim.v1.ClaimAdminService/GetReaperStatus", Everywhere("operator")),
    ("grpc.health.v1.Health/Check", Nothing),
    ("grpc.health.v1.Health/Watch", Nothing),
    ("grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Identity),
    ("grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", Identity),
];

const ROLES: [&str; 4] = ["holder", "verifier", "observer", "operator"];
/// `own` is the one in which each role is granted to the token of that name; in `other` there are
/// claims of somebody else, in `void` nothing has ever happened.
const TENANTS: [&str; 3] = ["own", "other", "void"];

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    /// With a token that has this role in `own`.
    Has(&'static str),
    /// With a token that has all four in `own`.
    HasAll,
    /// With a token that is an operator in every tenant.
    OperatorOfAll,
    /// With a token to which nothing is granted.
    Known,
    /// With a token that nobody knows.
    Unknown,
    /// Without a token.
    Nobody,
}

impl Who {
    fn all() -> Vec<Self> {
        let others = [Self::HasAll, Self::OperatorOfAll, Self::Known, Self::Unknown, Self::Nobody];
        ROLES.map(Self::Has).into_iter().chain(others).collect()
    }

    fn authorization(self) -> Option<String> {
        let name = match self {
            Self::Has(role) => role,
            Self::HasAll => "all",
            Self::OperatorOfAll => "chief",
            Self::Known => "known",
            Self::Unknown => "stranger",
            Self::Nobody => return None,
        };
        Some(format!("Bearer {}", token(name)))
    }

    fn has(self, role: &str, tenant: &str) -> bool {
        match self {
            Self::Has(own) => own == role && tenant == "own",
            Self::HasAll => tenant == "own",
            Self::OperatorOfAll => role == "operator",
            Self::Known | Self::Unknown | Self::Nobody => false,
        }
    }
}

/// What becomes of a call, as far as it depends on who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    Passes,
    Unauthenticated,
    /// For want of that role.
    NotPermitted(String),
}

fn expected(needs: Needs, who: Who, tenant: &str) -> Outcome {
    if needs == Nothing {
        return Outcome::Passes;
    }
    if matches!(who, Who::Unknown | Who::Nobody) {
        return Outcome::Unauthenticated;
    }
    let passes = |it_does: bool, role: &str| match it_does {
        true => Outcome::Passes,
        false => Outcome::NotPermitted(role.to_owned()),
    };
    match needs {
        Nothing | Identity => Outcome::Passes,
        Role(role) => passes(who.has(role, tenant), role),
        Everywhere(role) => passes(who.has(role, "*") && who == Who::OperatorOfAll, role),
    }
}

fn files() -> Files {
    let mut policy: String =
        ROLES.iter().map(|role| grant(&format!("token:{role}"), "own", &[role])).collect();
    policy += &grant("token:all", "own", &ROLES);
    policy += &grant("token:chief", "*", &["operator"]);
    policy += &grant("token:root", "*", &ROLES);
    let names = [&ROLES[..], &["all", "chief", "known", "root"]].concat();
    Files::new(&policy, &names)
}

/// The methods that are served, by the contract and by what is served beside it.
fn methods() -> Vec<String> {
    let mut names = vec![];
    for set in [claim_proto::FILE_DESCRIPTOR_SET, tonic_health::pb::FILE_DESCRIPTOR_SET] {
        let pool = DescriptorPool::decode(set).expect("descriptors");
        for service in pool.services() {
            let of = service.full_name().to_owned();
            names.extend(service.methods().map(|method| format!("{of}/{}", method.name())));
        }
    }
    for version in ["v1", "v1alpha"] {
        names.push(format!("grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"));
    }
    names
}

/// A request that is well-formed, about something in a tenant that need not be there.
fn body(method: &str, tenant: &str) -> Vec<u8> {
    if method.starts_with("grpc.health") {
        return vec![];
    }
    if method.starts_with("grpc.reflection") {
        use tonic_reflection::pb::v1::ServerReflectionRequest;
        use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
        let asked = Some(MessageRequest::ListServices(String::new()));
        return ServerReflectionRequest { message_request: asked, ..Default::default() }
            .encode_to_vec();
    }
    let pool = DescriptorPool::decode(claim_proto::FILE_DESCRIPTOR_SET).expect("the contract");
    let (service, name) = method.split_once('/').expect("a method");
    let service = pool.get_service_by_name(service).expect("a service");
    let method = service.methods().find(|method| method.name() == name).expect("a method");
    let mut message = filled(&DynamicMessage::new(method.input()), tenant);
    let beat = || {
        let beat = pool.get_message_by_name("claim.v1.HeartbeatRequest").expect("a message");
        Value::Message(filled(&DynamicMessage::new(beat), tenant))
    };
    match name {
        "HeartbeatBatch" => message.set_field_by_name("heartbeats", Value::List(vec![beat()])),
        "KeepAlive" => {
            message.set_field_by_name("tag", Value::U64(1));
            message.set_field_by_name("heartbeat", beat());
        }
        _ => {}
    }
    message.encode_to_vec()
}

/// With the fields that are needed, where the message has them.
fn filled(message: &DynamicMessage, tenant: &str) -> DynamicMessage {
    let mut message = message.clone();
    let entity = format!("/{tenant}/new");
    for (field, value) in [
        ("tenant_id", Value::String(tenant.to_owned())),
        ("entity_url", Value::String(entity.clone())),
        ("consumer_id", Value::String("w_new".to_owned())),
        ("epoch", Value::I64(9)),
        ("request_id", Value::String("again".to_owned())),
        ("runner_id", Value::String("r".to_owned())),
        ("signal", Value::EnumNumber(EntitySignal::Cont.into())),
    ] {
        if message.descriptor().get_field_by_name(field).is_some() {
            message.set_field_by_name(field, value);
        }
    }
    if message.descriptor().name() == "AuthorizeWriteRequest" {
        message.set_field_by_name("stream_path", Value::String(format!("{entity}/main")));
        message.set_field_by_name("write_token", Value::String("wrong".to_owned()));
    }
    if message.descriptor().name() == "MintRequest" {
        message.set_field_by_name("authority", Value::String("sub".to_owned()));
    }
    message
}

/// For how long a stream that has begun and has no end is listened to.
const BEGIN: Duration = Duration::from_millis(200);

/// Calls, and gives what came back; none of a stream that goes on.
async fn call(connection: &Connection, method: &str, who: Who, tenant: &str) -> Option<Answer> {
    let authorization = who.authorization();
    let headers: Vec<_> =
        authorization.iter().map(|value| ("authorization", value.as_str())).collect();
    let answer = connection.send_with(method, &headers, raw::framed(&body(method, tenant)));
    let is_endless = method.ends_with("/Watch") || method.ends_with("/WatchClaimEvents");
    let (_, needs) = TABLE.iter().find(|(name, _)| *name == method).expect("in the table");
    let goes_on = is_endless && expected(*needs, who, tenant) == Outcome::Passes;
    match timeout(if goes_on { BEGIN } else { PATIENCE }, answer).await {
        Ok(answer) => Some(answer),
        Err(_) if goes_on => None,
        Err(_) => panic!("{method} for {who:?} in {tenant}: no answer"),
    }
}

/// The status that tells what became of a call, or of the one heartbeat that it carries.
fn told(method: &str, answer: &Answer) -> Status {
    let status = answer.status();
    if status.code() != Code::Ok {
        return status;
    }
    let item = match method {
        "claim.v1.ClaimService/HeartbeatBatch" => {
            let batch = HeartbeatBatchResponse::decode(answer.message()).expect("an answer");
            use claim_proto::v1::heartbeat_result::Result::{Error, Response};
            match batch.results.into_iter().next().expect("a result").result.expect("a result") {
                Error(status) => Some(status),
                Response(_) => None,
            }
        }
        "claim.v1.ClaimService/KeepAlive" => {
            let first = answers_in(&answer.body).into_iter().next().expect("an answer");
            match first.result.expect("a result") {
                StreamResult::Error(status) => Some(status),
                StreamResult::Response(_) => None,
            }
        }
        _ => None,
    };
    item.map_or(status, |item| {
        let details = item.encode_to_vec().into();
        Status::with_details(Code::from(item.code), item.message, details)
    })
}

fn outcome(what: &str, status: &Status) -> Outcome {
    match status.code() {
        Code::Ok => return Outcome::Passes,
        Code::Internal | Code::Unavailable | Code::Unimplemented | Code::InvalidArgument => {
            panic!("{what}: {status:?}")
        }
        _ => {}
    }
    let refusal = Refusal::of(status);
    match refusal.kind() {
        (Code::Unauthenticated, "UNAUTHENTICATED") => {
            assert_eq!(refusal.keys(), [""; 0], "{what}");
            Outcome::Unauthenticated
        }
        (Code::PermissionDenied, "NOT_PERMITTED") => {
            assert_eq!(refusal.keys(), ["permission"], "{what}");
            Outcome::NotPermitted(refusal.metadata["permission"].clone())
        }
        _ => Outcome::Passes,
    }
}

/// Something that exists in `other`, and in `own`.
async fn furnish(server: &Server) {
    let mut client = server.client().await;
    for tenant in ["own", "other"] {
        let mint = MintRequest {
            tenant_id: tenant.into(),
            authority: "sub".into(),
            epoch: Some(9),
            runner_id: "r".into(),
            request_id: "again".into(),
            ..mint(&format!("/{tenant}/new"), "w_new")
        };
        client.mint(with_token(&token("root"), mint)).await.expect("a claim");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn exactly_the_cells_that_are_granted_pass_and_the_others_write_nothing() {
    let mut known: Vec<_> = TABLE.iter().map(|(method, _)| (*method).to_owned()).collect();
    let mut served = methods();
    known.sort();
    served.sort();
    assert_eq!(served, known, "a method has no place in the table");

    let db = TestDatabase::in_service().await;
    let files = files();
    let server = files.server(db.url(), &[]).await;
    furnish(&server).await;
    let connection = raw::connect(server.address).await;
    let before = support::rows::all_rows(&db).await;
    let mut refused = BTreeMap::new();
    let mut cells = 0;
    // Those that are to be refused first, so that what the others write is not mistaken for theirs.
    for passes in [false, true] {
        for (method, needs) in TABLE {
            for who in Who::all() {
                for tenant in TENANTS {
                    let expected = expected(needs, who, tenant);
                    if (expected == Outcome::Passes) != passes {
                        continue;
                    }
                    let what = format!("{method} for {who:?} in {tenant}");
                    cells += 1;
                    let Some(answer) = call(&connection, method, who, tenant).await else {
                        continue;
                    };
                    let status = told(method, &answer);
                    assert_eq!(outcome(&what, &status), expected, "{what}: {status:?}");
                    if !passes {
                        // All there is of it is the same wherever the caller has no business.
                        let told = (status.code(), status.message().to_owned(), answer.body.len());
                        let first = refused.entry((method, format!("{who:?}")));
                        assert_eq!(*first.or_insert_with(|| told.clone()), told, "{what}");
                    }
                }
            }
        }
        if !passes {
            assert_eq!(support::rows::all_rows(&db).await, before, "a refused call wrote");
        }
    }
    assert_eq!(cells, TABLE.len() * Who::all().len() * TENANTS.len());
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_asks_no_database_so_its_time_tells_nothing_of_a_tenant() {
    // Nobody listens on port 1.
    let files = files();
    let server = files.server("postgres://nobody@127.0.0.1:1/none", &[]).await;
    let connection = raw::connect(server.address).await;
    for (method, needs) in TABLE {
        let Role(role) = needs else { continue };
        if method.ends_with("/WatchClaimEvents") || method.ends_with("/KeepAlive") {
            continue;
        }
        for tenant in TENANTS {
            let answer = call(&connection, method, Who::Known, tenant).await.expect("an answer");
            let refusal = Refusal::of(&told(method, &answer));
            assert_eq!(refusal.kind(), (Code::PermissionDenied, "NOT_PERMITTED"), "{method}");
        }
        let who = Who::Has(ROLES.into_iter().find(|known| *known == role).expect("a role"));
        let answer = call(&connection, method, who, "own").await.expect("an answer");
        let refusal = Refusal::of(&told(method, &answer));
        assert_eq!(refusal.kind(), (Code::Unavailable, "DATABASE_UNAVAILABLE"), "{method}");
    }
}
