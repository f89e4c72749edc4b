//! Answers of name servers (RFC 1035): which addresses a name was given for.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use simple_dns::{Packet, PacketFlag, rdata::RData};

use super::tls::host_name;

/// Most addresses taken from one answer.
const MAX_ADDRESSES: usize = 64;

/// An address that a name was given for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// Address.
    pub address: IpAddr,
    /// How long it may be used, seconds.
    pub ttl_s: u32,
}

/// The name that was asked for, in lower case, and its addresses. `None` when the message is no answer to one question,
/// is malformed or was cut.
pub fn answer(message: &[u8]) -> Option<(String, Vec<Resolved>)> {
    let packet = Packet::parse(message).ok()?;
    if !packet.has_flags(PacketFlag::RESPONSE) {
        return None;
    }
    let [question] = &packet.questions[..] else {
        return None;
    };
    let name = host_name(question.qname.to_string().as_bytes())?;
    // Aliases lead from the name that was asked to other names; the addresses at their end are those of the name.
    let addresses = packet.answers.iter().filter_map(|record| {
        let address = match &record.rdata {
            RData::A(a) => IpAddr::V4(Ipv4Addr::from(a.address)),
            RData::AAAA(a) => IpAddr::V6(Ipv6Addr::from(a.address)),
            _ => return None,
        };
        Some(Resolved {
            address,
            ttl_s: record.ttl,
        })
    });
    Some((name, addresses.take(MAX_ADDRESSES).collect()))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An answer: `api.openai.com` is an alias, with one IPv4 and one IPv6 address.
    pub(crate) fn sample() -> Vec<u8> {
        let mut m = vec![0x12, 0x34, 0x81, 0x80, 0, 1, 0, 3, 0, 0, 0, 0];
        m.extend(b"\x03API\x06openai\x03com\0\0\x01\0\x01");
        m.extend(b"\xc0\x0c\0\x05\0\x01\0\0\x01\x2c\0\x06\x03cdn\xc0\x10");
        m.extend(b"\xc0\x2c\0\x01\0\x01\0\0\0\x1e\0\x04\xc0\0\x02\x07");
        m.extend(b"\xc0\x2c\0\x1c\0\x01\0\0\0\x3c\0\x10");
        m.extend(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7).octets());
        m
    }

    #[test]
    fn the_addresses_at_the_end_of_an_alias_are_those_of_the_name_that_was_asked() {
        let (name, addresses) = answer(&sample()).unwrap();
        assert_eq!(name, "api.openai.com");
        let found: Vec<(String, u32)> = addresses
            .iter()
            .map(|r| (r.address.to_string(), r.ttl_s))
            .collect();
        assert_eq!(
            found,
            [("192.0.2.7".to_owned(), 30), ("2001:db8::7".to_owned(), 60)]
        );
    }

    #[test]
    fn a_question_is_no_answer() {
        let mut question = sample();
        question[2] = 1;
        assert_eq!(answer(&question), None);
    }

    #[test]
    fn cut_and_flipped_messages_never_panic() {
        let bytes = sample();
        for n in 0..bytes.len() {
            let _ = answer(&bytes[..n]);
        }
        for at in 0..bytes.len() {
            for bit in [1, 0xc0, 0xff] {
                let mut flipped = bytes.clone();
                flipped[at] ^= bit;
                let _ = answer(&flipped);
            }
        }
    }
}
