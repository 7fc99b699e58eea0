//! Requests put together by the names of their fields, as the contract has them.

use super::raw::{self, Answer, Connection};
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, Value};
use std::sync::OnceLock;

/// The calls with one request and one answer that are built.
pub(crate) const CALLS: [&str; 11] = [
    "Mint",
    "Heartbeat",
    "HeartbeatBatch",
    "Done",
    "AuthorizeWrite",
    "GetClaim",
    "ListClaims",
    "GetEntity",
    "ListClaimEvents",
    "RevokeClaim",
    "SignalEntity",
];
/// Those of them that are operators'.
const OPERATORS: [&str; 2] = ["RevokeClaim", "SignalEntity"];

fn pool() -> &'static DescriptorPool {
    static POOL: OnceLock<DescriptorPool> = OnceLock::new();
    POOL.get_or_init(|| {
        DescriptorPool::decode(claim_proto::FILE_DESCRIPTOR_SET).expect("the contract")
    })
}

/// A message type of the contract, or of what it imports.
pub(crate) fn message(name: &str) -> MessageDescriptor {
    pool().get_message_by_name(name).unwrap_or_else(|| panic!("no message {name}"))
}

/// The request type of a call.
pub(crate) fn request_type(call: &str) -> MessageDescriptor {
    message(&format!("claim.v1.{call}Request"))
}

/// A call and what it asks.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) call: &'static str,
    pub(crate) message: DynamicMessage,
}

impl Request {
    /// Nothing is set yet.
    pub(crate) fn to(call: &'static str) -> Self {
        Self { call, message: DynamicMessage::new(request_type(call)) }
    }

    /// With a field set.
    pub(crate) fn with(mut self, field: &str, value: impl Into<FieldValue>) -> Self {
        self.message.set_field_by_name(field, value.into().0);
        self
    }

    /// With a field left out.
    pub(crate) fn without(mut self, field: &str) -> Self {
        self.message.clear_field_by_name(field);
        self
    }

    /// A text field.
    pub(crate) fn text(&self, field: &str) -> String {
        let value = self.message.get_field_by_name(field).expect("a field");
        value.as_str().expect("a text").to_owned()
    }

    /// The message as it is sent.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.message.encode_to_vec()
    }

    /// The path that it is sent to.
    pub(crate) fn path(&self) -> String {
        path(self.call)
    }

    /// Sends it.
    pub(crate) async fn send(&self, connection: &Connection) -> Answer {
        connection.send(&self.path(), raw::framed(&self.bytes())).await
    }
}

/// The path of a call.
pub(crate) fn path(call: &str) -> String {
    let service = if OPERATORS.contains(&call) { "ClaimAdminService" } else { "ClaimService" };
    format!("claim.v1.{service}/{call}")
}

/// The value of a field; shorter to write than prost-reflect's own.
#[derive(Clone, Debug)]
pub(crate) struct FieldValue(pub(crate) Value);

impl From<&str> for FieldValue {
    fn from(text: &str) -> Self {
        Self(Value::String(text.to_owned()))
    }
}

impl From<String> for FieldValue {
    fn from(text: String) -> Self {
        Self(Value::String(text))
    }
}

impl From<i64> for FieldValue {
    fn from(number: i64) -> Self {
        Self(Value::I64(number))
    }
}

impl From<bool> for FieldValue {
    fn from(flag: bool) -> Self {
        Self(Value::Bool(flag))
    }
}

impl From<Vec<Value>> for FieldValue {
    fn from(values: Vec<Value>) -> Self {
        Self(Value::List(values))
    }
}

/// A number of an enum, known or not.
pub(crate) fn enum_number(number: i32) -> FieldValue {
    FieldValue(Value::EnumNumber(number))
}

/// Numbers of an enum.
pub(crate) fn enum_numbers(numbers: &[i32]) -> FieldValue {
    numbers.iter().copied().map(Value::EnumNumber).collect::<Vec<_>>().into()
}

/// A `google.protobuf.Duration`, normal or not.
pub(crate) fn duration(seconds: i64, nanos: i32) -> FieldValue {
    let mut duration = DynamicMessage::new(message("google.protobuf.Duration"));
    duration.set_field_by_name("seconds", Value::I64(seconds));
    duration.set_field_by_name("nanos", Value::I32(nanos));
    FieldValue(Value::Message(duration))
}

/// One `HeartbeatRequest`.
pub(crate) fn beat(consumer: &str, epoch: i64) -> Value {
    let beat = Request::to("Heartbeat").with("consumer_id", consumer).with("epoch", epoch);
    Value::Message(beat.message)
}

/// One `AckedStream`.
pub(crate) fn ack(path: &str, offset: &str) -> Value {
    let mut ack = DynamicMessage::new(message("claim.v1.AckedStream"));
    ack.set_field_by_name("path", Value::String(path.to_owned()));
    ack.set_field_by_name("offset", Value::String(offset.to_owned()));
    Value::Message(ack)
}
