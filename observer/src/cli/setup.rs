//! Reads and checks every file that a configuration names, before anything is started. All problems of all files
//! are reported at once.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::out;
use crate::{
    catalog::Catalog,
    config::{
        Config,
        yaml::{self, LIMITS, Limits, Node, Problem},
    },
    policy::{Judge, Policy, REGISTER_LIMITS, Register},
    sensitive::{Rules, rules::BUILTIN},
};

/// What the daemon works by, all of it valid.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Its policy and register; [`Judge::none`] where it names none. Their warnings have not been shown yet.
    pub judge: Arc<Judge>,
    /// The built-in catalogue with the configuration's hosts.
    pub catalog: Catalog,
    /// The built-in rules with the configuration's packs, without those that it disables.
    pub rules: Rules,
}

/// Name of the configuration in messages where there is no file.
const NO_FILE: &str = "configuration";

/// Loads everything; without a path the built-in configuration.
///
/// # Errors
/// All problems of all files. Files that are named by a configuration with a mistake are not looked at: it is not
/// known which were meant.
pub fn load(config_path: Option<&Path>) -> Result<Loaded, Vec<Problem>> {
    let (config, source) = load_config(config_path)?;
    let mut problems = Vec::new();
    let mut keep = |more: Vec<Problem>| problems.extend(more);
    let judge = load_judge(&config).map_err(&mut keep);
    let catalog = load_catalog(&config, &source).map_err(&mut keep);
    let rules = load_rules(&config, &source).map_err(&mut keep);
    match (judge, catalog, rules) {
        (Ok(judge), Ok(catalog), Ok(rules)) => Ok(Loaded {
            config,
            judge: Arc::new(judge),
            catalog,
            rules,
        }),
        _ => Err(problems),
    }
}

/// The configuration alone, for commands that judge nothing; without a path the built-in one.
///
/// # Errors
/// All problems of the file.
pub(super) fn load_only_config(path: Option<&Path>) -> Result<Config, Vec<Problem>> {
    load_config(path).map(|(config, _)| config)
}

/// The configuration as a text, to name lines in it.
struct Source {
    name: String,
    root: Option<Node>,
}

impl Source {
    /// A problem of the item `index` of the list at `keys`.
    fn problem(&self, keys: [&str; 2], index: usize, message: String) -> Problem {
        let list = self
            .root
            .as_ref()
            .and_then(|root| child(child(root, keys[0])?, keys[1]));
        // One value may stand for a list of one.
        let item = list.map(|node| match &node.value {
            yaml::Value::Sequence(items) => items.get(index).unwrap_or(node),
            _ => node,
        });
        let at = item.map(|node| node.at).unwrap_or_default();
        Problem {
            file: self.name.clone(),
            line: at.line,
            column: at.column,
            message,
        }
    }
}

fn child<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    match &node.value {
        yaml::Value::Mapping(entries) => entries
            .iter()
            .find(|(name, _)| name.value == key)
            .map(|(_, node)| node),
        _ => None,
    }
}

fn load_config(path: Option<&Path>) -> Result<(Config, Source), Vec<Problem>> {
    let Some(path) = path else {
        return Ok((
            Config::default(),
            Source {
                name: NO_FILE.to_owned(),
                root: None,
            },
        ));
    };
    let name = path.display().to_string();
    let text = read(path).map_err(|problem| vec![problem])?;
    let config = Config::parse(&text, &name)?;
    let root = yaml::parse(&name, &text).ok().flatten();
    Ok((config, Source { name, root }))
}

/// Policy and register of a configuration, with all problems of both files.
pub(crate) fn load_judge(config: &Config) -> Result<Judge, Vec<Problem>> {
    let policy = config
        .policy_file
        .as_deref()
        .map_or_else(|| Ok(Policy::none()), load_policy);
    let register = config.register_file.as_deref().map(load_register).transpose();
    match (policy, register) {
        (Ok(policy), Ok(register)) => Ok(Judge { policy, register }),
        (policy, register) => {
            let problems = policy.err().into_iter().chain(register.err()).flatten();
            Err(problems.collect())
        }
    }
}

/// Reads a policy.
pub(crate) fn load_policy(path: &Path) -> Result<Policy, Vec<Problem>> {
    let text = read(path).map_err(|problem| vec![problem])?;
    Policy::parse(&text, &path.display().to_string())
}

/// Reads a register of AI systems.
pub(crate) fn load_register(path: &Path) -> Result<Register, Vec<Problem>> {
    let text = read_within(path, REGISTER_LIMITS).map_err(|problem| vec![problem])?;
    Register::parse(&text, &path.display().to_string())
}

fn load_catalog(config: &Config, source: &Source) -> Result<Catalog, Vec<Problem>> {
    let hosts: Vec<_> = config
        .extra_hosts
        .iter()
        .map(|extra| (extra.host.clone(), extra.provider.clone()))
        .collect();
    let placed = |problem: Problem| {
        source.problem(
            ["catalog", "extra_hosts"],
            problem.line.saturating_sub(1),
            problem.message,
        )
    };
    let mut problems = Vec::new();
    let files = read_all(&config.catalog_files, &mut problems);
    // Hosts are checked even where a file has mistakes, so that all mistakes are reported at once.
    let listed = Catalog::default().with_extra_hosts(hosts.clone());
    let catalog = Catalog::builtin().with_files(&files);
    let catalog = catalog.map_err(|more| problems.extend(more));
    let listed = listed.map_err(|more| problems.extend(more.into_iter().map(placed)));
    match (catalog, listed) {
        (Ok(catalog), Ok(_)) if problems.is_empty() => catalog.with_extra_hosts(hosts),
        _ => Err(problems),
    }
}

/// Files with their names; those that cannot be read are noted and left out.
fn read_all(paths: &[PathBuf], problems: &mut Vec<Problem>) -> Vec<(String, String)> {
    let mut texts = Vec::new();
    for path in paths {
        match read(path) {
            Ok(text) => texts.push((path.display().to_string(), text)),
            Err(problem) => problems.push(problem),
        }
    }
    texts
}

fn load_rules(config: &Config, source: &Source) -> Result<Rules, Vec<Problem>> {
    let mut problems = Vec::new();
    let own = read_all(&config.rules.files, &mut problems);
    let own = own.iter().map(|(name, text)| (name.as_str(), text.as_str()));
    let packs: Vec<(&str, &str)> = BUILTIN.iter().copied().chain(own).collect();
    let (rules, more) = Rules::load(&packs, &config.rules.disable);
    // Rules know their disabled identifiers, but not where these were written.
    problems.extend(more.into_iter().map(|problem| {
        let of_list = problem.line == 0 && problem.file == NO_FILE;
        let names = |id: &String| problem.message.contains(&format!("`{}`", yaml::shown(id)));
        match config.rules.disable.iter().position(names).filter(|_| of_list) {
            Some(index) => source.problem(["rules", "disable"], index, problem.message),
            None => problem,
        }
    }));
    if problems.is_empty() {
        Ok(rules)
    } else {
        Err(problems)
    }
}

/// Says of every rule that is not in use why; findings of that kind are missing, and nothing else would show it.
pub(super) fn complain_of_rules(rules: &Rules) {
    for problem in rules.left_out() {
        out::complain(&problem.to_string());
    }
}

/// A problem of a file as a whole.
fn problem_of(file: &str, message: String) -> Problem {
    Problem {
        file: file.to_owned(),
        line: 0,
        column: 0,
        message,
    }
}

/// Reads a text file that a person wrote; what is larger than such a file may be is not read to its end.
fn read(path: &Path) -> Result<String, Problem> {
    read_within(path, LIMITS)
}

fn read_within(path: &Path, limits: Limits) -> Result<String, Problem> {
    let file = path.display().to_string();
    let unreadable = |error: io::Error| problem_of(&file, format!("cannot be read: {error}"));
    let mut bytes = Vec::new();
    let limit = limits.bytes as u64 + 1;
    File::open(path)
        .and_then(|f| f.take(limit).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = before.iter().filter(|b| **b == b'\n').count() + 1;
        let column = before.iter().rev().take_while(|b| **b != b'\n').count() + 1;
        Problem {
            file,
            line,
            column,
            message: "not UTF-8 text".to_owned(),
        }
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn without_a_file_the_built_in_configuration_is_whole() {
        let loaded = load(None).unwrap();
        assert_eq!(loaded.judge.policy.id(), "none");
        assert!(loaded.rules.list().len() > 10 && loaded.catalog.host_is_ai("api.openai.com"));
    }

    #[test]
    fn problems_of_all_files_are_reported_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let config = "policy:\n  file: policy.yaml\nrules:\n  files: [rules.yaml, missing.yaml]\n  disable: [no_such_rule]\n";
        fs::write(dir.path().join("observer.yaml"), config).unwrap();
        fs::write(dir.path().join("policy.yaml"), "version: \"1\"\ndefault: maybe\n").unwrap();
        fs::write(dir.path().join("rules.yaml"), "version: \"1\"\nrules: 5\n").unwrap();
        let problems = load(Some(&dir.path().join("observer.yaml"))).unwrap_err();
        let text: Vec<String> = problems.iter().map(ToString::to_string).collect();
        let has = |file: &str, part: &str| text.iter().any(|t| t.contains(file) && t.contains(part));
        assert!(has("policy.yaml:2:", "maybe"), "{text:?}");
        assert!(has("rules.yaml:2:8:", "must be a list"), "{text:?}");
        assert!(has("missing.yaml", "cannot be read"), "{text:?}");
        assert!(has("observer.yaml:5:13: ", "no_such_rule"), "{text:?}");
    }

    #[test]
    fn catalogue_files_are_used_and_their_mistakes_come_all_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("observer.yaml");
        let good = "version: \"1\"\nproviders:\n  - {name: house, hosts: {llm-api: [llm.corp.example]}}\n";
        fs::write(&config, "catalog:\n  files: [good.yaml]\n").unwrap();
        fs::write(dir.path().join("good.yaml"), good).unwrap();
        let catalog = load(Some(&config)).unwrap().catalog;
        let found = catalog.explain("llm.corp.example", "/").entry.unwrap();
        assert!(found.provider == "house" && found.file.ends_with("good.yaml") && found.line == 3);
        assert!(catalog.host_is_ai("api.openai.com"), "what is built in stays");
        let text = "catalog:\n  files: [bad.yaml, good.yaml, none.yaml]\n  extra_hosts: [{host: \"*.com\", provider: x}]\n";
        fs::write(&config, text).unwrap();
        let bad = "version: \"1\"\nproviders:\n  - name: other\n    hosts: {llm-api: [\"*\", llm.corp.example], llm: [x]}\n";
        fs::write(dir.path().join("bad.yaml"), bad).unwrap();
        let problems = load(Some(&config)).unwrap_err();
        let all: Vec<String> = problems.iter().map(ToString::to_string).collect();
        let has = |part: &str| all.iter().any(|text| text.contains(part));
        assert!(has("bad.yaml:4:23: ") && has("bad.yaml:4:47: "), "{all:#?}");
        assert!(has("none.yaml: cannot be read"), "{all:#?}");
        assert!(
            has("observer.yaml:3:") && has("whole top-level domain"),
            "{all:#?}"
        );
    }

    #[test]
    fn a_rule_with_a_mistake_is_left_out_and_named_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(
            dir.path().join("observer.yaml"),
            "rules:\n  files: [rules.yaml]\n",
        )
        .unwrap();
        let pack =
            "version: \"1\"\nrules:\n  - {id: x, name: n, class: secret, severity: low, pattern: 'a[b'}\n";
        fs::write(dir.path().join("rules.yaml"), pack).unwrap();
        let rules = load(Some(&dir.path().join("observer.yaml"))).unwrap().rules;
        assert_eq!(rules.list().len(), Rules::builtin().unwrap().list().len());
        let said = rules.left_out()[0].to_string();
        assert!(
            said.contains("rules.yaml:3:") && said.contains("rule `x` left out"),
            "{said}"
        );
        assert!(rules.version().ends_with("(1 left out)"), "{}", rules.version());
    }

    #[test]
    fn a_file_that_is_no_text_is_named_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("observer.yaml");
        fs::write(&path, b"log:\n  lev\xff").unwrap();
        let problems = load(Some(&path)).unwrap_err();
        assert_eq!((problems[0].line, problems[0].column), (2, 6));
        assert!(load(Some(&dir.path().join("none.yaml"))).is_err());
    }
}
