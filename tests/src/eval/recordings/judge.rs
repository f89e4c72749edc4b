//! Rows against labels.

use std::collections::BTreeMap;

use observer::evidence::InteractionRow;

use super::kernel::Replayed;
use super::recording::Recording;
use super::stated;

/// Fields in the order in which they are shown.
pub(super) const FIELDS: [&str; 12] = [
    "ai",
    "provider",
    "operation",
    "request_model",
    "response_model",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "stream",
    "tool_calls",
];

/// Agreement on a field.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) correct: u64,
    pub(super) total: u64,
}

/// A value that differs from its label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Disagreement {
    pub(super) id: String,
    pub(super) field: &'static str,
    pub(super) call: String,
    pub(super) label: Option<String>,
    pub(super) observer: Option<String>,
    /// Why it does not count as one.
    pub(super) judgement: Option<String>,
}

/// What one replay gave.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) fields: BTreeMap<&'static str, Count>,
    pub(super) disagreements: Vec<Disagreement>,
    /// Rows of calls in which no model is asked (models listed, files sent), and how many such calls there are.
    pub(super) administration: Count,
    /// Calls that are no AI and came out as an interaction.
    pub(super) false_ai: u64,
    /// Counts in rows whose label says that the answer has none.
    pub(super) false_counts: u64,
    /// Rows that were not read whole, by reason.
    pub(super) partial: BTreeMap<String, u64>,
}

/// Compares what was replayed with the labels.
pub(super) fn judge(recordings: &[Recording], replayed: &Replayed) -> Tally {
    let mut tally = Tally::default();
    for (number, recording) in recordings.iter().enumerate() {
        let rows = replayed.by_call.get(&number).map_or(&[][..], Vec::as_slice);
        tally.call(recording, rows);
    }
    for row in &replayed.strays {
        tally.note(
            "ai",
            "",
            &row.url_path_template,
            None,
            Some("a row of no call".to_owned()),
        );
    }
    tally
}

impl Tally {
    fn call(&mut self, recording: &Recording, rows: &[InteractionRow]) {
        let labels = &recording.labels;
        let found = rows.first();
        match labels.asks_model {
            Some(asked) => {
                let word = |ai: bool| Some(if ai { "AI" } else { "not AI" }.to_owned());
                self.compare(recording, "ai", word(asked), word(found.is_some()));
                self.false_ai += u64::from(!asked && found.is_some());
            }
            None => {
                self.administration.total += 1;
                self.administration.correct += u64::from(found.is_some());
            }
        }
        if rows.len() > 1 {
            self.note(
                "ai",
                &recording.id,
                &shown(recording),
                Some("one call".to_owned()),
                Some(format!("{} rows", rows.len())),
            );
        }
        if let Some(row) = found {
            self.row(recording, row);
        } else if labels.asks_model == Some(true) {
            self.missed(recording);
        }
    }

    fn row(&mut self, recording: &Recording, row: &InteractionRow) {
        let labels = &recording.labels;
        if row.visibility != "decoded" {
            *self.partial.entry(row.visibility_reason.clone()).or_default() += 1;
        }
        let provider = &row.gen_ai_provider_name;
        // Where a recording has lost its host, the bytes do not say whose service it was: only a guess can be wrong.
        if let Some(label) = labels.provider.clone()
            && (labels.host_known || provider != "unknown")
        {
            let same = labels.means_provider(provider);
            let ours = if same { label.clone() } else { provider.clone() };
            self.compare(recording, "provider", Some(label), Some(ours));
        }
        if let Some(names) = &labels.operations {
            let ours = row.gen_ai_operation_name.clone();
            let label = match names.contains(&ours.as_str()) {
                true => ours.clone(),
                false => names.join(" or "),
            };
            self.compare(recording, "operation", Some(label), Some(ours));
        }
        let known = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        if let Some(label) = labels.request_model.clone() {
            self.compare(
                recording,
                "request_model",
                Some(label),
                known(&row.gen_ai_request_model),
            );
        }
        if let Some(label) = labels.response_model.clone() {
            self.compare(
                recording,
                "response_model",
                Some(label),
                known(&row.gen_ai_response_model),
            );
        }
        if let Some(label) = labels.stream {
            let ours = row.gen_ai_request_stream;
            self.compare(
                recording,
                "stream",
                Some(label.to_string()),
                Some(ours.to_string()),
            );
        }
        if let Some(label) = labels.tool_calls {
            let ours = !row.tool_names.is_empty();
            self.compare(
                recording,
                "tool_calls",
                Some(label.to_string()),
                Some(ours.to_string()),
            );
        }
        for (field, ours, label) in labels.tokens(row) {
            if let Some(label) = label {
                self.tokens(recording, field, ours, label);
            }
        }
    }

    /// A count. The labels do not know every name of one: where a label says "unknown" and the answer has a member of such
    /// a name with just this value, the label is wrong. That is listed, and counts as correct.
    fn tokens(&mut self, recording: &Recording, field: &'static str, ours: Option<u64>, label: Option<u64>) {
        let text = |count: Option<u64>| count.map(|n| n.to_string());
        let judged = match (ours, label) {
            (Some(ours), None) => {
                let answer = &recording.response;
                stated::count(&answer.body, field, ours)
                    .or_else(|| stated::in_head(&answer.headers, field, ours))
            }
            _ => None,
        };
        let Some(member) = judged else {
            self.false_counts += u64::from(label.is_none() && ours.is_some());
            return self.compare(recording, field, text(label), text(ours));
        };
        self.compare(recording, field, text(ours), text(ours));
        self.note(field, &recording.id, &shown(recording), None, text(ours));
        if let Some(last) = self.disagreements.last_mut() {
            last.judgement = Some(format!("label wrong: the answer has `{member}`"));
        }
    }

    /// A call without a row: none of what its labels state was found.
    fn missed(&mut self, recording: &Recording) {
        let labels = &recording.labels;
        let mut lost = vec![
            ("provider", labels.provider.clone().filter(|_| labels.host_known)),
            (
                "operation",
                labels.operations.as_ref().map(|names| names.join(" or ")),
            ),
            ("request_model", labels.request_model.clone()),
            ("response_model", labels.response_model.clone()),
            (
                "stream",
                labels.stream.filter(|stream| *stream).map(|s| s.to_string()),
            ),
        ];
        let blank = InteractionRow::unknown();
        for (field, _, label) in labels.tokens(&blank) {
            lost.push((field, label.flatten().map(|n| n.to_string())));
        }
        for (field, label) in lost {
            if label.is_some() {
                self.compare(recording, field, label, Some("no row".to_owned()));
            }
        }
    }

    fn compare(
        &mut self,
        recording: &Recording,
        field: &'static str,
        label: Option<String>,
        ours: Option<String>,
    ) {
        let count = self.fields.entry(field).or_default();
        count.total += 1;
        if label == ours {
            count.correct += 1;
        } else {
            self.note(field, &recording.id, &shown(recording), label, ours);
        }
    }

    fn note(
        &mut self,
        field: &'static str,
        id: &str,
        call: &str,
        label: Option<String>,
        observer: Option<String>,
    ) {
        self.disagreements.push(Disagreement {
            id: id.to_owned(),
            field,
            call: call.to_owned(),
            label,
            observer,
            judgement: None,
        });
    }
}

/// Method, host, path and status: enough to find a call.
fn shown(recording: &Recording) -> String {
    format!(
        "{} {}{} {}",
        recording.method, recording.authority, recording.path, recording.status
    )
}
