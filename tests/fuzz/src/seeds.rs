//! First inputs, made from the same templates as the scripts, so that the fuzzer begins behind the first checks.

use std::{fs, path::Path};

use observer::protocol::Side;

use crate::{go, machine, ring, templates};

/// Folder that `cargo xtask fuzz` names for the seeds of a target.
pub const FOLDER_VARIABLE: &str = "OBSERVER_FUZZ_SEEDS";

/// Writes the seeds of a target where the environment says; does nothing where it does not.
pub fn write(target: &str) {
    let Some(folder) = std::env::var_os(FOLDER_VARIABLE) else {
        return;
    };
    let folder = Path::new(&folder);
    fs::create_dir_all(folder).expect("folder of the seeds");
    for (number, seed) in of(target).iter().enumerate() {
        fs::write(folder.join(format!("seed-{number}")), seed).expect("seed");
    }
}

fn of(target: &str) -> Vec<Vec<u8>> {
    match target {
        "records" => records(),
        "btf" => btf(),
        "elf" => [elf(), go::program(), ring::program()]
            .into_iter()
            .chain(machine::programs())
            .collect(),
        "names" => names(),
        "http1" => scripts(&[], 4, 5),
        "http2" => http2(),
        "websocket" => websocket(),
        "stdio" => stdio(),
        "connection" => {
            let http2 = [
                1, 1, 0, 1, 1, 1, 2, 1, 3, 1, 4, 9, 0, 9, 1, 9, 2, 9, 3, 9, 4, 9, 5,
            ];
            let all = (0..4u8).flat_map(|name| scripts(&[name], 2, 3));
            all.chain([http2.to_vec()])
                .chain(machine::calls().iter().map(said))
                .collect()
        }
        "encoding" => encoding(),
        "sse" | "json" | "scan" => texts(target),
        "frames" => frames(),
        "pipeline" => pipeline(),
        "loaders" => loaders(),
        "rules" => {
            let packs = observer::sensitive::rules::BUILTIN.iter();
            let packs = packs.map(|(_, text)| text.as_bytes().to_vec());
            packs.chain([RULE.as_bytes().to_vec()]).collect()
        }
        "store" => store(),
        "bundle" => bundle(),
        "spool" => vec![crate::spool::seed()],
        _ => Vec::new(),
    }
}

/// A recorded call as a script of [`crate::connection`]: all of the request, all of the response.
fn said(call: &machine::Call) -> Vec<u8> {
    let mut script = vec![0];
    for (op, bytes) in [(0x11, &call.request), (0x19, &call.response)] {
        script.push(op);
        script.extend(u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes());
        script.extend_from_slice(bytes);
    }
    script
}

/// Hellos of real clients, and the answer of a name server: an alias with one address of each kind.
fn names() -> Vec<Vec<u8>> {
    let mut answer = vec![0x12, 0x34, 0x81, 0x80, 0, 1, 0, 3, 0, 0, 0, 0];
    answer.extend(b"\x03API\x06openai\x03com\0\0\x01\0\x01");
    answer.extend(b"\xc0\x0c\0\x05\0\x01\0\0\x01\x2c\0\x06\x03cdn\xc0\x10");
    answer.extend(b"\xc0\x2c\0\x01\0\x01\0\0\0\x1e\0\x04\xc0\0\x02\x07");
    answer.extend(b"\xc0\x2c\0\x1c\0\x01\0\0\0\x3c\0\x10\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07");
    let hellos = machine::hellos();
    let hellos = hellos.iter().map(|hello| [&[0, 20], hello.as_slice()].concat());
    hellos.chain([[&[1, 0], answer.as_slice()].concat()]).collect()
}

/// One body for each decoder of frames.
fn frames() -> Vec<Vec<u8>> {
    let form = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nx\r\n--b--\r\n";
    // An event without headers and with a payload of one byte; both checksums are right.
    let event = [
        0, 0, 0, 17, 0, 0, 0, 0, 0x38, 0xa2, 0x61, 0x5b, b'x', 0xff, 0xaf, 0x52, 0x1b,
    ];
    [
        &[0, 9, 0, 0, 0, 0, 2, b'h', b'i'][..],
        &[&[1, 9][..], &event].concat(),
        &[&[2, 9][..], form.as_bytes()].concat(),
        b"\x03\x09a=1&b=%e2%82%ac+x",
    ]
    .map(<[u8]>::to_vec)
    .to_vec()
}

const RULE: &str =
    "version: \"1\"\nrules:\n  - id: x\n    class: secret\n    severity: high\n    pattern: 'ab[0-9]{3}'\n";

/// A record of this kind with this body and payload.
fn record(kind: u16, body: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0; 80];
    out[..2].copy_from_slice(&kind.to_ne_bytes());
    out.extend_from_slice(body);
    out.extend_from_slice(payload);
    out
}

fn data_body(length: u32) -> Vec<u8> {
    let mut body = vec![0; 40];
    body[24..28].copy_from_slice(&length.to_ne_bytes());
    body
}

fn records() -> Vec<Vec<u8>> {
    let sizes = [(3u16, 32usize), (4, 48), (5, 24), (6, 0), (7, 0), (8, 0)];
    let mut all: Vec<Vec<u8>> = sizes
        .iter()
        .map(|(kind, size)| record(*kind, &vec![0; *size], b""))
        .collect();
    all.push(record(1, &data_body(5), b"hello"));
    let mut name = vec![0; 16];
    name[8..12].copy_from_slice(&3u32.to_ne_bytes());
    all.push(record(2, &name, b"a.b"));
    all
}

/// `sock` with an anonymous union of a structure and a number, behind a typedef.
fn btf() -> Vec<Vec<u8>> {
    let strings = b"\0int\0sock\0__sk_common\0skc_family\0skc_num\0task_struct\0group_leader\0";
    let name = |n: &str| {
        let text = format!("\0{n}\0");
        let at = strings.windows(text.len()).position(|w| w == text.as_bytes());
        u32::try_from(at.map_or(0, |at| at + 1)).unwrap_or(0)
    };
    let mut types = vec![name("int"), 1 << 24, 4, 32];
    types.extend([0, 4 << 24 | 1, 8, name("skc_num"), 1, 0]);
    types.extend([0, 5 << 24 | 2, 8, 0, 2, 0, name("skc_family"), 1, 0]);
    types.extend([0, 8 << 24, 3]);
    types.extend([name("sock"), 4 << 24 | 1, 12, name("__sk_common"), 4, 0]);
    types.extend([name("task_struct"), 4 << 24 | 1, 12, name("group_leader"), 1, 64]);
    let body: Vec<u8> = types.iter().flat_map(|word: &u32| word.to_ne_bytes()).collect();
    let mut out = 0xeb9fu16.to_ne_bytes().to_vec();
    out.extend([1, 0]);
    let length = u32::try_from(body.len()).unwrap_or(0);
    for word in [24, 0, length, length, u32::try_from(strings.len()).unwrap_or(0)] {
        out.extend(word.to_ne_bytes());
    }
    out.extend(&body);
    out.extend(strings);
    vec![out]
}

/// A 64-bit library with one executable segment and a dynamic symbol `main`.
fn elf() -> Vec<u8> {
    let mut out = vec![0u8; 64];
    out[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    let word = |out: &mut Vec<u8>, at: usize, value: u64, size: usize| {
        out[at..at + size].copy_from_slice(&value.to_le_bytes()[..size]);
    };
    for (at, value, size) in [(16, 3, 2), (18, 62, 2), (20, 1, 4), (32, 64, 8), (40, 256, 8)] {
        word(&mut out, at, value, size);
    }
    for (at, value) in [(52, 64), (54, 56), (56, 1), (58, 64), (60, 4), (62, 3)] {
        word(&mut out, at, value, 2);
    }
    out.resize(256 + 4 * 64, 0);
    // Program header: loadable, read and execute, from 0.
    for (at, value, size) in [
        (64, 1, 4),
        (68, 5, 4),
        (96, 512, 8),
        (104, 512, 8),
        (112, 4096, 8),
    ] {
        word(&mut out, at, value, size);
    }
    // Strings at 128, symbols at 144.
    out[129..133].copy_from_slice(b"main");
    for (at, value, size) in [
        (168, 1, 4),
        (172, 0x12, 1),
        (174, 1, 2),
        (176, 0x80, 8),
        (184, 16, 8),
    ] {
        word(&mut out, at, value, size);
    }
    let sections: [(usize, [u64; 6]); 3] = [
        // type, offset, size, link, info, entry size
        (1, [11, 144, 48, 2, 1, 24]),
        (2, [3, 128, 12, 0, 0, 0]),
        (3, [3, 128, 12, 0, 0, 0]),
    ];
    for (number, [kind, offset, size, link, info, entry]) in sections {
        let at = 256 + number * 64;
        for (field, value, size) in [
            (4, kind, 4),
            (24, offset, 8),
            (32, size, 8),
            (40, link, 4),
            (44, info, 4),
            (56, entry, 8),
        ] {
            word(&mut out, at + field, value, size);
        }
    }
    out
}

/// Scripts that push one request and one response each, by these operations; then some with a hole between.
fn scripts(front: &[u8], request: u8, response: u8) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for number in 0..templates::count(Side::Request).max(templates::count(Side::Response)) {
        all.push([front, &[request, number, response, number]].concat());
    }
    all.push(
        [
            front,
            &[
                request, 0, request, 0, 0x46, 0, 9, response, 0, 0x47, 0, 9, response, 1,
            ],
        ]
        .concat(),
    );
    all
}

/// Scripts of [`crate::http2`]: a conversation of the templates, with and without its beginning and a hole.
fn http2() -> Vec<Vec<u8>> {
    let talk = [2, 0, 3, 0, 2, 1, 2, 2, 2, 3, 2, 4, 3, 1, 3, 2, 3, 3, 3, 4, 3, 5];
    let hole = [0x47, 5];
    let frames = [
        1, 5, 1, 4, 1, 2, 0x83, 0x87, 0, 1, 1, 2, b'{', b'}', 1, 0x84, 1, 1, 0x88,
    ];
    vec![
        [&[0, 0], &talk[..]].concat(),
        [&[0, 3], &talk[4..]].concat(),
        [&[0, 0], &talk[..18], &hole, &talk[18..]].concat(),
        frames.to_vec(),
    ]
}

/// Scripts for [`crate::stdio`]: a session, the same with its last messages cut, and every message alone.
fn stdio() -> Vec<Vec<u8>> {
    // Message, and whether the server says it.
    let says = |message: u8, server: u8| message << 3 | 2 << 1 | server;
    let session = vec![1, says(0, 0), says(1, 1), says(5, 0), says(2, 0), says(7, 1), says(3, 1), says(6, 0)];
    let cut = [&session[..5], &[0x80 | says(3, 1), 0, 20, 3, says(3, 1)]].concat();
    let alone = (0..8).map(|message| vec![3, says(0, 0), says(message, 1)]);
    [session, cut].into_iter().chain(alone).collect()
}

/// Frames for [`crate::websocket`]: plain, masked, in parts, compressed.
fn websocket() -> Vec<Vec<u8>> {
    let frames: [&[u8]; 5] = [
        b"\x81\x05Hello",
        b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58",
        b"\x01\x03Hel\x89\0\x80\x02lo\x88\x02\x03\xe8",
        b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\0\xc1\x05\xf2\0\x11\0\0",
        b"\x82\x7e\0\x7eabc",
    ];
    frames.iter().map(|frame| [&[2, 5], *frame].concat()).collect()
}

fn encoding() -> Vec<Vec<u8>> {
    let body = b"data: {}\n\n".repeat(30);
    let gzip = templates::gzip(&body);
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut zlib, &body).expect("memory");
    let zlib = zlib.finish().expect("memory");
    // A brotli stream and a zstd frame that hold raw bytes ("abc").
    let brotli = [0x0b, 0x01, 0x80, b'a', b'b', b'c', 0x03];
    let zstd = [
        0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x03, 0x19, 0x00, 0x00, b'a', b'b', b'c',
    ];
    let bodies: [&[u8]; 5] = [&gzip, &zlib, &brotli, &zstd, &templates::gzip(&gzip)];
    (0..8u8)
        .flat_map(|coding| bodies.map(|body| [&[coding, 3], body].concat()))
        .collect()
}

fn texts(target: &str) -> Vec<Vec<u8>> {
    // How it is cut, and what of it is lost.
    let front: &[u8] = if target == "sse" { &[5, 0] } else { &[5] };
    let all = (0..templates::count(Side::Response)).map(|n| templates::get(Side::Response, n));
    let all = all.chain((0..templates::count(Side::Request)).map(|n| templates::get(Side::Request, n)));
    let stream = |body: &[u8]| body.starts_with(b"data:") || body.starts_with(b"event:");
    // The scan would take a minute for all of them.
    let most = if target == "scan" { 40 } else { usize::MAX };
    let recorded = machine::calls()
        .into_iter()
        .flat_map(|call| [call.request_body, call.response_body]);
    let recorded = recorded.filter(|body| stream(body) == (target == "sse"));
    let recorded = recorded.take(most);
    let recorded: Vec<Vec<u8>> = recorded.map(|body| [front, &body].concat()).collect();
    all.map(|message| {
        let body = message
            .windows(4)
            .position(|w| w == b"\r\n\r\n")
            .map_or(0, |at| at + 4);
        [front, &message[body..]].concat()
    })
    .chain(recorded)
    .collect()
}

/// Scripts of `crate::pipeline`.
fn pipeline() -> Vec<Vec<u8>> {
    let (connect, name, free, close) = (
        [6u8, 2, 2].as_slice(),
        [6u8, 0, 0].as_slice(),
        [6u8, 1, 0, 0, 0, 0, 0, 0, 0, 0].as_slice(),
        [6u8, 3, 0, 0, 0, 0, 0, 0, 4, 0].as_slice(),
    );
    let mut all = Vec::new();
    for number in 0..templates::count(Side::Request) {
        for answer in [0, 1, 2, number] {
            let exchange = [0u8, number, 3, 8, answer, 11];
            all.push([connect, name, &exchange, free, close, &[6, 6, 0, 255]].concat());
        }
        // In pieces, with a repeat and a hole.
        all.push(
            [
                connect,
                &[0, number, 2, 0, 40, 5, 4, 20, 3, 8, number, 10, 0, 9, 11, 6, 5],
            ]
            .concat(),
        );
    }
    let raw = record(1, &data_body(5), b"hello");
    all.push([&[7, 0, u8::try_from(raw.len()).unwrap_or(0)], raw.as_slice()].concat());
    all
}

/// One good row of each table, and a manifest.
fn bundle() -> Vec<Vec<u8>> {
    use observer::{
        bundle::{FileEntry, Manifest, TABLES, file_name, to_line},
        evidence::{BlindSpotRow, ConnectionRow, FindingRow, InteractionRow},
    };
    let files = TABLES.map(|table| FileEntry {
        table: table.into(),
        name: file_name(table),
        bytes: 1,
        rows: 1,
        sha256: "00".repeat(32),
    });
    let manifest = Manifest::new(1, None, None, Vec::new(), files.into());
    [
        (1, to_line(&InteractionRow::unknown())),
        (2, to_line(&FindingRow::unknown())),
        (3, to_line(&ConnectionRow::unknown())),
        (4, to_line(&BlindSpotRow::unknown())),
        (7, Ok(serde_json::to_string(&manifest).expect("JSON"))),
    ]
    .into_iter()
    .map(|(which, line)| {
        let line = line.expect("a row is JSON");
        [&[which, 7], line.as_bytes(), b"\n"].concat()
    })
    .collect()
}

fn loaders() -> Vec<Vec<u8>> {
    let policy = "id: p\nversion: \"1\"\ndefault: unsanctioned\nrules:\n  - id: a\n    verdict: sanctioned\n    provider: [openai]\n    user: [alice, \"1000\"]\n    executable: [/usr/bin/*]\n";
    let catalog = "version: \"1\"\nproviders:\n  - name: openai\n    hosts:\n      llm-api: [api.openai.com, \"*.x.com\", \"a.*.b\"]\n    shared:\n      - host: example.com\n        class: llm-api\n        paths: [/v1]\n";
    let register = "version: '1'\nai_register:\n  - {id: a, system: A, owner: o, approval: X, status: conditional, valid_from: 2026-01-01, valid_until: 2026-12-31T00:00:00Z,\n     match: {provider: [openai], host: [\"*.x.com\"]}, allowed_data_classes: [pii]}\n";
    let yaml = "a: &x [1, 'b', \"\\u00e9\"]\nc: {d: |\n  e\n}\n? f\n: - g\n";
    let files = [
        observer::config::Config::default_yaml(),
        policy,
        catalog,
        register,
        yaml,
    ];
    (0..5u8)
        .zip(files)
        .map(|(which, text)| [&[which], text.as_bytes()].concat())
        .collect()
}

fn store() -> Vec<Vec<u8>> {
    let statements: [&str; 6] = [
        "INSERT INTO db.t (a, `b`) SETTINGS x = 1 FORMAT JSONEachRow\n{\"a\":1}",
        "insert into t values (1, 'a;b')",
        "/* c */ SELECT 1 FORMAT TSV -- end",
        "INSERT INTO t SELECT * FROM (SELECT 1)",
        "SELECT 'a\\'b', $$x$$; SELECT 2",
        "EXPLAIN INSERT INTO t VALUES",
    ];
    let mut all: Vec<Vec<u8>> = statements
        .iter()
        .map(|text| [&[0], text.as_bytes()].concat())
        .collect();
    // LZ4: one literal block of five bytes; raw; zstd as above.
    all.push(b"\x42\0\0\x05\x50hello".to_vec());
    all.push(b"\x02\0\0\x05hello".to_vec());
    all.push(
        [
            &[0x82, 0, 0, 3],
            [
                0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x03, 0x19, 0x00, 0x00, b'a', b'b', b'c',
            ]
            .as_slice(),
        ]
        .concat(),
    );
    all.push(b"\x03--b\r\nContent-Disposition: form-data; name=\"query\"\r\n\r\nSELECT 1\r\n--b\r\nContent-Disposition: form-data; name=\"param_x\"\r\n\r\n1\r\n--b--\r\n".to_vec());
    all.push(b"\x84multipart/form-data; boundary=\"b\"--b\r\n\r\n--b--".to_vec());
    all.push(b"\x05query=SELECT+1&param_x=%20&database=d&compress=1&max_threads=2".to_vec());
    all
}
