//! Values of fields: mostly those that make sense where they stand, now and then one at a limit of
//! the contract, just beyond it, or far from anything that it has in mind.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fastrand::Rng;
use prost_types::Duration;

/// What people, programs and attackers write into a text.
const ODD_TEXTS: [&str; 28] = [
    "",
    " ",
    "\0",
    "a\0b",
    "\n",
    "\t",
    "\r\n",
    "\u{1b}[2J",
    "\u{7f}",
    "\u{85}",
    "\u{200b}",
    "\u{202e}txt.exe",
    "\u{2028}",
    "\u{feff}",
    "\u{fffd}",
    "\u{10ffff}",
    "\u{1f980}",
    "e\u{301}",
    "é",
    "'; DROP TABLE consumer_claims; --",
    "{\"a\": [1, 2",
    "%s%n%x",
    "../../etc/passwd",
    "\\",
    "$1",
    "NULL",
    "-",
    "default",
];
/// Lengths at which a limit of the contract lies, each with its neighbours, and a long one.
const LENGTHS: [usize; 17] =
    [1, 2, 3, 42, 43, 44, 255, 256, 257, 1023, 1024, 1025, 1279, 1280, 1281, 1536, 70_000];
/// Seconds around the limits of leases and ceilings, and at the ends of the range.
const SECONDS: [i64; 16] = [
    i64::MIN,
    -315_576_000_001,
    -1,
    0,
    1,
    2,
    29,
    30,
    31,
    599,
    600,
    601,
    86_400,
    86_401,
    315_576_000_001,
    i64::MAX,
];
const NANOS: [i32; 9] =
    [i32::MIN, -1_000_000_000, -1, 0, 1, 999_999_999, 1_000_000_000, 1_999_999_999, i32::MAX];
/// Numbers around nothing, limits and the ends of the range.
const NUMBERS: [i64; 16] = [
    i64::MIN,
    i64::MIN + 1,
    -2_147_483_649,
    -1,
    0,
    1,
    2,
    99,
    100,
    1000,
    1001,
    2_147_483_647,
    2_147_483_648,
    253_402_300_800_000_000,
    i64::MAX - 1,
    i64::MAX,
];

/// Draws values.
pub(crate) struct Draw<'r> {
    pub(crate) random: &'r mut Rng,
    /// How many of a hundred values are odd.
    pub(crate) odd_percent: u8,
}

impl Draw<'_> {
    /// Whether something that happens so many times in a hundred happens.
    pub(crate) fn chance(&mut self, percent: u8) -> bool {
        self.random.u8(0..100) < percent
    }

    /// One of several.
    pub(crate) fn one<T: Clone>(&mut self, of: &[T]) -> T {
        self.random.choice(of).expect("something to choose from").clone()
    }

    fn is_odd(&mut self) -> bool {
        let percent = self.odd_percent;
        self.chance(percent)
    }

    /// A text where `usual` is expected.
    pub(crate) fn text(&mut self, usual: &str) -> String {
        if self.is_odd() { self.odd_text(usual) } else { usual.to_owned() }
    }

    fn odd_text(&mut self, usual: &str) -> String {
        match self.random.u8(0..5) {
            0 => self.one(&ODD_TEXTS).to_owned(),
            1 => format!("{usual}{}", self.one(&ODD_TEXTS)),
            2 => format!("{}{usual}", self.one(&ODD_TEXTS)),
            3 => self.long(usual),
            _ => (0..self.random.usize(1..12)).map(|_| self.random.char(..)).collect(),
        }
    }

    /// At one of the lengths, of characters of one or two bytes; keeps how `usual` begins.
    fn long(&mut self, usual: &str) -> String {
        let length = self.one(&LENGTHS);
        let filler = self.one(&["x", "ü"]);
        let mut text = usual.chars().take(length.min(usual.len())).collect::<String>();
        while text.len() + filler.len() <= length {
            text.push_str(filler);
        }
        text
    }

    /// A path where `usual` is expected.
    pub(crate) fn path(&mut self, usual: &str) -> String {
        if !self.is_odd() {
            return usual.to_owned();
        }
        match self.random.u8(0..8) {
            0 => usual.trim_start_matches('/').to_owned(),
            1 => format!("{usual}/"),
            2 => usual.replacen('/', "//", 1),
            3 => format!("http:/{usual}"),
            4 => format!("{usual}/{}", self.odd_text("main")),
            5 => format!("{usual}b/main"),
            6 => "/".repeat(self.random.usize(1..1030)),
            _ => self.odd_text(usual),
        }
    }

    /// A number where `usual` is expected.
    pub(crate) fn number(&mut self, usual: i64) -> i64 {
        if !self.is_odd() {
            return usual;
        }
        match self.random.u8(0..3) {
            0 => usual.wrapping_add(self.one(&[-1, 1])),
            1 => self.random.i64(..),
            _ => self.one(&NUMBERS),
        }
    }

    /// A number of an enum with values up to `max`.
    pub(crate) fn enum_number(&mut self, max: i32) -> i32 {
        if self.is_odd() {
            self.one(&[i32::MIN, -1, 0, max + 1, 99, i32::MAX])
        } else {
            self.random.i32(1..=max)
        }
    }

    /// A length of time, or none.
    pub(crate) fn length(&mut self, usual: &[Option<i64>]) -> Option<Duration> {
        if !self.is_odd() {
            return self.one(usual).map(|seconds| Duration { seconds, nanos: 0 });
        }
        let seconds = if self.chance(20) { self.random.i64(..) } else { self.one(&SECONDS) };
        let nanos = if self.chance(20) { self.random.i32(..) } else { self.one(&NANOS) };
        Some(Duration { seconds, nanos })
    }

    /// A page token where `usual` was given out.
    pub(crate) fn page_token(&mut self, usual: &str) -> String {
        if !self.is_odd() {
            return usual.to_owned();
        }
        if self.chance(50) {
            return self.odd_text(usual);
        }
        // One that says other times, epochs and sequences than ours would.
        let opened = URL_SAFE_NO_PAD.decode(usual).unwrap_or_default();
        let mut content = serde_json::from_slice(&opened).unwrap_or(serde_json::json!({}));
        for name in ["t", "e", "s", "l"] {
            if content.get(name).is_some() || self.chance(20) {
                content[name] = self.one(&NUMBERS).into();
            }
        }
        if self.chance(30) {
            content["c"] = self.text("w_1").into();
        }
        URL_SAFE_NO_PAD.encode(content.to_string())
    }
}
