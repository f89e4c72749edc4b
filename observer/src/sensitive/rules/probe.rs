//! Finds rules that would make every scan slow: those whose literals stand nearly everywhere in ordinary text, so that
//! the second step has to look at nearly every byte again. Counted, not timed: the answer is the same on every host.

use vectorscan_rs::{BlockScanner, Scan};

use super::compile::Plan;

/// A rule may be tried once in so many bytes of the sample.
const BYTES_PER_HIT: usize = 64;
/// Bytes of the sample.
const SAMPLE: usize = 16 * 1024;
/// What the sample is made of: words, code, JSON, numbers, hashes.
const PARTS: [&str; 16] = [
    "The quick brown fox jumps over the lazy dog. ",
    "Please summarise the following report for the board, in three sentences.\n",
    "{\"role\": \"user\", \"content\": \"What is the weather like in Oslo today?\", \"n\": 1}\n",
    "fn main() {\n    let total: u64 = items.iter().map(|i| i.count).sum();\n}\n",
    "for (int i = 0; i < length; i++) { buffer[i] = 0x7f & table[index + i]; }\n",
    "2026-11-25T04:34:15.123Z INFO request id=42 took 0.318 s, 200 OK\n",
    "https://www.example.org/articles/2026/11/how-to-read-a-book.html?page=3#top\n",
    "f7c3bc1d808e04732adf679965ccc34ca7ae3441 3f79bb7b435b05321651daefd374cdc681dc06fa\n",
    "TG9yZW0gaXBzdW0gZG9sb3Igc2l0IGFtZXQsIGNvbnNldGV0dXIgc2FkaXBzY2luZyBlbGl0ci4=\n",
    "| name | 2024 | 2025 | 2026 |\n| Ann Miller | 17,305.20 | 18,911.00 | +9.3 % |\n",
    "550e8400-e29b-41d4-a716-446655440000 ",
    "SELECT id, name FROM users WHERE created_at > '2026-01-01' ORDER BY name LIMIT 10;\n",
    "<div class=\"row\"><span id=\"a1\">Total</span><b>3.14159</b></div>\n",
    "Tel. 030 1234567, room 4.217, building C; open Monday to Friday 9:00 - 17:30\n",
    "Überprüfen Sie die Größe: 12 × 4 = 48 µm. 東京の天気は晴れです。\n",
    "key: value, name = \"x\", token count 4096, secret santa, password policy\n",
];

/// The numbers of rules that would be tried too often, ascending, with how often.
pub(super) fn too_slow(plan: &Plan, rules: usize) -> Vec<(usize, usize)> {
    let mut hits = vec![0usize; rules];
    // Where the probe itself fails there is no answer, and the scanner that is made next fails and is heard.
    let _ = count(plan, &mut hits);
    let slow = hits.into_iter().enumerate();
    slow.filter(|(_, hits)| *hits > SAMPLE / BYTES_PER_HIT).collect()
}

/// What is said of such a rule.
pub(super) fn reason(hits: usize) -> String {
    format!(
        "too slow: what leads to its pattern is at {hits} places in {SAMPLE} bytes of ordinary text, and each of them has \
         to be examined; put a fixed word of three letters or more into it, or into `trigger`"
    )
}

fn count(plan: &Plan, hits: &mut [usize]) -> Result<(), vectorscan_rs::Error> {
    let Some(database) = &plan.literals else {
        return Ok(());
    };
    let mut scanner = BlockScanner::new(database)?;
    scanner.scan(sample().as_bytes(), |id, _, _, _| {
        let targets = usize::try_from(id).ok().and_then(|id| plan.targets.get(id));
        for target in targets.into_iter().flatten() {
            hits[target.rule] += 1;
        }
        Scan::Continue
    })?;
    Ok(())
}

fn sample() -> String {
    let mut text = String::with_capacity(SAMPLE + 128);
    for part in PARTS.iter().cycle() {
        if text.len() >= SAMPLE {
            break;
        }
        text.push_str(part);
    }
    text
}
