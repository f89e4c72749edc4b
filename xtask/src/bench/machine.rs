//! Which machine the numbers are of.

use std::fs;
use std::process::Command;

use crate::run::output;

/// Date, processor, cores, kernel and commit.
pub(crate) fn line() -> String {
    let date =
        output(Command::new("date").args(["-u", "+%Y-%m-%d"])).unwrap_or_else(|| "unknown date".to_owned());
    let kernel = output(Command::new("uname").arg("-r")).unwrap_or_else(|| "unknown".to_owned());
    let commit = output(Command::new("git").args(["rev-parse", "--short", "HEAD"])).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let processor = processor(&cpuinfo);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split_whitespace().next().unwrap_or("unknown");
    format!(
        "Measured {date} on {processor}, {cores} cores, Linux {kernel}, commit {commit}, load of the machine at the end {load}."
    )
}

fn processor(cpuinfo: &str) -> &str {
    cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("an unknown processor", |(_, name)| name.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_named_once() {
        let text = "processor\t: 0\nmodel name\t: AMD EPYC\nprocessor\t: 1\nmodel name\t: AMD EPYC\n";
        assert_eq!(processor(text), "AMD EPYC");
        assert_eq!(processor("processor : 0\n"), "an unknown processor");
    }
}
