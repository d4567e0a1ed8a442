//! The repository's own rules, as far as a reader of its files can check them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const LINES_MAX: usize = 1_200;
const FUZZ_TARGET_LINES_MAX: usize = 10;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every file of the repository with one of these endings, generated folders left out.
fn files(endings: &[&str]) -> Vec<PathBuf> {
    fn walk(folder: &Path, endings: &[&str], found: &mut Vec<PathBuf>) {
        const GENERATED: [&str; 9] =
            ["target", "node_modules", "dist", ".git", "data", "corpus", "artifacts", "out", "coverage"];
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            if entry.file_type().unwrap().is_dir() {
                if !GENERATED.contains(&name.as_str()) {
                    walk(&path, endings, found);
                }
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root(), endings, &mut found);
    found.sort();
    assert!(!found.is_empty());
    found
}

/// What must not be there, as a list that names each place.
#[track_caller]
fn none(what: &str, found: Vec<String>) {
    assert!(found.is_empty(), "{what}:\n  {}", found.join("\n  "));
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().display().to_string()
}

/// The lines of the fenced block that follows `<!-- NAME -->` in ARCHITECTURE.md.
fn block(name: &str) -> Vec<String> {
    let text = read(&root().join("ARCHITECTURE.md"));
    let marker = format!("<!-- {name} -->");
    let (_, after) = text.split_once(&marker).unwrap_or_else(|| panic!("ARCHITECTURE.md has no {marker}"));
    let lines = after.lines().skip_while(|line| !line.starts_with("```")).skip(1);
    lines.take_while(|line| !line.starts_with("```")).map(str::to_owned).collect()
}

/// The names in one section of a manifest.
fn manifest_section(manifest: &str, section: &str) -> BTreeSet<String> {
    let header = format!("[{section}]");
    let lines = manifest.lines().skip_while(|line| line.trim() != header).skip(1);
    lines
        .take_while(|line| !line.starts_with('['))
        .filter(|line| !line.trim_start().starts_with('#'))
        .filter_map(|line| line.split(['=', '.']).next())
        .map(|name| name.trim().to_owned())
        .filter(|name| {
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
        })
        .collect()
}

/// Our crates, by the name under which others import them.
fn crates() -> BTreeMap<String, PathBuf> {
    let mut found = BTreeMap::from([
        ("rushlight".to_owned(), root().join("rushlight")),
        ("e2e".to_owned(), root().join("tests/e2e")),
    ]);
    for entry in fs::read_dir(root().join("crates")).unwrap().flatten() {
        found.insert(entry.file_name().to_string_lossy().into_owned(), entry.path());
    }
    found
}

#[test]
fn crates_import_what_the_table_says_and_nothing_else() {
    let mut table = BTreeMap::new();
    for line in block("imports") {
        let (name, imports) = line.split_once('→').unwrap_or_else(|| panic!("not a row: {line}"));
        let imports: BTreeSet<_> =
            imports.split_whitespace().filter(|word| *word != "nothing").map(str::to_owned).collect();
        table.insert(name.trim().to_owned(), imports);
    }
    let ours = crates();
    let actual: BTreeMap<_, BTreeSet<_>> = ours
        .iter()
        .map(|(name, folder)| {
            let manifest = read(&folder.join("Cargo.toml"));
            let mut imports = manifest_section(&manifest, "dependencies");
            imports.retain(|import| ours.contains_key(import));
            (name.clone(), imports)
        })
        .collect();
    assert_eq!(table, actual, "left: the table in ARCHITECTURE.md, right: the manifests");
}

#[test]
fn every_dependency_has_its_reason() {
    let manifest = read(&root().join("Cargo.toml"));
    let ours = crates();
    let mut used = manifest_section(&manifest, "workspace.dependencies");
    used.retain(|name| !ours.contains_key(name));
    let explained: BTreeSet<_> = block("dependencies")
        .iter()
        .filter_map(|line| line.split_once("  ").filter(|(_, reason)| reason.trim().len() > 10))
        .map(|(name, _)| name.trim().to_owned())
        .collect();
    assert_eq!(explained, used, "left: the list in ARCHITECTURE.md, right: Cargo.toml");
}

/// The part of a source file that ships: everything before its unit tests.
fn shipped(text: &str) -> &str {
    text.split("\n#[cfg(test)]").next().unwrap_or_default()
}

fn is_test_code(path: &Path) -> bool {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    ["tests", "testing", "fuzz"].contains(&stem.as_ref())
        || path.components().any(|part| part.as_os_str() == "tests")
}

#[test]
fn pure_crates_name_no_runtime_clock_socket_or_file() {
    let banned = [
        "tokio",
        "TcpStream",
        "TcpListener",
        "UdpSocket",
        "std::fs",
        "std::thread::",
        "Instant::now",
        "SystemTime",
        "std::env",
        "println!",
    ];
    let mut found = Vec::new();
    for path in files(&[".rs"]) {
        let pure = ["wire", "media", "rtmp", "srt", "hub"]
            .iter()
            .any(|name| path.starts_with(root().join("crates").join(name).join("src")));
        if !pure || is_test_code(&path) {
            continue;
        }
        let text = read(&path);
        for (at, line) in shipped(&text).lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if let Some(name) = banned.iter().find(|name| code.contains(**name)) {
                found.push(format!("{}:{}: {name}", shown(&path), at + 1));
            }
        }
    }
    none("a pure crate must not name", found);
}

#[test]
fn no_file_is_too_long_to_read() {
    let sources = files(&[".rs", ".ts", ".mjs", ".svelte", ".css", ".sh"]);
    let long = sources.iter().filter_map(|path| {
        let lines = read(path).lines().count();
        (lines > LINES_MAX).then(|| format!("{}: {lines} lines", shown(path)))
    });
    none("split these by subject", long.collect());
}

#[test]
fn modules_are_named_for_what_they_do() {
    let banned = ["common", "util", "utils", "helper", "helpers", "misc", "manager", "managers"];
    let vague = files(&[".rs", ".ts", ".mjs"]).into_iter().filter(|path| {
        let inside = path.strip_prefix(root()).unwrap();
        inside.iter().any(|part| {
            let name = part.to_string_lossy();
            banned.contains(&name.split('.').next().unwrap_or_default())
        })
    });
    none("names that say nothing", vague.map(|path| shown(&path)).collect());
}

#[test]
fn every_module_says_what_it_is() {
    let silent = files(&[".rs"]).into_iter().filter(|path| {
        let is_exempt = is_test_code(path) || path.starts_with(root().join("fuzz"));
        !is_exempt && !read(path).trim_start().starts_with("//!")
    });
    none("modules without a first line of documentation", silent.map(|path| shown(&path)).collect());
}

#[test]
fn nothing_is_left_for_later_and_no_machine_is_named() {
    // Joined here, so that this file does not contain what it looks for.
    let banned = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
        concat!("#[ig", "nore"),
        concat!("/wo", "rk/"),
        concat!("/ro", "ot/"),
        concat!("/ho", "me/"),
        concat!("../sha", "red"),
        concat!("registry.npm", "js.org"),
        concat!("index.crates", ".io"),
        concat!("deb.debian", ".org"),
    ];
    let mut found = Vec::new();
    let texts = files(&[
        ".rs", ".ts", ".mjs", ".svelte", ".md", ".toml", ".sh", ".json", ".html", ".css", "run", "test",
    ]);
    for path in texts.iter().filter(|path| !path.ends_with("package-lock.json")) {
        for (at, line) in read(path).lines().enumerate() {
            if let Some(name) = banned.iter().find(|name| line.contains(**name)) {
                found.push(format!("{}:{}: {name}", shown(path), at + 1));
            }
        }
    }
    none("these must not be committed", found);
}

#[test]
fn every_fuzz_body_has_its_target() {
    let mut wanted = BTreeSet::new();
    for (name, folder) in crates() {
        let body = folder.join("src/fuzz.rs");
        if !body.exists() {
            continue;
        }
        for line in shipped(&read(&body)).lines() {
            if let Some((function, _)) =
                line.strip_prefix("pub fn ").and_then(|rest| rest.split_once("(data: &[u8])"))
            {
                wanted.insert(format!("{name}_{function}"));
            }
        }
    }
    let mut wired = BTreeSet::new();
    for entry in fs::read_dir(root().join("fuzz/targets")).unwrap().flatten() {
        let path = entry.path();
        let lines = read(&path).lines().count();
        assert!(
            lines <= FUZZ_TARGET_LINES_MAX,
            "{} has {lines} lines: the body belongs into the crate",
            shown(&path)
        );
        wired.insert(path.file_stem().unwrap().to_string_lossy().into_owned());
    }
    assert_eq!(wired, wanted, "left: fuzz/targets, right: the functions in crates/*/src/fuzz.rs");
    let manifest = read(&root().join("fuzz/Cargo.toml"));
    for name in wired {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "fuzz/Cargo.toml has no [[bin]] {name}");
    }
}
