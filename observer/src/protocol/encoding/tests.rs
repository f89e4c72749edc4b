use std::io::Write;

use flate2::Compression;

use super::*;

const TEXT: &[u8] = b"data: hello brotli world, hello brotli world\n\n";
/// `TEXT` in brotli, made with the reference encoder.
const BROTLI: &str = "1b2d00e08c946ede34d818fbaedd5dbd20084a101d3ad88003f6348b74c1736349911dedfabb614f1000";
/// 8 MiB of the letter a.
const BROTLI_BOMB: &str = "9bffff7ff825c2e2b14020f7fe0f";

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::GzBuilder::new()
        .extra(vec![1, 2, 3])
        .filename("name")
        .comment("comment")
        .write(Vec::new(), Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn zlib(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn raw_deflate(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn zstd(data: &[u8]) -> Vec<u8> {
    zstd::encode_all(data, 3).unwrap()
}

fn decode(coding: &str, pieces: &[&[u8]]) -> (Vec<u8>, Option<EncodingLoss>, bool) {
    let mut decoder = ContentDecoder::new(Some(coding));
    let (mut out, mut loss) = (Vec::new(), None);
    for piece in pieces {
        loss = loss.or(decoder.push(piece, &mut |p| out.extend_from_slice(p)).err());
    }
    (out, loss, decoder.is_complete())
}

fn codings() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("gzip", gzip(TEXT)),
        (
            "X-GZIP",
            [gzip(&TEXT[..9]), gzip(&TEXT[9..]), vec![0; 7]].concat(),
        ),
        ("deflate", zlib(TEXT)),
        ("deflate", raw_deflate(TEXT)),
        ("br", hex::decode(BROTLI).unwrap()),
        ("zstd", zstd(TEXT)),
        ("zstd", [zstd(&TEXT[..9]), zstd(&TEXT[9..])].concat()),
        ("identity", TEXT.to_vec()),
        ("", TEXT.to_vec()),
        ("gzip, identity, zstd", zstd(&gzip(TEXT))),
    ]
}

#[test]
fn every_coding_at_every_split() {
    for (coding, coded) in codings() {
        let single: Vec<&[u8]> = coded.chunks(1).collect();
        assert_eq!(
            decode(coding, &single),
            (TEXT.to_vec(), None, true),
            "{coding} byte by byte"
        );
        for cut in 0..=coded.len() {
            let seen = decode(coding, &[&coded[..cut], &coded[cut..]]);
            assert_eq!(seen, (TEXT.to_vec(), None, true), "{coding} cut at {cut}");
        }
    }
}

#[test]
fn a_cut_body_is_not_complete() {
    for (coding, coded) in codings() {
        if coding != "identity" && !coding.is_empty() && coding != "X-GZIP" && coded.len() < 100 {
            let (_, loss, complete) = decode(coding, &[&coded[..coded.len() - 2]]);
            assert!(loss.is_some() || !complete, "{coding}");
        }
    }
}

#[test]
fn flushed_bytes_come_out_at_once() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Compression::default());
    let mut decoder = ContentDecoder::new(Some("gzip"));
    let mut sent = 0;
    for n in 0..5 {
        let event = format!("data: {n}\n\n");
        encoder.write_all(event.as_bytes()).unwrap();
        encoder.flush().unwrap();
        let mut out = Vec::new();
        let coded = encoder.get_ref();
        decoder
            .push(&coded[sent..], &mut |p| out.extend_from_slice(p))
            .unwrap();
        sent = coded.len();
        assert_eq!(out, event.as_bytes());
    }
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    encoder.write_all(b"data: 1\n\n").unwrap();
    encoder.flush().unwrap();
    assert_eq!(decode("zstd", &[encoder.get_ref()]).0, b"data: 1\n\n");
}

#[test]
fn bombs_are_stopped() {
    let zeros = vec![b'a'; 8 * 1024 * 1024];
    let bombs = [
        ("gzip", gzip(&zeros)),
        ("deflate", zlib(&zeros)),
        ("zstd", zstd(&zeros)),
        ("br", hex::decode(BROTLI_BOMB).unwrap()),
        ("gzip, gzip", gzip(&gzip(&zeros))),
    ];
    for (coding, bomb) in bombs {
        let (out, loss, _) = decode(coding, &[&bomb]);
        assert_eq!(loss, Some(EncodingLoss::OverBudget), "{coding}");
        let limit = RATIO_FLOOR.max(MAX_RATIO * bomb.len() as u64);
        assert!(out.len() as u64 <= limit, "{coding}: {} of {limit}", out.len());
    }
}

#[test]
fn the_total_is_bounded() {
    // Hardly compressible text, so that the ratio does not strike first.
    let mut seed = 1u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        seed.to_be_bytes()[0] & 0x3f
    })
    .take(1024 * 1024)
    .collect();
    let coded = zstd(&noise);
    let mut decoder = ContentDecoder::new(Some("zstd"));
    let (mut total, mut loss) = (0u64, None);
    for _ in 0..70 {
        loss = loss.or(decoder.push(&coded, &mut |p| total += p.len() as u64).err());
    }
    assert_eq!(loss, Some(EncodingLoss::OverBudget));
    assert!(total <= MAX_DECODED, "{total}");
    assert_eq!(decoder.failed(), Some(EncodingLoss::OverBudget));
}

#[test]
fn windows_beyond_the_limit_are_refused() {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(ZSTD_WINDOW_LOG + 2).unwrap();
    encoder.write_all(TEXT).unwrap();
    encoder.flush().unwrap();
    encoder.write_all(TEXT).unwrap();
    let coded = encoder.finish().unwrap();
    assert_eq!(decode("zstd", &[&coded]).1, Some(EncodingLoss::OverBudget));
    // Large-window brotli: 0x11, then a window of 30 bits.
    assert_eq!(
        decode("br", &[&[0x11, 0x1e, 0, 0, 0, 0, 0, 0]]).1,
        Some(EncodingLoss::Corrupt)
    );
}

/// A zstd frame with the largest window allowed that fills it: 50 KB as they are, then runs of one byte, with no end.
fn window_filler() -> Vec<u8> {
    let block = |size: u32, kind: u32| (size << 3 | kind << 1).to_le_bytes()[..3].to_vec();
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 0x68];
    frame.extend(block(50_000, 0));
    frame.extend(vec![b'n'; 50_000]);
    for _ in 0..70 {
        frame.extend(block(128 * 1024, 1));
        frame.push(b'a');
    }
    frame
}

#[test]
fn the_windows_of_all_decoders_together_are_bounded() {
    let filler = window_filler();
    let open = || ContentDecoder::new(Some("zstd"));
    let fill = |decoder: &mut ContentDecoder| decoder.push(&filler, &mut |_| {});
    let room = MAX_WINDOWS >> ZSTD_WINDOW_LOG;
    let mut decoders: Vec<_> = (0..room).map(|_| open()).collect();
    for decoder in &mut decoders {
        assert_eq!(fill(decoder), Ok(()));
    }
    assert_eq!(fill(&mut open()), Err(EncodingLoss::OverBudget), "one too many");
    assert_eq!(
        fill(&mut open()),
        Err(EncodingLoss::OverBudget),
        "the one before took no room"
    );
    // An end gives room back, by a hole as well as by leaving.
    decoders[0].gap();
    let mut next = open();
    assert_eq!(fill(&mut next), Ok(()));
    assert_eq!(fill(&mut open()), Err(EncodingLoss::OverBudget));
    drop(next);
    assert_eq!(fill(&mut open()), Ok(()));
    // Codings without a window of that size go on all the time.
    let mut next = open();
    assert_eq!(fill(&mut next), Ok(()));
    assert_eq!(decode("gzip", &[&gzip(TEXT)]).0, TEXT);
}

#[test]
fn hostile_and_unknown_codings() {
    assert_eq!(decode("compress", &[b"x"]).1, Some(EncodingLoss::Unsupported));
    assert_eq!(
        decode("gzip,gzip,gzip,gzip,gzip", &[b"x"]).1,
        Some(EncodingLoss::Unsupported)
    );
    for coding in ["gzip", "deflate", "br", "zstd"] {
        let garbage = b"\xff\xfe\xfd this is not a coded body at all, whatever the head says";
        assert!(decode(coding, &[garbage]).1.is_some(), "{coding}");
    }
    let trailing = [&hex::decode(BROTLI).unwrap()[..], b"x"].concat();
    assert_eq!(decode("br", &[&trailing]).1, Some(EncodingLoss::Ended));
    let mut wrong_sum = gzip(TEXT);
    let at = wrong_sum.len() - 6;
    wrong_sum[at] ^= 1;
    assert_eq!(decode("gzip", &[&wrong_sum]).1, Some(EncodingLoss::Corrupt));
    let mut decoder = ContentDecoder::new(Some("gzip"));
    decoder.gap();
    assert_eq!(decoder.push(b"x", &mut |_| {}), Err(EncodingLoss::Corrupt));
}

#[test]
fn damaged_bodies_never_panic() {
    let mut seed = 7u64;
    let mut next = |limit: usize| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap() % limit
    };
    for (coding, coded) in codings() {
        for _ in 0..2000 {
            let mut damaged = coded.clone();
            for _ in 0..=next(3) {
                let at = next(damaged.len());
                damaged[at] = u8::try_from(next(256)).unwrap();
            }
            let cut = next(damaged.len());
            let (out, ..) = decode(coding, &[&damaged[..cut], &damaged[cut..]]);
            assert!(out.len() as u64 <= MAX_DECODED);
        }
    }
}
