use super::*;
use gateway::config::{LogFormat, SecondPublisher};

fn from_file(text: &str) -> Result<Config, Vec<String>> {
    let mut layers = Layers::default();
    layers.add_file_text("rushlight.toml", text);
    layers.finish().map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

fn from_environment(variables: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    let mut layers = Layers::default();
    layers
        .add_environment(&variables.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect::<Vec<_>>());
    layers.finish().map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

#[test]
fn nothing_at_all_is_the_defaults() {
    assert_eq!(from_file("").unwrap(), Config::default());
}

#[test]
fn flags_are_over_the_environment_and_that_over_the_file() {
    let mut layers = Layers::default();
    layers
        .add_file_text("f.toml", "[hub]\ngrace_ms = 1\nwait_ms = 1\nretain_ms = 1\n[log]\nformat = \"json\"");
    layers.add_environment(&[
        ("RUSHLIGHT_HUB__WAIT_MS".to_owned(), "2".to_owned()),
        ("RUSHLIGHT_HUB__RETAIN_MS".to_owned(), "2".to_owned()),
    ]);
    layers.add_text("--set", "hub.retain_ms", "3");
    let config = layers.finish().unwrap();
    assert_eq!((config.hub.grace_ms, config.hub.wait_ms, config.hub.retain_ms), (1, 2, 3));
    assert_eq!(config.log.format, LogFormat::Json);
}

#[test]
fn texts_become_what_the_key_needs() {
    let config = from_environment(&[
        ("RUSHLIGHT_HTTP__LISTEN", "127.0.0.1:1, [::1]:2"),
        ("RUSHLIGHT_RTMP__LISTEN", "[\"127.0.0.1:3\"]"),
        ("RUSHLIGHT_HTTP__ALLOW_ORIGINS", ""),
        ("RUSHLIGHT_HUB__SECOND_PUBLISHER", "take-over"),
        ("RUSHLIGHT_HUB__PACE", "1.5"),
        ("RUSHLIGHT_DEMO__ENABLED", "true"),
        ("RUSHLIGHT_DATA_DIR", "/var/lib/x"),
        ("RUSHLIGHT_ACCESS__PUBLISH_KEY", "1234567890"),
        ("RUSHLIGHT_ACCESS__CHANNEL", "[{ name = \"live/x\" }]"),
    ])
    .unwrap();
    assert_eq!(config.http.listen, ["127.0.0.1:1".parse().unwrap(), "[::1]:2".parse().unwrap()]);
    assert_eq!(config.rtmp.listen, ["127.0.0.1:3".parse().unwrap()]);
    assert!(config.http.allow_origins.is_empty() && config.demo.enabled);
    assert_eq!((config.hub.second_publisher, config.hub.pace), (SecondPublisher::TakeOver, 1.5));
    assert_eq!(config.access.publish_key, Some("1234567890".into()));
    assert_eq!((config.data_dir.as_path(), config.access.channel.len()), (Path::new("/var/lib/x"), 1));
}

#[test]
fn mistakes_in_a_file_name_line_and_key_and_come_all_at_once() {
    let text = "\
[http]
lisen = [\"[::]:1\"]
allow_origins = [
  \"*\",
  \"example.org\",
]
[rtmp]
chunk_size = \"big\"
listen = [\"nowhere\"]
[hub]
pace = 0.1
[nosuch]
key = 1
[[access.channel]]
name = \"live/a\"
[[access.channel]]
name = \"b\"
play_kez = \"x\"
publish_key = 5
";
    let problems = from_file(text).unwrap_err();
    let expected = [
        "rushlight.toml:2: http.lisen: unknown key, did you mean listen?",
        "rushlight.toml:8: rtmp.chunk_size: invalid type: string \"big\", expected u32",
        "rushlight.toml:9: rtmp.listen: invalid socket address syntax",
        "rushlight.toml:12: nosuch: unknown key; `rushlight config --defaults` lists all",
        "rushlight.toml:18: access.channel.play_kez: unknown key, did you mean play_key?",
        "rushlight.toml:19: access.channel: invalid type: integer `5`, expected a string",
        "rushlight.toml:5: http.allow_origins.1: \"example.org\" is neither \"*\" nor like \"https://example.org\" (no path, no final slash)",
        "rushlight.toml:11: hub.pace: must be 0, or lie between 1 and 100 (a multiple of the media rate)",
    ];
    let missing: Vec<_> = expected.iter().filter(|e| !problems.iter().any(|p| p == *e)).collect();
    assert!(missing.is_empty() && problems.len() == expected.len(), "{missing:#?} not in {problems:#?}");
}

#[test]
fn a_wrong_channel_is_found_by_its_line() {
    let problems =
        from_file("[[access.channel]]\nname = \"live/a\"\n\n[[access.channel]]\nname = \"b\"\n").unwrap_err();
    assert_eq!(
        problems,
        ["rushlight.toml:5: access.channel.1.name: \"b\" is no channel: write \"live/name\""]
    );
}

#[test]
fn relays_are_lists_in_either_notation_and_mistakes_in_them_have_lines() {
    let text = "\
relay.push = [
  { stream = \"live/me\", url = \"rtmp://host/app/key\", name = \"one\" },
  { stream = \"live/me\", url = \"host/app/key\", name = \"two\" },
]
[[relay.pull]]
stream = \"live/*\"
url = \"rtmp://host/live/{channel}\"
mode = \"always\"
";
    let problems = from_file(text).unwrap_err();
    assert_eq!(problems.len(), 2, "{problems:#?}");
    assert!(problems[0].starts_with("rushlight.toml:3: relay.push.1.url: is no URL of a stream"));
    assert!(problems[1].starts_with("rushlight.toml:8: relay.pull.0.mode: \"live/*\" is a pattern"));
    let good = text.replace("\"host/app", "\"rtmps://host/app").replace("always", "on-demand");
    let config = from_file(&good).unwrap();
    assert_eq!((config.relay.push.len(), config.relay.pull.len()), (2, 1));
    assert_eq!(from_file(&print(&config)).unwrap(), config);
    let flags = from_environment(&[(
        "RUSHLIGHT_RELAY__PUSH",
        "[{ stream = \"live/me\", url = \"rtmp://host/app/key\", name = \"one\" }]",
    )]);
    assert_eq!(flags.unwrap().relay.push.len(), 1);
}

#[test]
fn a_file_that_is_no_toml_names_the_line() {
    let problems = from_file("[http]\nlisten = [\n").unwrap_err();
    assert_eq!(problems.len(), 1);
    assert!(problems[0].starts_with("rushlight.toml:2: ") || problems[0].starts_with("rushlight.toml:3: "));
    assert!(from_file("[http\n").unwrap_err()[0].starts_with("rushlight.toml:1: "));
}

#[test]
fn a_section_written_as_a_value_is_refused() {
    let problems = from_file("http = 5\n").unwrap_err();
    assert_eq!(
        problems,
        ["rushlight.toml:1: http: is a section, not a value: write [http] and its keys below"]
    );
}

#[test]
fn unknown_variables_with_a_section_are_refused_and_foreign_ones_are_not_ours() {
    let problems = from_environment(&[
        ("RUSHLIGHT_HTTP__LISEN", "x"),
        ("RUSHLIGHT_HTTP_LISTEN", "x"),
        ("RUSHLIGHT_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
        ("RUSHLIGHT_CONFIG", "x.toml"),
        ("OTHER_HTTP__LISEN", "x"),
    ])
    .unwrap_err();
    assert_eq!(
        problems,
        [
            "RUSHLIGHT_HTTP__LISEN: unknown setting, did you mean RUSHLIGHT_HTTP__LISTEN?",
            "RUSHLIGHT_HTTP_LISTEN: unknown setting, did you mean RUSHLIGHT_HTTP__LISTEN?"
        ]
    );
}

#[test]
fn a_value_is_blamed_on_the_layer_that_set_it() {
    let mut layers = Layers::default();
    layers.add_file_text("f.toml", "[http]\nallow_origins = [\n\"*\"]\n");
    layers.add_text("--set", "http.allow_origins", "https://a.example,nonsense");
    let problems = layers.finish().unwrap_err();
    assert_eq!((problems.len(), problems[0].place.as_str()), (1, "--set"));
}

#[test]
fn the_printed_configuration_reads_back_as_itself() {
    let mut config = Config::default();
    assert_eq!(from_file(&print(&config)).unwrap(), config);
    config.access.publish_key = Some("0123456789".into());
    config.access.channel.push(gateway::config::ChannelAccess {
        name: "live/x".to_owned(),
        publish_key: None,
        play_key: Some("abcdefgh".into()),
    });
    config.hub.pace = 1.1;
    config.data_dir = PathBuf::from("/a \"quoted\" place");
    assert_eq!(from_file(&print(&config)).unwrap(), config);
}

#[test]
fn every_key_is_printed_with_its_meaning() {
    let text = print(&Config::default());
    for section in Config::sections() {
        for (key, doc) in section.keys {
            if keys::section(&keys::join(section.name, key)).is_some() {
                continue;
            }
            assert!(!doc.is_empty() && doc.iter().all(|line| text.contains(line.trim())), "{key}");
        }
    }
    // Keys without a value are there as examples.
    for (key, example) in [("publish_key", "a-long-random-text"), ("name", "live/name")] {
        assert!(text.contains(&format!("# {key} = \"{example}\"")), "{text}");
    }
}
