//! README and the manual: every page is in the book, every link leads somewhere, every flag and variable is told.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use regex::Regex;

/// Half of what it once was; what is longer belongs into a page of the manual.
const README_BYTES_MAX: usize = 22 * 1024;

/// What a test tells its own child process.
const NOT_FOR_PEOPLE: [&str; 1] = ["LIVELOG_CRASH_UNSYNCED"];

/// A Markdown file by its path below the repository.
struct Page {
    path: PathBuf,
    /// Without blocks of code, in which nothing is a link or a heading.
    text: String,
}

impl Page {
    fn read(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let whole = fs::read_to_string(root().join(&path)).unwrap();
        let mut in_code = false;
        let text = whole.lines().filter(|line| {
            let is_fence = line.trim_start().starts_with("```");
            in_code ^= is_fence;
            !in_code && !is_fence
        });
        let text = text.collect::<Vec<_>>().join("\n");
        assert!(!in_code, "{}: a block of code has no end", path.display());
        Self { path, text }
    }

    /// The same without what is written as code in a line.
    fn prose(&self) -> Self {
        let code = Regex::new("`[^`\n]*`").unwrap();
        Self {
            path: self.path.clone(),
            text: code.replace_all(&self.text, "").into_owned(),
        }
    }

    /// The groups of a pattern, each time that it is found.
    fn found(&self, pattern: &str) -> Vec<Vec<String>> {
        let pattern = Regex::new(pattern).unwrap();
        let found = pattern.captures_iter(&self.text);
        let groups = |found: regex::Captures<'_>| {
            let groups = found.iter().skip(1).flatten();
            groups.map(|group| group.as_str().to_owned()).collect()
        };
        found.map(groups).collect()
    }

    /// What the names of links mean, as `[name]: target` at the end of the page.
    fn definitions(&self) -> BTreeMap<String, String> {
        let found = self.found(r"(?m)^\[([\w-]+)\]: (\S+)$");
        let pairs = found
            .into_iter()
            .map(|pair| <[String; 2]>::try_from(pair).unwrap());
        pairs.map(|[name, target]| (name, target)).collect()
    }

    /// The names of links that are used, as `[text][name]`.
    fn names(&self) -> BTreeSet<String> {
        let found = self.prose().found(r"\]\[([\w-]+)\]");
        found.into_iter().flatten().collect()
    }

    /// Where links lead, both those with a name and `[text](target)`.
    fn targets(&self) -> Vec<String> {
        let inline = self.prose().found(r"\]\(([^)\s]+)\)");
        let inline = inline.into_iter().flatten();
        inline.chain(self.definitions().into_values()).collect()
    }

    /// The names by which headings are found, as GitHub and rustdoc make them.
    fn headings(&self) -> BTreeSet<String> {
        let headings = self.found(r"(?m)^#+ (.+)$").into_iter().flatten();
        let name = |heading: String| -> String {
            let letters = heading.chars().filter_map(|letter| match letter {
                ' ' => Some('-'),
                '-' | '_' => Some(letter),
                letter if letter.is_alphanumeric() => Some(letter.to_ascii_lowercase()),
                _ => None,
            });
            letters.collect()
        };
        headings.map(name).collect()
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The stems of the files under `src/manual`, but for the front page and what makes items of links.
fn page_names() -> BTreeSet<String> {
    let files = fs::read_dir(root().join("src/manual")).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    let pages = paths.filter(|path| path.extension().is_some_and(|ending| ending == "md"));
    let names = pages.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned());
    let names: BTreeSet<String> = names
        .filter(|name| !["index", "links"].contains(&name.as_str()))
        .collect();
    assert!(names.len() > 5, "{names:?}");
    names
}

fn manual_page(name: &str) -> Page {
    Page::read(format!("src/manual/{name}.md"))
}

/// README, the front page, and every other.
fn pages() -> Vec<Page> {
    let mut pages = vec![Page::read("README.md"), manual_page("index")];
    pages.extend(page_names().iter().map(|name| manual_page(name)));
    pages
}

#[test]
fn every_page_is_a_module_of_the_manual_and_listed_on_its_front_page() {
    let book = fs::read_to_string(root().join("src/manual/mod.rs")).unwrap();
    let listed: BTreeSet<String> = manual_page("index").targets().into_iter().collect();
    for name in page_names() {
        let module = format!(
            "#[doc = include_str!(\"links.md\")]\n#[doc = include_str!(\"{name}.md\")]\npub mod {name} {{}}\n"
        );
        assert!(book.contains(&module), "mod.rs lacks\n{module}");
        assert!(
            listed.contains(&format!("{name}.md")),
            "index.md lacks {name}"
        );
        let title = manual_page(&name).text;
        assert!(title.starts_with("# "), "{name} begins without a title");
    }
}

#[test]
fn every_link_leads_to_a_page_and_a_heading_of_it() {
    let mut wrong = Vec::new();
    for page in pages() {
        let folder = page.path.parent().unwrap();
        for target in page.targets() {
            if target.starts_with("https://") {
                continue;
            }
            let (file, heading) = target.split_once('#').unwrap_or((&target, ""));
            let path = match file {
                "" => page.path.clone(),
                _ => folder.join(file),
            };
            let is_there = root().join(&path).exists();
            if !is_there || !heading.is_empty() && !Page::read(path).headings().contains(heading) {
                wrong.push(format!("{}: {target}", page.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_named_link_is_defined_on_its_page_and_as_the_same_item() {
    let items = manual_page("links").definitions();
    for page in pages() {
        let path = page.path.display();
        let definitions = page.definitions();
        let defined: BTreeSet<String> = definitions.keys().cloned().collect();
        assert_eq!(page.names(), defined, "{path}: used, and defined");
        for (name, target) in definitions {
            let item = items.get(&name);
            let item = item.unwrap_or_else(|| panic!("links.md lacks {name}, which {path} uses"));
            let Some((file, heading)) = target.split_once(".md") else {
                continue;
            };
            let page = file.rsplit('/').next().unwrap().to_lowercase();
            let expected = match page.as_str() {
                "index" => "crate::manual".to_owned(),
                _ => format!("crate::manual::{page}{heading}"),
            };
            assert_eq!(*item, expected, "{path}: {name}");
        }
    }
}

#[test]
fn the_readme_is_short() {
    let bytes = fs::metadata(root().join("README.md")).unwrap().len();
    assert!(bytes <= README_BYTES_MAX as u64, "{bytes} bytes");
}

/// Of a flag its value and its variable.
type Flags = BTreeMap<String, (String, String)>;

#[test]
fn the_readme_lists_exactly_the_flags_of_the_server() {
    let mut command = livelog::cli::Cli::command();
    let serve = command.find_subcommand_mut("serve").unwrap();
    let help = serve.render_long_help().to_string();
    let flag = Regex::new(r"(?s)--([a-z-]+)(?: <([A-Z]+)>)?\n(.*?)\[env: (\w+)=").unwrap();
    let mut flags = Flags::new();
    for found in flag.captures_iter(&help) {
        assert!(
            !found[3].contains("\n      --"),
            "a flag has no variable: {}",
            &found[0]
        );
        flags.insert(
            found[1].to_owned(),
            (
                found.get(2).map_or("", |value| value.as_str()).to_owned(),
                found[4].to_owned(),
            ),
        );
    }
    let of_clap = serve.get_arguments().filter_map(clap::Arg::get_long);
    let of_clap: BTreeSet<&str> = of_clap.filter(|name| *name != "help").collect();
    assert_eq!(
        flags.keys().map(String::as_str).collect::<BTreeSet<_>>(),
        of_clap
    );

    let rows = Page::read("README.md").found(r"(?m)^\| `--([a-z-]+) ?([A-Z]*)` \| `(\w+)` \|");
    let rows = rows
        .into_iter()
        .map(|row| <[String; 3]>::try_from(row).unwrap());
    let told: Flags = rows
        .map(|[flag, value, variable]| (flag, (value, variable)))
        .collect();
    assert_eq!(told, flags);
}

#[test]
fn the_manual_tells_of_every_command_of_the_program() {
    let told = manual_page("operating").found(r"(?m)^\| `livelog ([a-z]+)");
    let told: BTreeSet<String> = told.into_iter().flatten().collect();
    let command = livelog::cli::Cli::command();
    let commands = command.get_subcommands().map(clap::Command::get_name);
    let commands: BTreeSet<String> = commands.map(str::to_owned).collect();
    assert_eq!(told, commands);
}

#[test]
fn every_variable_that_a_test_reads_is_told_and_no_other() {
    let variable = Regex::new(r"\bLIVELOG_[A-Z_]*[A-Z]\b").unwrap();
    let in_text = |text: &str| -> BTreeSet<String> {
        let found = variable.find_iter(text);
        found.map(|found| found.as_str().to_owned()).collect()
    };
    let mut read = BTreeSet::new();
    let mut folders = vec![root().join("tests")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let is_ours = !path.ends_with("node_modules");
            match path.is_dir() {
                true => folders.extend(is_ours.then_some(path)),
                false => read.extend(in_text(&fs::read_to_string(path).unwrap())),
            }
        }
    }
    read.retain(|name| !NOT_FOR_PEOPLE.contains(&name.as_str()));
    let told = in_text(&fs::read_to_string(root().join("src/manual/maintaining.md")).unwrap());
    let elsewhere = pages().into_iter().map(|page| in_text(&page.text));
    let elsewhere: BTreeSet<String> = elsewhere.flatten().collect();
    let untold: Vec<&String> = read
        .iter()
        .filter(|name| !told.contains(*name) && !elsewhere.contains(*name))
        .collect();
    assert!(untold.is_empty(), "{untold:?}");
    let unread: Vec<&String> = told.difference(&read).collect();
    assert!(unread.is_empty(), "{unread:?}");
}
