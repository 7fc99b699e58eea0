//! Names, texts and lengths, at and beyond each bound. Bytes count, not characters.

use super::support::secs;
use claims::domain::claim::{ACKED_OFFSET_BYTES_MAX, ACKED_PATH_BYTES_MAX, ACKED_STREAMS_MAX};
use claims::domain::command::{ERROR_MESSAGE_BYTES_MAX, REASON_BYTES_MAX};
use claims::domain::heartbeat::PROGRESS_BYTES_MAX;
use claims::domain::{
    AckedStream, Authority, ConsumerId, EntityUrl, Epoch, Fence, InvalidField, LeaseTtl, RequestId,
    RunnerId, StreamPath, TenantId, Text, WakeId,
};
use std::time::Duration;

/// A character of two bytes.
const WIDE: &str = "é";
const NANO: Duration = Duration::from_nanos(1);
const DAY: Duration = secs(86_400);

fn field<T>(outcome: Result<T, InvalidField>) -> &'static str {
    outcome.err().expect("an invalid field").field
}

#[test]
fn the_limits_are_those_of_the_contract() {
    assert_eq!(ACKED_STREAMS_MAX, 256);
    assert_eq!(ACKED_PATH_BYTES_MAX, 1_280);
    assert_eq!(ACKED_OFFSET_BYTES_MAX, 256);
    assert_eq!(ERROR_MESSAGE_BYTES_MAX, 1_024);
    assert_eq!(REASON_BYTES_MAX, 256);
    assert_eq!(PROGRESS_BYTES_MAX, 256);
}

/// What holds of all six kinds of name.
macro_rules! names_hold {
    ($($test:ident: $type:ident, $field:literal, may_be_empty = $empty:literal;)*) => {$(
        #[test]
        fn $test() {
            assert_eq!($type::parse("").is_ok(), $empty);
            for good in ["a", " ", "w_ccc537", "a/b:c", WIDE, "日本", "🦀"] {
                assert_eq!($type::parse(good).expect("a name").as_str(), good);
            }
            assert!($type::parse(&"x".repeat(256)).is_ok());
            assert_eq!(field($type::parse(&"x".repeat(257))), $field);
            assert!($type::parse(&WIDE.repeat(128)).is_ok(), "256 bytes");
            assert!($type::parse(&format!("x{}", WIDE.repeat(128))).is_err(), "257 bytes");
            for bad in ["\0", "a\n", "\t", "\u{7f}", "\u{85}", "\u{2028}", "a\u{2029}b"] {
                assert_eq!(field($type::parse(bad)), $field, "{bad:?}");
            }
        }
    )*};
}

names_hold! {
    a_consumer_is_1_to_256_printable_bytes: ConsumerId, "consumer_id", may_be_empty = false;
    a_tenant_is_1_to_256_printable_bytes: TenantId, "tenant_id", may_be_empty = false;
    an_authority_is_0_to_256_printable_bytes: Authority, "authority", may_be_empty = true;
    a_wake_is_0_to_256_printable_bytes: WakeId, "wake_id", may_be_empty = true;
    a_runner_is_0_to_256_printable_bytes: RunnerId, "runner_id", may_be_empty = true;
    a_request_id_is_0_to_256_printable_bytes: RequestId, "request_id", may_be_empty = true;
}

#[test]
fn an_empty_tenant_is_the_default_one() {
    let tenant = TenantId::parse_or_default("").expect("a tenant");
    assert_eq!(tenant.as_str(), "default");
    let tenant = TenantId::parse_or_default("acme").expect("a tenant");
    assert_eq!(tenant.as_str(), "acme");
    assert_eq!(field(TenantId::parse_or_default(&"x".repeat(257))), "tenant_id");
    assert_eq!(field(TenantId::parse_or_default("\n")), "tenant_id");
}

#[test]
fn a_refused_name_is_not_repeated() {
    let secret = "very-secret\n";
    let problem = ConsumerId::parse(secret).expect_err("refused").to_string();
    assert!(!problem.contains("secret"), "{problem}");
}

#[test]
fn an_entity_url_has_2_to_1024_bytes_and_no_empty_segment() {
    for good in ["/a", "/chat/a", "/chat/a b/c", "/é", "/.", "/a/../b", "/a:b"] {
        assert_eq!(EntityUrl::parse(good).expect("a URL").as_str(), good);
    }
    assert!(EntityUrl::parse(&format!("/{}", "x".repeat(1_023))).is_ok());
    assert!(EntityUrl::parse(&format!("/x{}", WIDE.repeat(511))).is_ok());
    let long = format!("/{}", "x".repeat(1_024));
    let wide = format!("/xx{}", WIDE.repeat(511));
    let bad = [
        "", "/", "a", "ab", "chat/a", "//", "//a", "/a/", "/a//b", "/a\n", "/a\0b", "/a\u{7f}",
        &long, &wide,
    ];
    for bad in bad {
        assert_eq!(field(EntityUrl::parse(bad)), "entity_url", "{bad:?}");
    }
}

#[test]
fn a_stream_is_its_entity_and_one_segment() {
    let entity = EntityUrl::parse("/chat/a").expect("a URL");
    let of = |path: &str| StreamPath::of_entity(&entity, path);
    assert_eq!(of("").expect("the default").as_str(), "/chat/a/main");
    assert_eq!(of("/chat/a/log").expect("a stream").entity(), entity);
    let foreign = [
        "/chat/b/log",
        "/chat/a",
        "/chat/a/",
        "/chat/a/log/deep",
        "/chat/ab/log",
        "chat/a/log",
        "log",
        "/chat/a//log",
        "/chat/a/l\nog",
    ];
    for bad in foreign {
        assert_eq!(field(of(bad)), "stream_path", "{bad:?}");
    }
}

#[test]
fn a_streams_segment_has_1_to_255_bytes() {
    let of = |segment: String| StreamPath::parse(&format!("/a/{segment}"));
    assert!(of("x".repeat(255)).is_ok());
    assert_eq!(field(of("x".repeat(256))), "stream_path");
    assert!(of(format!("x{}", WIDE.repeat(127))).is_ok());
    assert!(of(WIDE.repeat(128)).is_err());
    assert!(of(String::new()).is_err());
}

#[test]
fn the_longest_entity_has_streams_and_they_fit_an_ack() {
    let url = format!("/{}", "x".repeat(1_023));
    let entity = EntityUrl::parse(&url).expect("a URL");
    let path = format!("{url}/{}", "y".repeat(255));
    let stream = StreamPath::of_entity(&entity, &path).expect("a stream");
    assert_eq!(stream.as_str().len(), ACKED_PATH_BYTES_MAX);
    assert!(AckedStream::parse(path, String::new()).is_ok());
    let longer = format!("/{}/main", "x".repeat(1_024));
    assert_eq!(field(StreamPath::parse(&longer)), "stream_path");
}

#[test]
fn a_stream_that_stands_alone_names_its_entity() {
    let stream = StreamPath::parse("/chat/a/main").expect("a stream");
    assert_eq!(stream.entity().as_str(), "/chat/a");
    for bad in ["", "/", "/main", "//main", "main", "/a/", "/a//b", "a/b", "/\n/b"] {
        assert_eq!(field(StreamPath::parse(bad)), "stream_path", "{bad:?}");
    }
}

#[test]
fn an_ack_has_a_path_of_1280_and_an_offset_of_256_bytes() {
    let ack = |path: String, offset: String| AckedStream::parse(path, offset);
    let ok = ack("p".repeat(1_280), "o".repeat(256)).expect("an ack");
    assert_eq!((ok.path.len(), ok.offset.len()), (1_280, 256));
    assert!(ack(String::new(), String::new()).is_ok());
    assert!(ack(WIDE.repeat(640), WIDE.repeat(128)).is_ok());
    let path_refused =
        ["p".repeat(1_281), format!("p{}", WIDE.repeat(640)), "a\nb".to_owned(), "\t".to_owned()];
    for bad in path_refused {
        assert!(field(ack(bad, String::new())).starts_with("acked_streams"));
    }
    for bad in ["o".repeat(257), format!("o{}", WIDE.repeat(128)), "\0".to_owned()] {
        assert!(field(ack(String::new(), bad)).starts_with("acked_streams"));
    }
}

#[test]
fn a_text_holds_tab_and_newline_and_no_other_control_character() {
    let text = |value: &str| Text::<8>::parse("progress", value);
    for good in ["", "a\tb\nc", "12345678", "éééé", "a\u{2028}b"] {
        assert_eq!(text(good).expect("a text").as_str(), good);
    }
    for bad in ["123456789", "ééééx", "a\r", "\0", "\u{1b}[0m", "\u{85}"] {
        assert_eq!(field(text(bad)), "progress", "{bad:?}");
    }
}

#[test]
fn an_epoch_is_at_least_1_and_a_fence_at_least_0() {
    assert_eq!(Epoch::parse(1), Ok(Epoch::FIRST));
    assert_eq!(Epoch::parse(i64::MAX), Ok(Epoch::LAST));
    for bad in [0, -1, i64::MIN] {
        assert_eq!(field(Epoch::parse(bad)), "epoch");
    }
    assert_eq!(Epoch::LAST.next(), None);
    assert_eq!(Fence::parse(0), Ok(Fence::UNCLAIMED));
    assert!(Fence::parse(-1).is_err());
    assert_eq!(Fence::parse(i64::MAX).expect("a fence").next(), None);
}

// M6

fn lengths(
    ttl: Option<Duration>,
    max: Option<Duration>,
) -> Result<(Duration, Option<Duration>), InvalidField> {
    LeaseTtl::of_claim(ttl, max).map(|(ttl, max)| (ttl.get(), max))
}

#[test]
fn a_lease_is_1_s_to_10_min_and_30_s_by_default() {
    assert_eq!(lengths(None, None), Ok((secs(30), None)));
    assert_eq!(lengths(Some(secs(1)), None), Ok((secs(1), None)));
    assert_eq!(lengths(Some(secs(600)), None), Ok((secs(600), None)));
    for bad in [Duration::ZERO, secs(1) - NANO, secs(600) + NANO, Duration::MAX] {
        assert_eq!(field(lengths(Some(bad), None)), "lease_ttl");
        assert_eq!(field(LeaseTtl::parse(bad)), "lease_ttl");
        assert_eq!(field(lengths(Some(bad), Some(DAY))), "lease_ttl");
    }
}

#[test]
fn a_ceiling_is_at_least_the_lease_and_at_most_24_h() {
    let of = |ttl, max| lengths(Some(ttl), Some(max));
    assert_eq!(of(secs(40), secs(40)), Ok((secs(40), Some(secs(40)))));
    assert_eq!(of(secs(40), DAY), Ok((secs(40), Some(DAY))));
    let milli = Duration::from_millis(1);
    for bad in [Duration::ZERO, secs(40) - milli, DAY + NANO, Duration::MAX] {
        assert_eq!(field(of(secs(40), bad)), "max_duration");
    }
    assert_eq!(lengths(None, Some(DAY)), Ok((secs(30), Some(DAY))));
    assert_eq!(field(lengths(None, Some(DAY + NANO))), "max_duration");
}

#[test]
fn a_ceiling_below_the_default_lease_makes_the_lease_equal_to_it() {
    for max in [secs(1), secs(12), secs(29), secs(30)] {
        assert_eq!(lengths(None, Some(max)), Ok((max, Some(max))));
    }
    assert_eq!(lengths(None, Some(secs(31))), Ok((secs(30), Some(secs(31)))));
    // A given lease is not made shorter.
    assert_eq!(field(lengths(Some(secs(20)), Some(secs(12)))), "max_duration");
    // Nor may a ceiling make a lease shorter than a lease may be.
    assert_eq!(field(lengths(None, Some(secs(1) - NANO))), "max_duration");
    assert_eq!(field(lengths(None, Some(Duration::ZERO))), "max_duration");
}

#[test]
fn lengths_are_whole_milliseconds() {
    let odd = secs(12) + Duration::from_nanos(3_999_999);
    let even = secs(12) + Duration::from_millis(3);
    assert_eq!(lengths(Some(odd), Some(odd)), Ok((even, Some(even))));
    assert_eq!(lengths(None, Some(odd)), Ok((even, Some(even))));
}
