//! The wire contract, written out once more: whoever changes a name, a number or a type changes it
//! here too, and knows that other programs already speak it.

use protox::prost_reflect::{
    Cardinality, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor,
};

use super::published;

/// One line per field: number, name, type; `optional` and `repeated` as in the proto, and the oneof
/// that the field is part of.
const MESSAGES: &str = "
AckedStream
  1 path: string
  2 offset: string
AuthorizeWriteRequest
  1 tenant_id: string
  2 stream_path: string
  3 write_token: string
AuthorizeWriteResponse
  1 consumer_id: string
  2 epoch: int64
  3 entity_url: string
  4 fence: int64
  5 lease_remaining: Duration
Claim
  1 tenant_id: string
  2 consumer_id: string
  3 epoch: int64
  4 entity_url: string
  5 stream_path: string
  6 authority: string
  7 wake_id: string
  8 runner_id: string
  9 fence: int64
  10 state: ClaimState
  11 lease_ttl: Duration
  12 claim_time: Timestamp
  13 last_heartbeat_time: Timestamp
  14 lease_expire_time: Timestamp
  15 lease_remaining: Duration
  16 lapsed: bool
  17 ceiling_time: Timestamp
  18 end_time: Timestamp
  19 end_reason: string
  20 acked_streams: repeated AckedStream
  21 error_message: string
  22 progress: string
  23 superseded_by_consumer_id: string
  24 superseded_by_epoch: int64
ClaimEvent
  1 sequence: int64
  2 tenant_id: string
  3 entity_url: string
  4 stream_path: string
  5 consumer_id: string
  6 epoch: int64
  7 fence: int64
  8 type: ClaimEventType
  9 reason: string
  10 actor: string
  11 event_time: Timestamp
DoneRequest
  1 tenant_id: string
  2 consumer_id: string
  3 epoch: int64
  4 write_token: string
  5 acked_streams: repeated AckedStream
  6 outcome: DoneOutcome
  7 error_message: string
DoneResponse
  1 claim: Claim
  2 entity_cleared: bool
  3 already_ended: bool
  4 acks_recorded: bool
  5 entity_state: EntityState
Entity
  1 tenant_id: string
  2 entity_url: string
  3 state: EntityState
  4 fence: int64
  5 current_claim: Claim
  6 last_claim_time: Timestamp
  7 last_end_time: Timestamp
  8 last_completed_time: Timestamp
  9 last_error: string
GetClaimRequest
  1 tenant_id: string
  2 consumer_id: string
  3 epoch: int64
GetClaimResponse
  1 claim: Claim
GetEntityRequest
  1 tenant_id: string
  2 entity_url: string
GetEntityResponse
  1 entity: Entity
GetReaperStatusRequest
GetReaperStatusResponse
  1 last_pass: ReaperPass
  2 due_now: int64
  3 oldest_due_age: Duration
  4 live_claims: int64
HeartbeatBatchRequest
  1 heartbeats: repeated HeartbeatRequest
HeartbeatBatchResponse
  1 results: repeated HeartbeatResult
HeartbeatRequest
  1 tenant_id: string
  2 consumer_id: string
  3 epoch: int64
  4 write_token: string
  5 lease_ttl: Duration
  6 progress: optional string
HeartbeatResponse
  1 lease_expire_time: Timestamp
  2 lease_remaining: Duration
  3 heartbeat_interval: Duration
  4 directive: HeartbeatDirective
  5 had_lapsed: bool
  6 ceiling_remaining: Duration
HeartbeatResult
  1 response: HeartbeatResponse in result
  2 error: google.rpc.Status in result
KeepAliveRequest
  1 tag: uint64
  2 heartbeat: HeartbeatRequest
KeepAliveResponse
  1 tag: uint64
  2 consumer_id: string
  3 epoch: int64
  4 response: HeartbeatResponse in result
  5 error: google.rpc.Status in result
ListClaimEventsRequest
  1 tenant_id: string
  2 entity_url: string
  3 consumer_id: string
  4 page_size: int64
  5 page_token: string
ListClaimEventsResponse
  1 events: repeated ClaimEvent
  2 next_page_token: string
ListClaimsRequest
  1 tenant_id: string
  2 entity_url: string
  3 runner_id: string
  4 states: repeated ClaimState
  5 lapsed_only: bool
  6 page_size: int64
  7 page_token: string
ListClaimsResponse
  1 claims: repeated Claim
  2 next_page_token: string
MintRequest
  1 tenant_id: string
  2 entity_url: string
  3 stream_path: string
  4 consumer_id: string
  5 epoch: optional int64
  6 authority: string
  7 wake_id: string
  8 runner_id: string
  9 request_id: string
  10 lease_ttl: Duration
  11 max_duration: Duration
  12 supersede: bool
MintResponse
  1 claim: Claim
  2 write_token: string
  3 reminted: bool
  4 heartbeat_interval: Duration
  5 ended_predecessor: Claim
ReaperPass
  1 start_time: Timestamp
  2 end_time: Timestamp
  3 expired: int64
  4 failed: int64
  5 held_back: int64
  6 hold_reason: string
  7 pruned: int64
RevokeClaimRequest
  1 tenant_id: string
  2 consumer_id: string
  3 epoch: int64
  4 reason: string
RevokeClaimResponse
  1 claim: Claim
  2 entity_cleared: bool
  3 already_ended: bool
SignalEntityRequest
  1 tenant_id: string
  2 entity_url: string
  3 signal: EntitySignal
  4 reason: string
SignalEntityResponse
  1 entity: Entity
  2 changed: bool
WatchCheckpoint
  1 sequence: int64
WatchClaimEventsRequest
  1 tenant_id: string
  2 entity_url: string
  3 consumer_id: string
  4 after_sequence: optional int64
WatchClaimEventsResponse
  1 event: ClaimEvent in item
  2 checkpoint: WatchCheckpoint in item
";

/// The values of each enum without their prefix, numbered from 1; 0 is `UNSPECIFIED` throughout.
const ENUMS: &[(&str, &str, &[&str])] = &[
    (
        "ClaimState",
        "CLAIM_STATE",
        &["ACTIVE", "SUPERSEDED", "RELEASED", "FAILED", "EXPIRED", "REVOKED"],
    ),
    (
        "EntityState",
        "ENTITY_STATE",
        &["IDLE", "RUNNING", "PAUSED", "STOPPING", "STOPPED", "KILLED"],
    ),
    (
        "ClaimEventType",
        "CLAIM_EVENT_TYPE",
        &[
            "MINTED",
            "REMINTED",
            "SUPERSEDED",
            "RELEASED",
            "FAILED",
            "EXPIRED",
            "REVOKED",
            "SIGNALED",
        ],
    ),
    ("HeartbeatDirective", "HEARTBEAT_DIRECTIVE", &["CONTINUE", "STOP"]),
    ("DoneOutcome", "DONE_OUTCOME", &["COMPLETED", "FAILED"]),
    ("EntitySignal", "ENTITY_SIGNAL", &["STOP", "CONT", "TERM", "KILL"]),
];

/// Every method, with the streams among its two sides.
const METHODS: &str = "
claim.v1.ClaimAdminService.GetReaperStatus
claim.v1.ClaimAdminService.RevokeClaim
claim.v1.ClaimAdminService.SignalEntity
claim.v1.ClaimService.AuthorizeWrite
claim.v1.ClaimService.Done
claim.v1.ClaimService.GetClaim
claim.v1.ClaimService.GetEntity
claim.v1.ClaimService.Heartbeat
claim.v1.ClaimService.HeartbeatBatch
claim.v1.ClaimService.KeepAlive requests: stream responses: stream
claim.v1.ClaimService.ListClaimEvents
claim.v1.ClaimService.ListClaims
claim.v1.ClaimService.Mint
claim.v1.ClaimService.WatchClaimEvents responses: stream
";

/// The name of a type without the packages that can be taken for granted.
fn short(full_name: &str) -> String {
    let name = full_name.strip_prefix("claim.v1.");
    name.or_else(|| full_name.strip_prefix("google.protobuf.")).unwrap_or(full_name).to_owned()
}

fn describe_field(field: &FieldDescriptor) -> String {
    let kind = match field.kind() {
        Kind::Message(message) => short(message.full_name()),
        Kind::Enum(values) => short(values.full_name()),
        scalar => format!("{scalar:?}"),
    };
    let oneof = field.containing_oneof().map(|oneof| (oneof.is_synthetic(), oneof));
    let (before, after) = match (field.cardinality(), oneof) {
        (Cardinality::Repeated, _) => ("repeated ", String::new()),
        (_, Some((true, _))) => ("optional ", String::new()),
        (_, Some((false, oneof))) => ("", format!(" in {}", oneof.name())),
        (_, None) => ("", String::new()),
    };
    format!("  {} {}: {before}{kind}{after}\n", field.number(), field.name())
}

fn describe_message(message: &MessageDescriptor) -> String {
    let fields: String = message.fields().map(|field| describe_field(&field)).collect();
    format!("{}\n{fields}", message.name())
}

fn describe_method(method: &MethodDescriptor) -> String {
    let requests = if method.is_client_streaming() { " requests: stream" } else { "" };
    let responses = if method.is_server_streaming() { " responses: stream" } else { "" };
    format!("{}{requests}{responses}\n", method.full_name())
}

/// Sorted and joined, as the tables above are.
fn table(mut lines: Vec<String>) -> String {
    lines.sort();
    format!("\n{}", lines.concat())
}

#[test]
fn no_message_field_is_renamed_renumbered_or_retyped() {
    let pool = published();
    let messages = pool.all_messages().filter(|message| message.package_name() == "claim.v1");
    assert_eq!(table(messages.map(|message| describe_message(&message)).collect()), MESSAGES);
}

#[test]
fn no_enum_value_is_renamed_or_renumbered() {
    let pool = published();
    let of_package = |values: &EnumDescriptor| values.package_name() == "claim.v1";
    assert_eq!(pool.all_enums().filter(of_package).count(), ENUMS.len());

    for (name, prefix, values) in ENUMS {
        let found = pool.get_enum_by_name(&format!("claim.v1.{name}")).unwrap();
        let found: Vec<_> =
            found.values().map(|value| (value.number(), value.name().to_owned())).collect();
        let expected: Vec<_> = (0..)
            .zip(["UNSPECIFIED"].iter().chain(*values))
            .map(|(number, value)| (number, format!("{prefix}_{value}")))
            .collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn every_method_has_a_request_and_a_response_of_its_own_name() {
    let pool = published();
    let mut methods = Vec::new();
    for service in pool.services() {
        for method in service.methods() {
            assert_eq!(method.input().full_name(), format!("claim.v1.{}Request", method.name()));
            assert_eq!(method.output().full_name(), format!("claim.v1.{}Response", method.name()));
            methods.push(describe_method(&method));
        }
    }
    assert_eq!(table(methods), METHODS);
}

#[test]
fn the_published_descriptors_carry_their_comments() {
    for file in published().files().filter(|file| file.package_name() == "claim.v1") {
        let source = file.file_descriptor_proto().source_code_info.as_ref().unwrap();
        let comments =
            source.location.iter().filter(|place| place.leading_comments.is_some()).count();
        assert!(comments > 10, "{} has only {comments} comments", file.name());
    }
}
