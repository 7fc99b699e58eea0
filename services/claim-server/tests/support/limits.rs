//! The limits of every field of every built request, as the contract states them, and values on
//! both sides of each.

use super::page_tokens::PageTokens;
use super::request::{FieldValue, ack, beat, duration, enum_number, enum_numbers};
use prost_reflect::Value;

/// What a field may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limits {
    /// Printable bytes, from that many to 256.
    Name(usize),
    /// A name, and an epoch beside it.
    Authority,
    /// Begins with a slash, 2 to 1024 bytes, no empty segment; perhaps it may be left out.
    EntityUrl { required: bool },
    /// Of the entity beside it, and may be left out.
    StreamOfEntity,
    /// Alone, and must be given.
    Stream,
    /// At least 1; perhaps it may be left out.
    Epoch { required: bool },
    /// Any content, at most 256 bytes.
    WriteToken,
    /// At most that many bytes, no control characters but tab and newline.
    Text(usize),
    /// 1 s to 10 min.
    Lease,
    /// From the lease to 24 h.
    Ceiling,
    /// 1 to 500 entries.
    Heartbeats,
    /// At most 256 entries.
    Acks,
    /// Three numbers.
    Outcome,
    /// Four numbers, and not the unspecified one.
    Signal,
    /// Six numbers, and not the unspecified one.
    States,
    /// 0 to 1000.
    PageSize,
    /// One of this service's own, with the same conditions.
    PageToken,
    /// The same of a listing of events.
    EventPageToken,
    /// Either.
    Flag,
}

use Limits::*;

/// Every field of every built call.
pub(crate) const FIELDS: &[(&str, &str, Limits)] = &[
    ("Mint", "tenant_id", Name(0)),
    ("Mint", "entity_url", EntityUrl { required: true }),
    ("Mint", "stream_path", StreamOfEntity),
    ("Mint", "consumer_id", Name(1)),
    ("Mint", "epoch", Epoch { required: false }),
    ("Mint", "authority", Authority),
    ("Mint", "wake_id", Name(0)),
    ("Mint", "runner_id", Name(0)),
    ("Mint", "request_id", Name(0)),
    ("Mint", "lease_ttl", Lease),
    ("Mint", "max_duration", Ceiling),
    ("Mint", "supersede", Flag),
    ("Heartbeat", "tenant_id", Name(0)),
    ("Heartbeat", "consumer_id", Name(1)),
    ("Heartbeat", "epoch", Epoch { required: true }),
    ("Heartbeat", "write_token", WriteToken),
    ("Heartbeat", "lease_ttl", Lease),
    ("Heartbeat", "progress", Text(256)),
    ("HeartbeatBatch", "heartbeats", Heartbeats),
    ("Done", "tenant_id", Name(0)),
    ("Done", "consumer_id", Name(1)),
    ("Done", "epoch", Epoch { required: true }),
    ("Done", "write_token", WriteToken),
    ("Done", "acked_streams", Acks),
    ("Done", "outcome", Outcome),
    ("Done", "error_message", Text(1024)),
    ("AuthorizeWrite", "tenant_id", Name(0)),
    ("AuthorizeWrite", "stream_path", Stream),
    ("AuthorizeWrite", "write_token", WriteToken),
    ("GetClaim", "tenant_id", Name(0)),
    ("GetClaim", "consumer_id", Name(1)),
    ("GetClaim", "epoch", Epoch { required: true }),
    ("ListClaims", "tenant_id", Name(0)),
    ("ListClaims", "entity_url", EntityUrl { required: false }),
    ("ListClaims", "runner_id", Name(0)),
    ("ListClaims", "states", States),
    ("ListClaims", "lapsed_only", Flag),
    ("ListClaims", "page_size", PageSize),
    ("ListClaims", "page_token", PageToken),
    ("ListClaimEvents", "tenant_id", Name(0)),
    ("ListClaimEvents", "entity_url", EntityUrl { required: false }),
    ("ListClaimEvents", "consumer_id", Name(0)),
    ("ListClaimEvents", "page_size", PageSize),
    ("ListClaimEvents", "page_token", EventPageToken),
    ("GetEntity", "tenant_id", Name(0)),
    ("GetEntity", "entity_url", EntityUrl { required: true }),
    ("RevokeClaim", "tenant_id", Name(0)),
    ("RevokeClaim", "consumer_id", Name(1)),
    ("RevokeClaim", "epoch", Epoch { required: true }),
    ("RevokeClaim", "reason", Text(256)),
    ("SignalEntity", "tenant_id", Name(0)),
    ("SignalEntity", "entity_url", EntityUrl { required: true }),
    ("SignalEntity", "signal", Signal),
    ("SignalEntity", "reason", Text(256)),
];

/// NUL, newline, escape, DEL, and one that has two bytes.
const CONTROLS: [char; 5] = ['\0', '\n', '\u{1b}', '\u{7f}', '\u{85}'];
/// Separators of lines and paragraphs: not control characters, but not printable either.
const UNPRINTABLE: [char; 2] = ['\u{2028}', '\u{2029}'];

/// A value outside the limits of a field.
pub(crate) struct Bad {
    pub(crate) what: String,
    /// None: the field is left out.
    pub(crate) value: Option<FieldValue>,
    /// Fields beside it.
    pub(crate) others: Vec<(&'static str, FieldValue)>,
    /// The field that the refusal names.
    pub(crate) named: String,
}

/// A value within the limits of a field: what it is, fields beside it, and itself.
pub(crate) type Good = (String, Vec<(&'static str, FieldValue)>, FieldValue);

/// Ends in a character of two bytes, so that it has one character less than bytes.
fn long(bytes: usize) -> String {
    format!("{}ü", "x".repeat(bytes - 2))
}

fn holding(controls: &[char], around: &str) -> Vec<(String, FieldValue)> {
    let held = |control: &char| {
        let what = format!("{control:?} inside");
        (what, FieldValue::from(format!("{around}{control}{}", &around[around.len() - 1..])))
    };
    controls.iter().map(held).collect()
}

fn beats(count: usize) -> FieldValue {
    vec![beat("w_1", 1); count].into()
}

fn durations(of: &[(i64, i32)]) -> Vec<(String, FieldValue)> {
    let told = |(seconds, nanos): &(i64, i32)| {
        (format!("{seconds} s {nanos} ns"), duration(*seconds, *nanos))
    };
    of.iter().map(told).collect()
}

/// No length of time, none in normal form, or longer than any clock runs.
const BAD_DURATIONS: [(i64, i32); 14] = [
    (-1, 0),
    (0, -1),
    (-1, -1),
    (1, -1),
    (30, -1),
    (-1, 1),
    (-1, 999_999_999),
    (30, 1_000_000_000),
    (30, i32::MAX),
    (30, i32::MIN),
    (i64::MIN, 0),
    (i64::MIN, i32::MIN),
    (i64::MAX, 999_999_999),
    (i64::MAX, i32::MAX),
];

impl Limits {
    /// Values outside.
    pub(crate) fn bad(self, field: &str, entity: &str, tokens: &PageTokens) -> Vec<Bad> {
        let mut bad = match self {
            Acks => bad_acks(),
            Authority => {
                let mut bad = self.bad_values(entity, tokens);
                for bad in &mut bad {
                    bad.others.push(("epoch", 1.into()));
                }
                bad.push(Bad::new("without an epoch", Some("sub".into())));
                bad
            }
            Ceiling => {
                let mut bad = self.bad_values(entity, tokens);
                let mut shorter =
                    Bad::new("shorter than the lease", Some(duration(59, 999_999_999)));
                shorter.others.push(("lease_ttl", duration(60, 0)));
                bad.push(shorter);
                bad
            }
            _ => self.bad_values(entity, tokens),
        };
        for bad in &mut bad {
            bad.named = format!("{field}{}", bad.named);
        }
        bad
    }

    fn bad_values(self, entity: &str, tokens: &PageTokens) -> Vec<Bad> {
        let mut absent = false;
        let values: Vec<(String, FieldValue)> = match self {
            Name(least) => {
                absent = least > 0;
                let mut values = bad_names();
                if absent {
                    values.push(("empty".into(), "".into()));
                }
                values
            }
            Authority => bad_names(),
            EntityUrl { required } => {
                absent = required;
                let mut values = bad_paths();
                if required {
                    values.push(("empty".into(), "".into()));
                }
                values
            }
            StreamOfEntity => bad_streams(entity),
            Stream => {
                absent = true;
                let mut values = bad_streams(entity);
                values.retain(|(what, _)| !what.starts_with("not of the entity"));
                values.push(("empty".into(), "".into()));
                values
            }
            Epoch { required } => {
                absent = required;
                [0, -1, i64::MIN].map(|epoch| (epoch.to_string(), epoch.into())).into()
            }
            WriteToken => vec![
                ("257 bytes".into(), long(257).into()),
                ("257 bytes, none printable".into(), "\0".repeat(257).into()),
                ("many bytes".into(), "x".repeat(1_000_000).into()),
            ],
            Text(most) => {
                let mut values = holding(&['\0', '\r', '\u{1b}', '\u{7f}', '\u{85}'], "so far");
                values.push(("one byte too many".into(), long(most + 1).into()));
                values.push(("many bytes".into(), "ü".repeat(500_000).into()));
                values
            }
            Lease => {
                let mut values = durations(&BAD_DURATIONS);
                values.extend(durations(&[
                    (0, 0),
                    (0, 999_999_999),
                    (600, 1),
                    (601, 0),
                    (i64::MAX, 0),
                ]));
                values
            }
            Ceiling => {
                let mut values = durations(&BAD_DURATIONS);
                values.extend(durations(&[
                    (0, 0),
                    (0, 999_999_999),
                    (86_400, 1),
                    (86_401, 0),
                    (i64::MAX, 0),
                ]));
                values
            }
            Outcome => [-1, 3, 99, i32::MIN, i32::MAX]
                .map(|number| (number.to_string(), enum_number(number)))
                .into(),
            Signal => {
                absent = true;
                [0, -1, 5, 99, i32::MIN, i32::MAX]
                    .map(|number| (number.to_string(), enum_number(number)))
                    .into()
            }
            Heartbeats => {
                absent = true;
                [0, 501, 10_000].map(|count| (format!("{count} of them"), beats(count))).into()
            }
            States => vec![
                ("unspecified".into(), enum_numbers(&[0])),
                ("unknown".into(), enum_numbers(&[7])),
                ("negative".into(), enum_numbers(&[-1])),
                ("unknown after known".into(), enum_numbers(&[1, 2, i32::MAX])),
                ("many unknown ones".into(), enum_numbers(&vec![99; 100_000])),
            ],
            PageSize => {
                [-1, 1001, i64::MIN, i64::MAX].map(|size| (size.to_string(), size.into())).into()
            }
            PageToken => tokens.bad(),
            EventPageToken => tokens.events.bad(),
            Acks | Flag => vec![],
        };
        let mut bad: Vec<Bad> =
            values.into_iter().map(|(what, value)| Bad::new(what, Some(value))).collect();
        if absent {
            bad.push(Bad::new("missing", None));
        }
        bad
    }

    /// Values inside, at the limits where there are any.
    pub(crate) fn good(self, entity: &str, tokens: &PageTokens) -> Vec<Good> {
        let mut others = vec![];
        let values: Vec<(String, FieldValue)> = match self {
            Name(least) => {
                let mut values = good_names();
                if least == 0 {
                    values.push(("empty".into(), "".into()));
                }
                values
            }
            Authority => {
                others.push(("epoch", 1.into()));
                good_names()
            }
            EntityUrl { required } => {
                let mut values: Vec<(String, FieldValue)> = vec![
                    ("2 bytes".into(), "/a".into()),
                    ("1024 bytes".into(), format!("/{}", long(1023)).into()),
                    ("any printable".into(), "/ %2F?#..;\u{2028}/ü".into()),
                ];
                if !required {
                    values.push(("empty".into(), "".into()));
                }
                values
            }
            StreamOfEntity | Stream => {
                let mut values: Vec<(String, FieldValue)> = vec![
                    ("a segment of 1 byte".into(), format!("{entity}/s").into()),
                    ("a segment of 255 bytes".into(), format!("{entity}/{}", long(255)).into()),
                ];
                if matches!(self, StreamOfEntity) {
                    values.push(("empty".into(), "".into()));
                }
                values
            }
            Epoch { .. } => [1, i64::MAX].map(|epoch| (epoch.to_string(), epoch.into())).into(),
            WriteToken => vec![
                ("empty".into(), "".into()),
                ("256 bytes".into(), long(256).into()),
                ("256 bytes, none printable".into(), "\0".repeat(256).into()),
            ],
            Text(most) => vec![
                ("empty".into(), "".into()),
                ("all the bytes".into(), long(most).into()),
                ("tab and newline".into(), "a\tb\n".into()),
                ("separators".into(), "a\u{2028}b".into()),
            ],
            Lease => durations(&[(1, 0), (1, 1), (599, 999_999_999), (600, 0)]),
            Ceiling => {
                let mut values = durations(&[(1, 0), (29, 999_999_999), (30, 0), (86_400, 0)]);
                values.push(("the default lease and a bit".into(), duration(30, 1)));
                values
            }
            Acks => {
                let many = |ack: Value| vec![ack; 256];
                vec![
                    ("none".into(), vec![].into()),
                    ("256 of the longest".into(), many(ack(&long(1280), &long(256))).into()),
                    ("of nothing".into(), vec![ack("", "")].into()),
                ]
            }
            Outcome => [0, 1, 2].map(|number| (number.to_string(), enum_number(number))).into(),
            Signal => [1, 2, 3, 4].map(|number| (number.to_string(), enum_number(number))).into(),
            Heartbeats => [1, 500].map(|count| (format!("{count} of them"), beats(count))).into(),
            States => vec![
                ("none".into(), enum_numbers(&[])),
                ("all".into(), enum_numbers(&[1, 2, 3, 4, 5, 6])),
                ("one many times".into(), enum_numbers(&vec![3; 100_000])),
            ],
            PageSize => [0, 1, 1000].map(|size| (size.to_string(), size.into())).into(),
            PageToken => tokens.good(),
            EventPageToken => tokens.events.good(),
            Flag => [false, true].map(|flag| (flag.to_string(), flag.into())).into(),
        };
        values.into_iter().map(|(what, value)| (what, others.clone(), value)).collect()
    }
}

impl Bad {
    fn new(what: impl Into<String>, value: Option<FieldValue>) -> Self {
        Self { what: what.into(), value, others: vec![], named: String::new() }
    }
}

fn bad_names() -> Vec<(String, FieldValue)> {
    let mut values = holding(&CONTROLS, "name");
    values.extend(holding(&UNPRINTABLE, "name"));
    // 256 characters, but 257 bytes.
    values.push(("one byte too many".into(), long(257).into()));
    values.push(("256 characters of two bytes".into(), "ü".repeat(256).into()));
    values.push(("many bytes".into(), "x".repeat(1_000_000).into()));
    values.push(("nothing but a newline".into(), "\n".into()));
    values
}

fn good_names() -> Vec<(String, FieldValue)> {
    vec![
        ("1 byte".into(), "x".into()),
        ("256 bytes".into(), long(256).into()),
        ("any printable".into(), " '\"\\/%_é\u{1f980}\u{feff}".into()),
    ]
}

fn bad_paths() -> Vec<(String, FieldValue)> {
    let mut values = holding(&CONTROLS, "/chat/a");
    let paths = [
        ("no slash first", "chat/a"),
        ("a slash alone", "/"),
        ("a slash last", "/chat/"),
        ("an empty segment", "/chat//a"),
        ("two slashes", "//"),
        ("one byte", "a"),
        ("a scheme", "http://chat/a"),
    ];
    values.extend(paths.map(|(what, path)| (what.to_owned(), path.into())));
    values.push(("one byte too many".into(), format!("/{}", long(1024)).into()));
    values.push(("many bytes".into(), format!("/{}", "ü".repeat(500_000)).into()));
    values
}

fn bad_streams(entity: &str) -> Vec<(String, FieldValue)> {
    let mut values = holding(&CONTROLS, &format!("{entity}/main"));
    let paths = [
        ("not of the entity: another's", "/chat/b/main".to_owned()),
        ("not of the entity: its own URL", entity.to_owned()),
        ("not of the entity: a longer one's", format!("{entity}b/main")),
        ("not of the entity: two segments", format!("{entity}/a/main")),
        ("an empty segment", format!("{entity}/")),
        ("an empty segment within", format!("{entity}//main")),
        ("no slash first", "chat/a/main".to_owned()),
        ("no slash", "main".to_owned()),
        ("a stream of no entity", "/main".to_owned()),
        ("a slash alone", "/".to_owned()),
    ];
    values.extend(paths.map(|(what, path)| (what.to_owned(), path.into())));
    values.push(("a segment of 256 bytes".into(), format!("{entity}/{}", long(256)).into()));
    let long_entity = format!("/{}/main", long(1024));
    values.push(("of an entity of 1025 bytes".into(), long_entity.into()));
    values
}

fn bad_acks() -> Vec<Bad> {
    let mut bad = vec![Bad::new("257 entries", Some(vec![ack("/in/main", "7"); 257].into()))];
    let mut of = |part: &str, what: String, ack: Value| {
        // The last of several, so that no entry goes unseen.
        let entries = vec![super::request::ack("/in/main", "7"), ack];
        let mut one = Bad::new(what, Some(entries.into()));
        one.named = format!(".{part}");
        bad.push(one);
    };
    of("path", "one byte too many".into(), ack(&long(1281), "7"));
    of("offset", "one byte too many".into(), ack("/in/main", &long(257)));
    for control in CONTROLS {
        of("path", format!("{control:?}"), ack(&format!("/in{control}"), "7"));
        of("offset", format!("{control:?}"), ack("/in/main", &format!("7{control}")));
    }
    bad
}
