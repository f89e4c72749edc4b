//! Canonical bytes back into rows: what the spool keeps is what was hashed, in the form that it was hashed in, so that an agent
//! of a later version reads it, and a hash can be checked. Strict: there is one way to write a value, and only that is read.

use std::{net::Ipv6Addr, str::FromStr};

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{
    BlindSpotRow, ConnectionRow, FindingRow, InteractionRow, Row, SealKind, SealRow, Severity, Table,
    canonical::{CANON_V, RECORD_TAG, SEAL_TAG},
};

/// Why bytes are no row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// They end too early.
    #[error("cut short")]
    Short,
    /// There are more of them than the row needs.
    #[error("{0} bytes too many")]
    Long(usize),
    /// A netstring that is none.
    #[error("not a netstring")]
    Netstring,
    /// Another kind of row, or none.
    #[error("another tag")]
    Tag,
    /// A form that this program does not know.
    #[error("form {0}, this program knows 1 to {CANON_V}")]
    Form(u8),
    /// A value that its column cannot have.
    #[error("a value that is not a {0}")]
    Value(&'static str),
}

/// Reads one netstring after the other.
#[derive(Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Reads these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The bytes of the next netstring.
    ///
    /// # Errors
    /// When there is none, or its length is written in another way than the shortest.
    pub fn netstring(&mut self) -> Result<&'a [u8], DecodeError> {
        let digits = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (number, rest) = self.0.split_at(digits);
        let length = decimal::<usize>(number).ok_or(if rest.is_empty() {
            DecodeError::Short
        } else {
            DecodeError::Netstring
        })?;
        match rest.split_first() {
            None => return Err(DecodeError::Short),
            Some((b':', _)) => {}
            Some(_) => return Err(DecodeError::Netstring),
        }
        let rest = &rest[1..];
        if rest.len() <= length {
            return Err(DecodeError::Short);
        }
        let (value, rest) = rest.split_at(length);
        if rest[0] != b',' {
            return Err(DecodeError::Netstring);
        }
        self.0 = &rest[1..];
        Ok(value)
    }

    /// The next value.
    ///
    /// # Errors
    /// When it is not one of this type.
    pub fn value<T: Decode>(&mut self) -> Result<T, DecodeError> {
        T::take(self)
    }

    /// There must be nothing left.
    ///
    /// # Errors
    /// When there is.
    pub fn end(&self) -> Result<(), DecodeError> {
        match self.0.len() {
            0 => Ok(()),
            more => Err(DecodeError::Long(more)),
        }
    }

    /// Reads the tag and the form of a row.
    pub(super) fn head(&mut self, tag: &str) -> Result<u8, DecodeError> {
        if self.netstring()? != tag.as_bytes() {
            return Err(DecodeError::Tag);
        }
        let form: u8 = self.value()?;
        if (1..=CANON_V).contains(&form) {
            Ok(form)
        } else {
            Err(DecodeError::Form(form))
        }
    }
}

/// A number without a sign before it, zeros in front, or anything else.
fn decimal<T: FromStr>(bytes: &[u8]) -> Option<T> {
    let canonical = match bytes {
        [] => false,
        [b'0', _, ..] => false,
        digits => digits.iter().all(u8::is_ascii_digit),
    };
    canonical
        .then(|| std::str::from_utf8(bytes).ok()?.parse().ok())
        .flatten()
}

/// A value that can be read from canonical bytes; the other side of [`super::canonical::Canonical`].
pub trait Decode: Sized {
    /// Takes the netstrings of one value.
    ///
    /// # Errors
    /// When they are not those of such a value.
    fn take(input: &mut Reader<'_>) -> Result<Self, DecodeError>;
}

macro_rules! unsigned {
    ($($t:ty)*) => {$(
        impl Decode for $t {
            fn take(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
                decimal(input.netstring()?).ok_or(DecodeError::Value(stringify!($t)))
            }
        }
    )*};
}
unsigned!(u8 u16 u32 u64);

macro_rules! signed {
    ($($t:ty)*) => {$(
        impl Decode for $t {
            fn take(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
                let wrong = DecodeError::Value(stringify!($t));
                let bytes = input.netstring()?;
                let magnitude = match bytes.split_first() {
                    Some((b'-', rest)) if rest != b"0" => rest,
                    _ => bytes,
                };
                // Only to check the form: the sign belongs to the value.
                decimal::<u128>(magnitude).ok_or(wrong)?;
                let text = std::str::from_utf8(bytes).map_err(|_| wrong)?;
                text.parse().map_err(|_| wrong)
            }
        }
    )*};
}
signed!(i32 i64);

impl Decode for bool {
    fn take(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match input.netstring()? {
            b"0" => Ok(false),
            b"1" => Ok(true),
            _ => Err(DecodeError::Value("truth value")),
        }
    }
}

impl Decode for String {
    fn take(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let text = std::str::from_utf8(input.netstring()?);
        text.map(str::to_owned).map_err(|_| DecodeError::Value("text"))
    }
}

impl<const N: usize> Decode for [u8; N] {
    fn take(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let wrong = DecodeError::Value("lower-case hexadecimal number of its length");
        let digits = input.netstring()?;
        if digits.iter().any(u8::is_ascii_uppercase) {
            return Err(wrong);
        }
        let mut bytes = [0; N];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| wrong)?;
        Ok(bytes)
    }
}

impl Decode for Ipv6Addr {
    fn take(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        <[u8; 16]>::take(input).map(Self::from)
    }
}

impl Decode for Uuid {
    fn take(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        <[u8; 16]>::take(input).map(Self::from_bytes)
    }
}

impl<T: Decode> Decode for Vec<T> {
    fn take(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let count: u64 = input.value()?;
        // Each item needs three bytes at least: no number in the input makes room for more than that.
        if count > input.0.len() as u64 / 3 {
            return Err(DecodeError::Short);
        }
        (0..count).map(|_| T::take(input)).collect()
    }
}

impl<T: Decode> Decode for Option<T> {
    fn take(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if input.value::<bool>()? {
            T::take(input).map(Some)
        } else {
            Ok(None)
        }
    }
}

macro_rules! enum8 {
    ($($t:ty)*) => {$(
        impl Decode for $t {
            fn take(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
                let number: i32 = input.value()?;
                let number = i8::try_from(number).map_err(|_| DecodeError::Value(stringify!($t)))?;
                Self::try_from(number).map_err(|_| DecodeError::Value(stringify!($t)))
            }
        }
    )*};
}
enum8!(Severity SealKind);

impl Row {
    /// Reads the canonical bytes of a row of this table. The hash is that of the bytes; a seal comes without signature.
    ///
    /// # Errors
    /// When they are not exactly the bytes of such a row in a form that this program knows.
    pub fn from_canonical(table: Table, bytes: &[u8]) -> Result<Self, DecodeError> {
        let hash: [u8; 32] = Sha256::digest(bytes).into();
        macro_rules! record {
            ($row:ty) => {{
                let mut row = <$row>::from_canonical(RECORD_TAG, bytes)?;
                row.record_hash = hash;
                Ok(row.into())
            }};
        }
        match table {
            Table::Interactions => record!(InteractionRow),
            Table::Findings => record!(FindingRow),
            Table::Connections => record!(ConnectionRow),
            Table::BlindSpots => record!(BlindSpotRow),
            Table::Seals => {
                let mut row = SealRow::from_canonical(SEAL_TAG, bytes)?;
                row.seal_hash = hash;
                Ok(row.into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::{Coverage, Interval, SealedLoss, Sequencer};

    fn rows() -> Vec<Row> {
        let mut seq = Sequencer::new("host-1", Uuid::from_u128(77), 9);
        let interaction = seq.interaction(InteractionRow {
            ts: -5,
            time_to_first_chunk_ns: Some(0),
            server_address: "a:1,é".into(),
            process_ancestry: vec!["bash".into(), String::new()],
            gen_ai_usage_input_tokens: Some(u64::MAX),
            http_response_status_code: Some(200),
            network_peer_address: Ipv6Addr::LOCALHOST,
            gen_ai_request_stream: true,
            credential_hmac: [9; 16],
            ..InteractionRow::unknown()
        });
        let finding = seq.finding(FindingRow {
            severity: Severity::Critical,
            value_hmac: vec![[1; 16], [2; 16]],
            interaction_hash: interaction.record_hash,
            ..FindingRow::unknown()
        });
        let connection = seq.connection(ConnectionRow {
            socket_fd: i32::MIN,
            bytes_sent: None,
            ..ConnectionRow::unknown()
        });
        let blind = seq.blind_spot(BlindSpotRow::unknown());
        let interval = Interval {
            start: i64::MIN,
            end: i64::MAX,
            mono_start_ns: 1,
            mono_end_ns: 2,
        };
        let loss = SealedLoss {
            stage: "store",
            reason: "over_budget",
            events: 4,
            bytes: 0,
        };
        let coverage = Coverage {
            losses: vec![loss],
            notes: vec!["key_lost"],
            ..Coverage::default()
        };
        let seal = seq.seal(SealKind::Close, interval, coverage);
        vec![
            interaction.into(),
            finding.into(),
            connection.into(),
            blind.into(),
            seal.into(),
        ]
    }

    fn canonical(row: &Row) -> Vec<u8> {
        let mut bytes = Vec::new();
        row.canonical(&mut bytes);
        bytes
    }

    #[test]
    fn what_was_hashed_is_read_back_as_it_was() {
        for row in rows() {
            let bytes = canonical(&row);
            assert_eq!(Row::from_canonical(row.table(), &bytes).as_ref(), Ok(&row));
            for other in Table::ALL.into_iter().filter(|table| *table != row.table()) {
                assert!(
                    Row::from_canonical(other, &bytes).is_err(),
                    "{row:?} as {other:?}"
                );
            }
        }
    }

    #[test]
    fn older_forms_are_read_and_keep_their_hash() {
        for mut row in rows() {
            for form in 1..CANON_V {
                match &mut row {
                    Row::Interaction(r) => r.canon_v = form,
                    Row::Finding(r) => r.canon_v = form,
                    Row::Connection(r) => r.canon_v = form,
                    Row::BlindSpot(r) => r.canon_v = form,
                    Row::Seal(r) => r.canon_v = form,
                }
                let bytes = canonical(&row);
                let back = Row::from_canonical(row.table(), &bytes).unwrap();
                assert_eq!(canonical(&back), bytes, "form {form}");
            }
        }
    }

    #[test]
    fn a_newer_form_is_told_apart_from_damage() {
        let text = format!("9:AIOBS-REC,1:{},", CANON_V + 1);
        let error = Row::from_canonical(Table::Findings, text.as_bytes());
        assert_eq!(error, Err(DecodeError::Form(CANON_V + 1)));
    }

    #[test]
    fn no_prefix_and_nothing_longer_is_a_row() {
        for row in rows() {
            let mut bytes = canonical(&row);
            for end in 0..bytes.len() {
                let error = Row::from_canonical(row.table(), &bytes[..end]).unwrap_err();
                assert!(matches!(error, DecodeError::Short), "{end}: {error}");
            }
            bytes.push(b'x');
            assert_eq!(
                Row::from_canonical(row.table(), &bytes),
                Err(DecodeError::Long(1))
            );
        }
    }

    #[test]
    fn there_is_one_way_to_write_a_value() {
        fn read<T: Decode>(text: &str) -> Result<T, DecodeError> {
            Reader::new(text.as_bytes()).value()
        }
        assert_eq!(read::<u16>("1:0,"), Ok(0));
        assert_eq!(read::<i64>("2:-1,"), Ok(-1));
        for wrong in [
            "2:00,", "2:+1,", "0:,", "1:x,", "5:65536,", "01:0,", "1:0;", "1;0,", ":,",
        ] {
            assert!(read::<u16>(wrong).is_err(), "{wrong}");
        }
        for wrong in ["2:-0,", "3:-01,", "1:-,", "20:99999999999999999999,"] {
            assert!(read::<i64>(wrong).is_err(), "{wrong}");
        }
        assert!(read::<[u8; 1]>("2:AA,").is_err() && read::<[u8; 1]>("4:aaaa,").is_err());
        assert!(read::<bool>("1:2,").is_err());
        assert_eq!(
            read::<Vec<String>>("19:9999999999999999999,0:,"),
            Err(DecodeError::Short)
        );
        assert!(read::<Severity>("1:9,").is_err());
    }
}
