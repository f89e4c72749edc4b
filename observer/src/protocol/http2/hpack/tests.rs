use super::*;

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let text = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(text).collect()
}

fn text(part: Option<&[u8]>) -> String {
    part.map_or("?".to_owned(), |octets| {
        String::from_utf8_lossy(octets).into_owned()
    })
}

/// Fields as `name: value`, `?` for what is not known.
fn decode(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<String>, HpackError> {
    let mut fields = Vec::new();
    decoder.decode(block, &mut |name, value| {
        fields.push(format!("{}: {}", text(name), text(value)));
    })?;
    Ok(fields)
}

/// RFC 7541 appendix C.1.
#[test]
fn integers() {
    for (octets, bits, want) in [
        (&b"\x0a"[..], 5, Ok(10)),
        (b"\x1f\x9a\x0a", 5, Ok(1337)),
        (b"\x2a", 8, Ok(42)),
        (b"\x1f", 5, Err(HpackError::Cut)),
        (b"\x1f\x80\x80", 5, Err(HpackError::Cut)),
        (b"\x1f\xff\xff\xff\xff\xff", 5, Err(HpackError::Integer)),
        (b"\x1f\x80\x80\x80\x80\x80\x00", 5, Err(HpackError::Integer)),
        (b"", 5, Err(HpackError::Cut)),
    ] {
        let mut rest = octets;
        assert_eq!(integer(&mut rest, bits), want, "{octets:?}");
    }
}

/// RFC 7541 appendix C.2.
#[test]
fn single_fields() {
    for (block, want, indexed) in [
        (
            "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
            "custom-key: custom-header",
            true,
        ),
        ("040c 2f73 616d 706c 652f 7061 7468", ":path: /sample/path", false),
        (
            "1008 7061 7373 776f 7264 0673 6563 7265 74",
            "password: secret",
            false,
        ),
        ("82", ":method: GET", false),
    ] {
        let mut decoder = Decoder::new();
        assert_eq!(decode(&mut decoder, &bytes(block)).unwrap(), [want]);
        assert_eq!(decode(&mut decoder, &[0xbe]).is_ok(), indexed, "{want}");
    }
}

const REQUESTS: [&[&str]; 3] = [
    &[
        ":method: GET",
        ":scheme: http",
        ":path: /",
        ":authority: www.example.com",
    ],
    &[
        ":method: GET",
        ":scheme: http",
        ":path: /",
        ":authority: www.example.com",
        "cache-control: no-cache",
    ],
    &[
        ":method: GET",
        ":scheme: https",
        ":path: /index.html",
        ":authority: www.example.com",
        "custom-key: custom-value",
    ],
];

/// RFC 7541 appendix C.3 (plain) and C.4 (Huffman code).
const REQUEST_BLOCKS: [[&str; 3]; 2] = [
    [
        "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "8286 84be 5808 6e6f 2d63 6163 6865",
        "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
    ],
    [
        "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
        "8286 84be 5886 a8eb 1064 9cbf",
        "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
    ],
];

#[test]
fn requests() {
    for blocks in REQUEST_BLOCKS {
        let mut decoder = Decoder::new();
        for (block, want) in blocks.iter().zip(REQUESTS) {
            assert_eq!(decode(&mut decoder, &bytes(block)).unwrap(), want);
        }
    }
}

/// RFC 7541 appendix C.5 and C.6, with the table of 256 octets stated in the block.
#[test]
fn responses_with_eviction() {
    const DATES: [&str; 2] = [
        "date: Mon, 21 Oct 2013 20:13:21 GMT",
        "date: Mon, 21 Oct 2013 20:13:22 GMT",
    ];
    const LOCATION: &str = "location: https://www.example.com";
    let plain = [
        "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "4803 3330 37c1 c0bf",
        "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
    ];
    let coded = [
        "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
        "4883 640e ffc1 c0bf",
        "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
    ];
    for blocks in [plain, coded] {
        let mut decoder = Decoder::new();
        // A size of 256: 31 in the first five bits, and 225 more.
        assert!(decode(&mut decoder, &[0x3f, 0xe1, 0x01]).unwrap().is_empty());
        let got = blocks.map(|block| decode(&mut decoder, &bytes(block)).unwrap());
        let private = "cache-control: private";
        assert_eq!(got[0], [":status: 302", private, DATES[0], LOCATION]);
        assert_eq!(got[1], [":status: 307", private, DATES[0], LOCATION]);
        let cookie = "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1";
        let want = [
            ":status: 200",
            private,
            DATES[1],
            LOCATION,
            "content-encoding: gzip",
            cookie,
        ];
        assert_eq!(got[2], want);
    }
}

#[test]
fn joined_in_the_middle_nothing_is_guessed() {
    for blocks in REQUEST_BLOCKS {
        let mut decoder = Decoder::new();
        decoder.lose();
        let second = decode(&mut decoder, &bytes(blocks[1])).unwrap();
        let known = [":method: GET", ":scheme: http", ":path: /"];
        assert_eq!(second[..3], known);
        assert_eq!(second[3..], ["?: ?", "cache-control: no-cache"]);
        // The entry that came since is known, the older one is not.
        let third = decode(&mut decoder, &bytes("8286 84be bf")).unwrap();
        assert_eq!(third[3..], ["cache-control: no-cache", "?: ?"]);
    }
    // A name from an unknown entry, with its value: kept in the table as it is.
    let mut decoder = Decoder::new();
    decoder.lose();
    let block = [&[0x40 | 0x3e][..], b"\x01v", &[0xbe]].concat();
    assert_eq!(decode(&mut decoder, &block).unwrap(), ["?: v", "?: v"]);
}

/// Two octets name a long entry again, and put it into the table under that name: nothing of it is copied.
#[test]
fn names_of_the_table_are_shared() {
    let mut decoder = Decoder::new();
    let name = vec![b'n'; 60_000];
    // The largest table, and a literal with a name of 60,000 octets and no value.
    let first = [
        &[0x3f, 0xe1, 0xff, 0x03, 0x40, 0x7f, 0xe1, 0xd3, 0x03][..],
        &name,
        &[0],
    ]
    .concat();
    assert_eq!(decode(&mut decoder, &first).unwrap().len(), 1);
    // With a place in the table, and without one.
    for field in [&[0x7e, 0][..], &[0x0f, 47, 0]] {
        let (mut at, block) = (Vec::new(), field.repeat(100_000));
        decoder
            .decode(&block, &mut |name, _| {
                at.push(name.map(|name| (name.as_ptr(), name.len())));
            })
            .unwrap();
        assert_eq!(at.len(), 100_000);
        assert!(at[0].is_some_and(|(_, len)| len == 60_000));
        assert!(at.iter().all(|here| *here == at[0]), "one copy serves all");
    }
}

#[test]
fn nonsense_is_an_error_and_the_table_is_not_known_after_it() {
    for (block, want) in [
        (&[0x80][..], HpackError::Index),
        (&[0xff, 0x80, 0x80, 0x01], HpackError::Index),
        (&[0x40], HpackError::Cut),
        (&[0x40, 0x05, b'a'], HpackError::Cut),
        (&[0x00, 0x81, 0x00, 0x00], HpackError::Huffman),
        (&[0x3f, 0xff, 0xff, 0xff, 0xff, 0xff], HpackError::Integer),
    ] {
        let mut decoder = Decoder::new();
        decode(&mut decoder, &bytes(REQUEST_BLOCKS[0][0])).unwrap();
        assert_eq!(decode(&mut decoder, block), Err(want));
        assert_eq!(decode(&mut decoder, &[0xbe]).unwrap(), ["?: ?"]);
    }
}

#[test]
fn every_cut_of_a_block_is_an_error_or_a_beginning() {
    for block in REQUEST_BLOCKS.concat().into_iter().map(bytes) {
        let mut decoder = Decoder::new();
        decoder.lose();
        let whole = decode(&mut decoder, &block).unwrap();
        for cut in 0..block.len() {
            let mut decoder = Decoder::new();
            decoder.lose();
            match decode(&mut decoder, &block[..cut]) {
                Ok(fields) => assert_eq!(fields, whole[..fields.len()]),
                Err(error) => assert_eq!(error, HpackError::Cut),
            }
        }
    }
}
