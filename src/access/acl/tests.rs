use proptest::prelude::*;
use skein_protocol::TopicName;

use super::*;

fn parse(text: &str) -> Acl {
    Acl::parse(text.as_bytes(), "acl").expect("a valid list")
}

fn may(acl: &Acl, user: Option<&str>, client_id: &str, topic: &str) -> (bool, bool) {
    let permissions = acl.permissions(user, client_id);
    let topic = TopicName::new(topic).expect("a valid topic");
    (permissions.may_publish(topic), permissions.may_receive(topic))
}

const NOTHING: (bool, bool) = (false, false);
const PUBLISH: (bool, bool) = (true, false);
const RECEIVE: (bool, bool) = (false, true);
const BOTH: (bool, bool) = (true, true);

#[test]
fn each_user_has_the_lines_behind_their_name() {
    let acl = parse(
        "# a comment\n\
         topic read public/#\n\
         \n\
         user roger\n\
         topic foo/bar\n\
         topic write log\n\
         user name with spaces\r\n\
         topic readwrite a b/c\r\n\
         user roger\n\
         topic read more\n",
    );
    for (user, topic, expected) in [
        (None, "public/a", RECEIVE),
        (None, "foo/bar", NOTHING),
        (Some("roger"), "public/a", NOTHING),
        (Some("roger"), "foo/bar", BOTH),
        (Some("roger"), "log", PUBLISH),
        (Some("roger"), "more", RECEIVE),
        (Some("name with spaces"), "a b/c", BOTH),
        (Some("nobody"), "foo/bar", NOTHING),
    ] {
        assert_eq!(may(&acl, user, "id", topic), expected, "{user:?} {topic}");
    }
    assert_eq!(acl.warnings(), []);
}

#[test]
fn denials_go_first_and_own_lines_before_patterns() {
    let acl = parse(
        "user u\n\
         topic read a/#\n\
         topic deny a/secret\n\
         topic read c/own\n\
         pattern deny c/#\n\
         pattern readwrite #\n\
         pattern deny d\n",
    );
    for (topic, expected) in
        [("a/x", BOTH), ("a/secret", NOTHING), ("c/own", RECEIVE), ("c/x", NOTHING), ("d", NOTHING)]
    {
        assert_eq!(may(&acl, Some("u"), "id", topic), expected, "{topic}");
    }
}

#[test]
fn patterns_are_filled_in_level_by_level() {
    let acl = parse(
        "pattern readwrite devices/%c/#\n\
         pattern read users/%u/in\n\
         pattern write x%u/y\n",
    );
    for (user, topic, expected) in [
        (Some("u"), "devices/id/a", BOTH),
        (Some("u"), "devices/other/a", NOTHING),
        (Some("u"), "users/u/in", RECEIVE),
        (Some("u"), "users/v/in", NOTHING),
        (None, "users//in", NOTHING),
        (None, "devices/id", BOTH),
        (Some("u"), "xu/y", NOTHING),
        (Some("u"), "x%u/y", PUBLISH),
    ] {
        assert_eq!(may(&acl, user, "id", topic), expected, "{user:?} {topic}");
    }
    let warnings: Vec<_> = acl.warnings().iter().map(|warning| warning.line).collect();
    assert_eq!(warnings, [Some(3), Some(3)], "{:?}", acl.warnings());
}

/// H04, CVE-2017-7650.
#[test]
fn names_with_wildcards_or_slashes_open_nothing() {
    let acl = parse("user +\ntopic own\npattern readwrite devices/%c/#\npattern read in/%u\n");
    for (user, client_id) in [
        (Some("u"), "#"),
        (Some("u"), "+"),
        (Some("u"), "id/other"),
        (Some("#"), "id"),
        (Some("a/b"), "id"),
        (Some("+"), "id"),
    ] {
        for topic in ["devices/id/x", "devices/other/x", "in/u", "in/a", "devices/id/other/x"] {
            assert_eq!(may(&acl, user, client_id, topic), NOTHING, "{user:?} {client_id} {topic}");
        }
        let all = acl.permissions(user, client_id);
        assert!(!all.may_receive_all("devices/id/#") && !all.may_receive_all("#"));
    }
    assert_eq!(may(&acl, Some("+"), "id", "own"), BOTH, "the user's own lines still hold");
    let only_client = parse("pattern readwrite devices/%c/#\n");
    assert_eq!(may(&only_client, Some("a/b"), "id", "devices/id/x"), BOTH, "no level splits");
}

#[test]
fn reserved_topics_want_a_rule_that_starts_with_a_dollar() {
    let acl = parse("pattern readwrite %c/#\npattern readwrite #\nuser admin\ntopic $SYS/#\n");
    assert_eq!(may(&acl, None, "$SYS", "$SYS/broker/load"), NOTHING);
    assert_eq!(may(&acl, None, "id", "$other/a"), NOTHING);
    assert_eq!(may(&acl, Some("admin"), "id", "$SYS/broker/load"), RECEIVE);
    assert_eq!(may(&acl, Some("admin"), "id", "$SYS/broker/connection/b/state"), BOTH);
}

/// H13, CVE-2018-12550.
#[test]
fn an_empty_list_denies_everything() {
    for text in ["", "# nothing\n", "user u\n"] {
        let acl = parse(text);
        assert_eq!(may(&acl, Some("u"), "id", "a"), NOTHING);
        assert_eq!(may(&acl, None, "id", "a"), NOTHING);
    }
}

#[test]
fn problems_name_the_line_and_what_to_write() {
    let text = b"topic read a/#/b\n\
                 tpic a\n\
                 topic\n\
                 topic all a\n\
                 user  \n\
                 \ttopic a\n\
                 topic \xff\n\
                 topic read mss-#\n";
    let error = Acl::parse(text, "/etc/acl").expect_err("it is full of mistakes").to_string();
    let lines: Vec<&str> = error.lines().collect();
    let expected = [
        "/etc/acl:1: \"a/#/b\" is not a topic filter",
        "/etc/acl:2: unknown word \"tpic\"; a line begins with user, topic or pattern",
        "/etc/acl:3: \"\" is not a topic filter",
        "/etc/acl:4: unknown access \"all\"; write read, write, readwrite or deny",
        "/etc/acl:5: write a name behind user",
        "/etc/acl:6: unknown word \"\\ttopic\"",
        "/etc/acl:7: this is not UTF-8",
        "/etc/acl:8: \"mss-#\" is not a topic filter",
    ];
    assert_eq!(lines.len(), expected.len(), "{error}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.starts_with(expected), "{line}");
    }
}

#[test]
fn what_cannot_mean_what_was_meant_is_a_warning() {
    let acl = parse("topic read $share/g/a\npattern read a\npattern read a%c/%u\n");
    let lines: Vec<_> = acl.warnings().iter().map(|warning| warning.line).collect();
    assert_eq!(lines, [Some(1), Some(2), Some(3)]);
    assert_eq!(may(&acl, None, "id", "a"), RECEIVE);
}

/// The decision as Mosquitto's manual words it, with the lines as text.
fn naive(lines: &[Line], user: Option<&str>, client_id: &str, topic: &str) -> (bool, bool) {
    let own = lines.iter().filter(|line| line.whose == Whose::Of(user.map(str::to_owned)));
    let patterns = lines.iter().filter(|line| line.whose == Whose::Everybody).map(|line| {
        let levels: Vec<&str> = line
            .filter
            .split('/')
            .map(|level| match (level, user) {
                ("%c", _) => client_id,
                ("%u", Some(user)) => user,
                (level, _) => level,
            })
            .collect();
        Line { filter: levels.join("/"), ..line.clone() }
    });
    let patterns = patterns.filter(|line| user.is_some() || !line.filter.contains("%u"));
    let (own, patterns) = (own.cloned().collect::<Vec<_>>(), patterns.collect::<Vec<_>>());
    let ask = |words: [&str; 2]| {
        for list in [&own, &patterns] {
            let matching = list.iter().filter(|line| is_match(&line.filter, topic));
            let accesses: Vec<&str> = matching.map(|line| line.access).collect();
            if accesses.contains(&"deny") {
                return false;
            }
            if accesses.iter().any(|access| words.contains(access)) {
                return true;
            }
        }
        false
    };
    (ask(["write", "readwrite"]), ask(["read", "readwrite"]))
}

fn is_match(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') != filter.starts_with('$') {
        return false;
    }
    let mut names = topic.split('/');
    for level in filter.split('/') {
        let name = match level {
            "#" => return true,
            _ => names.next(),
        };
        if name.is_none() || (level != "+" && Some(level) != name) {
            return false;
        }
    }
    names.next().is_none()
}

#[derive(Clone, Debug, PartialEq)]
enum Whose {
    Of(Option<String>),
    Everybody,
}

#[derive(Clone, Debug)]
struct Line {
    whose: Whose,
    access: &'static str,
    filter: String,
}

impl Line {
    fn text(&self) -> String {
        match &self.whose {
            Whose::Of(Some(user)) => {
                format!("user {user}\ntopic {} {}\n", self.access, self.filter)
            }
            Whose::Of(None) => format!("topic {} {}\n", self.access, self.filter),
            Whose::Everybody => format!("pattern {} {}\n", self.access, self.filter),
        }
    }
}

fn line() -> impl Strategy<Value = Line> {
    let whose = prop_oneof![
        Just(Whose::Of(None)),
        Just(Whose::Of(Some("u".into()))),
        Just(Whose::Of(Some("v".into()))),
        Just(Whose::Everybody),
    ];
    let access = prop::sample::select(vec!["read", "write", "readwrite", "deny"]);
    let level = prop::sample::select(vec!["a", "u", "c", "%u", "%c", "+", "$x"]);
    let levels = (prop::collection::vec(level, 0..3), any::<bool>()).prop_map(|(levels, open)| {
        let end = if open || levels.is_empty() { vec!["#"] } else { vec![] };
        [levels, end].concat().join("/")
    });
    (whose, access, levels).prop_map(|(whose, access, filter)| Line { whose, access, filter })
}

proptest! {
    #[test]
    fn it_decides_as_the_naive_model(
        mut lines in prop::collection::vec(line(), 0..8),
        user in prop::sample::select(vec![None, Some("u"), Some("w")]),
        topic in prop::collection::vec(prop::sample::select(vec!["a", "u", "c", "$x", "%u"]), 1..4),
    ) {
        // Lines for anonymous clients can stand only before the first user.
        lines.sort_by_key(|line| line.whose != Whose::Of(None));
        let text: String = lines.iter().map(Line::text).collect();
        let topic = topic.join("/");
        prop_assert_eq!(
            may(&parse(&text), user, "c", &topic),
            naive(&lines, user, "c", &topic),
            "{} {:?} {}", text, user, topic
        );
    }
}
