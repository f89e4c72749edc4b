//! Places that enforcement never closes, as written: `10.0.0.0/8`, `192.0.2.7:8443`, `[2001:db8::]/32`, `*.corp.example`, `:8443`.

use std::net::{IpAddr, Ipv6Addr};

use super::glob::Glob;

/// A place that is always open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    /// Where.
    pub place: Place,
    /// At this port; none: at all.
    pub port: Option<u16>,
}

/// Addresses of an [`Allowed`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// All.
    Any,
    /// A network: its address (IPv4 as mapped) and how many bits of it count, of 128.
    Network(Ipv6Addr, u8),
    /// Whatever name servers give for these names.
    Name(Glob),
}

impl Allowed {
    /// A single address, at this port or at all.
    pub fn address(address: IpAddr, port: Option<u16>) -> Self {
        Self {
            place: Place::Network(mapped(address), 128),
            port,
        }
    }

    /// All addresses at this port.
    pub fn port(port: u16) -> Self {
        Self {
            place: Place::Any,
            port: Some(port),
        }
    }

    /// A name or an address, as a URL has it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn host(host: &str, port: Option<u16>) -> Result<Self, String> {
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        if let Ok(address) = bare.unwrap_or(host).parse() {
            return Ok(Self::address(address, port));
        }
        Ok(Self {
            place: Place::Name(name(host)?),
            port,
        })
    }

    /// Reads an entry of `enforcement.allow`.
    ///
    /// # Errors
    /// What is wrong with it, to stand behind the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (place, port) = split_port(text)?;
        if place.is_empty() {
            return port
                .map(Self::port)
                .ok_or_else(|| "is empty: leave it out".to_owned());
        }
        if let Some((address, bits)) = place.split_once('/') {
            return Ok(Self {
                place: network(address, bits)?,
                port,
            });
        }
        Self::host(place, port)
    }

    /// Whether the place has this address; names have none by themselves.
    pub fn has_address(&self, address: Ipv6Addr) -> bool {
        match &self.place {
            Place::Any => true,
            Place::Network(network, bits) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(*bits)).unwrap_or(0);
                (network.to_bits() ^ address.to_bits()) & mask == 0
            }
            Place::Name(_) => false,
        }
    }

    /// Whether the place has this name.
    pub fn has_name(&self, name: &str) -> bool {
        matches!(&self.place, Place::Name(glob) if glob.matches(name))
    }
}

/// IPv4 as mapped.
pub fn mapped(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

/// Splits a port off; an IPv6 address with a port stands in brackets.
fn split_port(text: &str) -> Result<(&str, Option<u16>), String> {
    let inside = text.rfind(']').map_or(0, |at| at + 1);
    let Some(colon) = text[inside..].find(':') else {
        return Ok((text, None));
    };
    let (place, port) = (&text[..inside + colon], &text[inside + colon + 1..]);
    if inside == 0 && port.contains(':') {
        // An address without brackets, and so without a port.
        return Ok((text, None));
    }
    match port.parse() {
        Ok(port) if port > 0 => Ok((place, Some(port))),
        _ => Err("has a port that is none: 1 to 65535".to_owned()),
    }
}

fn network(address: &str, bits: &str) -> Result<Place, String> {
    let fault = || "must be a network such as 10.0.0.0/8 or [2001:db8::]/32".to_owned();
    let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address: IpAddr = bare.unwrap_or(address).parse().map_err(|_| fault())?;
    let bits: u8 = bits.parse().map_err(|_| fault())?;
    let (most, before) = if address.is_ipv4() { (32, 96) } else { (128, 0) };
    if bits > most {
        return Err(fault());
    }
    Ok(Place::Network(mapped(address), bits + before))
}

fn name(host: &str) -> Result<Glob, String> {
    let letter = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'*' | b'?');
    if host.is_empty() || host.len() > 253 || !host.bytes().all(letter) {
        return Err("must be an address, a network, a host name or a port, such as 10.0.0.0/8, [2001:db8::7]:8443, *.corp.example or :8443".to_owned());
    }
    Glob::new(&host.to_ascii_lowercase(), false).map_err(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(text: &str, address: &str) -> bool {
        Allowed::parse(text)
            .unwrap()
            .has_address(mapped(address.parse().unwrap()))
    }

    #[test]
    fn addresses_and_networks() {
        for (text, inside, outside) in [
            ("10.0.0.0/8", "10.255.1.2", "11.0.0.1"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("192.0.2.7:8443", "192.0.2.7", "192.0.2.8"),
            ("2001:db8::/32", "2001:db8::1", "2001:db9::1"),
            ("[2001:db8::]/32", "2001:db8::1", "2001:db9::1"),
            ("[2001:db8::7]:8443", "2001:db8::7", "2001:db8::8"),
            ("2001:db8::7", "2001:db8::7", "::7"),
            ("10.0.0.0/8", "::ffff:10.0.0.1", "::10.0.0.1"),
        ] {
            assert!(has(text, inside) && !has(text, outside), "{text}");
        }
        assert!(has("0.0.0.0/0", "8.8.8.8") && !has("0.0.0.0/0", "2001:db8::1"));
        assert!(has("::/0", "8.8.8.8") && has(":8443", "8.8.8.8"));
    }

    #[test]
    fn ports_and_names() {
        let port = |text: &str| Allowed::parse(text).unwrap().port;
        let ports = [
            "[2001:db8::7]:8443",
            "10.0.0.0/8:53",
            ":53",
            "2001:db8::7",
            "h.example",
        ]
        .map(port);
        assert_eq!(ports, [Some(8443), Some(53), Some(53), None, None]);
        let name = Allowed::parse("*.Corp.example:443").unwrap();
        assert!(
            name.has_name("api.corp.example") && !name.has_name("corp.example") && name.port == Some(443)
        );
        assert!(!name.has_address(mapped("10.0.0.1".parse().unwrap())));
    }

    #[test]
    fn what_is_no_place_says_so() {
        for text in [
            "",
            ":0",
            ":70000",
            "h:x",
            "10.0.0.0/33",
            "10.0.0/8",
            "https://x",
            "a b",
            "[::1",
            "x/8",
        ] {
            assert!(Allowed::parse(text).is_err(), "{text}");
        }
    }
}
