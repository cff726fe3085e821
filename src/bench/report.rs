//! The result of a scenario, as a table or a line of JSON.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use serde_json::{Map, Value, json};

use super::stats::Durations;

/// How often each error code was answered.
#[derive(Debug, Default)]
pub(super) struct RefusalCounts(BTreeMap<String, u64>);

impl RefusalCounts {
    pub(super) fn add(&mut self, code: &str) {
        match self.0.get_mut(code) {
            Some(count) => *count += 1,
            None => drop(self.0.insert(code.to_owned(), 1)),
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        for (code, count) in other.0 {
            *self.0.entry(code).or_default() += count;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Named figures with their units, and what went wrong.
#[derive(Debug)]
pub(super) struct BenchReport {
    scenario: &'static str,
    rows: Vec<ReportRow>,
    faults: Vec<String>,
}

#[derive(Debug)]
struct ReportRow {
    name: String,
    value: Value,
    unit: &'static str,
}

impl BenchReport {
    pub(super) fn new(scenario: &'static str) -> Self {
        Self {
            scenario,
            rows: Vec::new(),
            faults: Vec::new(),
        }
    }

    pub(super) fn row(&mut self, name: &str, value: impl Into<Value>, unit: &'static str) {
        self.rows.push(ReportRow {
            name: name.to_owned(),
            value: value.into(),
            unit,
        });
    }

    /// One row for each of `percents`, and one for the maximum.
    pub(super) fn percentiles(
        &mut self,
        name: &str,
        durations: &mut Durations,
        percents: &[usize],
    ) {
        durations.sort();
        for percent in percents {
            let value = durations.percentile(*percent);
            self.row(&format!("{name} p{percent}"), value, "ms");
        }
        self.row(&format!("{name} max"), durations.percentile(100), "ms");
    }

    pub(super) fn refusals(&mut self, refusals: &RefusalCounts) {
        for (code, count) in &refusals.0 {
            self.row(&format!("error {code}"), *count, "");
            self.fault(format!("{count} commands were answered `{code}`"));
        }
    }

    /// Something that makes the run a failure, though its figures are still worth printing.
    pub(super) fn fault(&mut self, fault: String) {
        self.faults.push(fault);
    }

    pub(super) fn print(&self, as_json: bool) {
        if as_json {
            println!("{}", self.to_json());
        } else {
            println!("{}", self.to_table());
        }
    }

    pub(super) fn verdict(&self) -> Result<()> {
        if self.faults.is_empty() {
            return Ok(());
        }
        bail!("{}", self.faults.join("; "))
    }

    fn to_table(&self) -> String {
        let mut lines = vec![self.scenario.to_owned()];
        for row in &self.rows {
            let value = shown(&row.value);
            let line = format!("  {:<28}{value:>16} {}", row.name, row.unit);
            lines.push(line.trim_end().to_owned());
        }
        lines.join("\n")
    }

    fn to_json(&self) -> Value {
        let mut object = Map::new();
        object.insert("scenario".to_owned(), json!(self.scenario));
        for row in &self.rows {
            object.insert(row.key(), row.value.clone());
        }
        object.insert("faults".to_owned(), json!(self.faults));
        Value::Object(object)
    }
}

impl ReportRow {
    fn key(&self) -> String {
        let unit = self.unit.replace("/s", " per s");
        format!("{} {unit}", self.name).trim().replace(' ', "_")
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Number(number) if number.is_f64() => {
            let number = number.as_f64().unwrap_or_default();
            let digits = if number < 100.0 { 2 } else { 0 };
            format!("{number:.digits$}")
        }
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> BenchReport {
        let mut report = BenchReport::new("commands");
        report.row("changes received", "none", "");
        report.row("acknowledged", 1234.5, "commands/s");
        report.row("ack p50", 0.25, "ms");
        report
    }

    #[test]
    fn json_keys_carry_the_unit() {
        let json = sample().to_json();
        assert_eq!(json["acknowledged_commands_per_s"], json!(1234.5));
        assert_eq!(json["ack_p50_ms"], json!(0.25));
        assert_eq!(json["changes_received"], json!("none"));
    }

    #[test]
    fn the_table_aligns_values() {
        let table = sample().to_table();
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines[0], "commands");
        assert!(lines[2].ends_with("1234 commands/s"), "{table}");
        assert_eq!(lines[2].find("1234"), lines[3].find("0.25"));
    }

    #[test]
    fn a_fault_fails_the_run() {
        let mut report = sample();
        assert!(report.verdict().is_ok());
        let (mut refusals, mut others) = (RefusalCounts::default(), RefusalCounts::default());
        refusals.add("busy");
        others.add("busy");
        others.add("busy");
        refusals.merge(others);
        report.refusals(&refusals);
        let error = report.verdict().unwrap_err().to_string();
        assert_eq!(error, "3 commands were answered `busy`");
    }
}
