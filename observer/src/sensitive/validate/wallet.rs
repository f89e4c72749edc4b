//! Addresses of crypto-currencies: Base58Check, Bech32, Ethereum's letter case.

use sha2::{Digest, Sha256};
use sha3::Keccak256;

use super::Check;
use super::sums::{graded, verdict};

const BITCOIN: &[u8] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const RIPPLE: &[u8] = b"rpshnaf39wBUDNEGHJKLM4PQRST7VWXYZ2bcdeCg65jkm8oFqi1tuvAxyz";
const BECH32: &[u8] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";

/// Version bytes of Base58Check addresses: Bitcoin, its test net, Litecoin, Dogecoin, Dash, Zcash, Tron.
const VERSIONS: &[&[u8]] = &[
    &[0x00],
    &[0x05],
    &[0x6f],
    &[0xc4],
    &[0x30],
    &[0x32],
    &[0x1e],
    &[0x16],
    &[0x4c],
    &[0x10],
    &[0x1c, 0xb8],
    &[0x1c, 0xbd],
    &[0x41],
];

/// Address with the checksum of its currency: Base58Check, Bech32 or Bech32m (BIP 173, BIP 350), Ripple.
pub(super) fn wallet(value: &[u8]) -> Check {
    let base_58 = || {
        let (versions, alphabet): (&[&[u8]], _) = if value.starts_with(b"r") {
            (&[&[0]], RIPPLE)
        } else {
            (VERSIONS, BITCOIN)
        };
        base58_payload(value, alphabet).is_some_and(|payload| {
            let fits = |v: &&[u8]| payload.starts_with(v) && payload.len() == v.len() + 20;
            versions.iter().any(fits)
        })
    };
    verdict(Some(bech32(value) || base_58()))
}

/// Bytes of a Base58 text, for at most 128 characters.
fn base58(text: &[u8], alphabet: &[u8]) -> Option<Vec<u8>> {
    if text.is_empty() || text.len() > 128 {
        return None;
    }
    let mut bytes: Vec<u8> = Vec::with_capacity(96);
    for letter in text {
        let mut carry = u32::try_from(alphabet.iter().position(|b| b == letter)?).ok()?;
        for byte in &mut bytes {
            carry += u32::from(*byte) * 58;
            *byte = u8::try_from(carry & 0xff).ok()?;
            carry >>= 8;
        }
        if carry > 0 {
            bytes.push(u8::try_from(carry).ok()?);
        }
    }
    let zeros = text.iter().take_while(|b| **b == alphabet[0]).count();
    bytes.extend(std::iter::repeat_n(0, zeros));
    bytes.reverse();
    Some(bytes)
}

/// The bytes before the checksum, where it is right.
fn base58_payload(text: &[u8], alphabet: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = base58(text, alphabet)?;
    let check = bytes.split_off(bytes.len().checked_sub(4)?);
    let twice = Sha256::digest(Sha256::digest(&bytes));
    (twice[..4] == check[..]).then_some(bytes)
}

/// The bytes before the checksum of a text in Base58Check with Bitcoin's alphabet, where it is right.
pub(super) fn base58check(text: &[u8]) -> Option<Vec<u8>> {
    base58_payload(text, BITCOIN)
}

/// Whether the checksum of Bech32 or Bech32m is right.
pub(super) fn bech32(text: &[u8]) -> bool {
    let mixed = text.iter().any(u8::is_ascii_lowercase) && text.iter().any(u8::is_ascii_uppercase);
    let lower = text.to_ascii_lowercase();
    let Some(one) = lower.iter().rposition(|b| *b == b'1') else {
        return false;
    };
    let (human, data) = (&lower[..one], &lower[one + 1..]);
    let values: Option<Vec<u32>> = data
        .iter()
        .map(|b| {
            BECH32
                .iter()
                .position(|c| c == b)
                .and_then(|i| u32::try_from(i).ok())
        })
        .collect();
    let Some(values) = values.filter(|v| v.len() >= 14 && !human.is_empty() && !mixed) else {
        return false;
    };
    let high = human.iter().map(|b| u32::from(b >> 5));
    let low = human.iter().map(|b| u32::from(b & 31));
    let sum = high.chain([0]).chain(low).chain(values).fold(1, polymod);
    sum == 1 || sum == 0x2bc8_30a3
}

fn polymod(sum: u32, value: u32) -> u32 {
    const GENERATOR: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
    let top = sum >> 25;
    GENERATOR
        .iter()
        .enumerate()
        .filter(|(i, _)| (top >> i) & 1 == 1)
        .fold(((sum & 0x01ff_ffff) << 5) ^ value, |sum, (_, g)| sum ^ g)
}

/// Ethereum address: letters of both cases must follow the hash of the address (EIP-55); of one case it is plausible.
pub(super) fn ethereum(value: &[u8]) -> Check {
    let Some(text) = value
        .strip_prefix(b"0x")
        .filter(|t| t.len() == 40 && t.iter().any(|b| *b != t[0]))
    else {
        return Check::Reject;
    };
    let upper = text.iter().any(u8::is_ascii_uppercase);
    let lower = text.iter().any(u8::is_ascii_lowercase);
    if !(upper && lower) {
        return graded(Some(false));
    }
    let hash = Keccak256::digest(text.to_ascii_lowercase());
    let nibble = |i: usize| (hash[i / 2] >> (4 * (1 - i % 2))) & 0xf;
    let fits = text
        .iter()
        .enumerate()
        .all(|(i, b)| !b.is_ascii_alphabetic() || b.is_ascii_uppercase() == (nibble(i) >= 8));
    verdict(Some(fits))
}

#[cfg(test)]
mod tests {
    use super::super::tests::check_all;
    use super::super::{Check, Validator};

    // Examples of BIP 173, BIP 350, EIP-55 and of the first block.
    #[test]
    fn addresses_with_a_right_checksum() {
        let good = [
            "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
            "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy",
            "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq",
            "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4",
            "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
            "rHb9CJAWyB4rj91VRWn96DkukG4bwdtyTh",
        ];
        check_all(Validator::Wallet, Check::Valid, &good);
        let bad = [
            "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb",
            "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdp",
            "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdQ",
            "",
            "1",
            "r",
            "bc1",
        ];
        check_all(Validator::Wallet, Check::Reject, &bad);
    }

    #[test]
    fn letter_case_of_ethereum() {
        let good = [
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
        ];
        check_all(Validator::Ethereum, Check::Valid, &good);
        check_all(
            Validator::Ethereum,
            Check::Plausible,
            &["0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed"],
        );
        let bad = [
            "0x5AAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "0x5aAe",
            "0x0000000000000000000000000000000000000000",
        ];
        check_all(Validator::Ethereum, Check::Reject, &bad);
    }
}
