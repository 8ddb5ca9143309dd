//! Which names are asked for at once, and what is believed of them.

use super::*;

const FILE: u32 = 0o100_644;
const LINK: u32 = 0o120_777;

fn path(text: &str) -> GuestPath {
    GuestPath::from(text)
}

fn entry(name: String, kind: u8) -> Entry {
    Entry { name: ByteBuf::from(name), kind, inode: 1 }
}

fn milliseconds(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// `/many` with so many files `0`, `1`, ..., and both dots, just listed.
fn listed(n_files: usize) -> Surveys<usize> {
    let mut surveys = Surveys::new(Numbers::default());
    let names = (0..n_files).map(|n| entry(n.to_string(), 8));
    let dots = ["..", "."].map(|dot| entry(dot.to_owned(), 4));
    surveys.handle_listed(path("/many"), Arc::new(dots.into_iter().chain(names).collect()), Duration::ZERO);
    surveys
}

/// What the target has: file `n` has the inode `n + 10`.
fn told(names: &[ByteBuf], mode: u32, n_links: u32) -> Vec<Option<FileStat>> {
    let number = |name: &ByteBuf| str::from_utf8(name).unwrap().parse::<u64>().unwrap();
    let stat = |n| FileStat { device: 5, inode: n + 10, mode, n_links, ..FileStat::default() };
    names.iter().map(|name| Some(stat(number(name)))).collect()
}

/// Asks for a file of `/many`; whether its attributes were known, or a survey told them.
fn ask(surveys: &mut Surveys<usize>, n: usize, now: Duration, n_questions: &mut usize) -> bool {
    let name = path(&format!("/many/{n}"));
    match surveys.handle_asked(&name, false, n, now) {
        Asked::Known(stat, left, waiter) => {
            assert_eq!((stat.inode, waiter), (n as u64 + 10, n));
            assert!(left <= LIFETIME);
            true
        }
        Asked::Survey { piece, folder, names } => {
            *n_questions += 1;
            assert_eq!(folder, path("/many"));
            assert!(names.len() <= MOST_NAMES);
            let settled = surveys.finish(piece, &told(&names, FILE, 1), now);
            settled.iter().any(|(waiter, stat)| *waiter == n && stat.is_some())
        }
        Asked::Alone(_) => {
            *n_questions += 1;
            false
        }
        Asked::Waits => panic!("nobody else asks"),
    }
}

#[test]
fn ten_thousand_names_take_few_questions_in_whatever_order() {
    for (step, most) in [(1, 30), (9999, 160), (7919, 200)] {
        let (mut surveys, mut n_questions) = (listed(10_000), 0);
        for n in 0..10_000 {
            ask(&mut surveys, n * step % 10_000, Duration::ZERO, &mut n_questions);
        }
        assert!(n_questions <= most, "{n_questions} for steps of {step}");
    }
}

#[test]
fn one_name_is_asked_alone_and_a_folder_that_was_not_listed_too() {
    let (mut surveys, mut n_questions) = (listed(100), 0);
    assert!(!ask(&mut surveys, 3, Duration::ZERO, &mut n_questions));
    let told =
        |surveys: &mut Surveys<usize>, name| surveys.handle_asked(&path(name), false, 0, Duration::ZERO);
    for name in ["/many/new", "/other/3", "/many", "/many/", "/many/..", "/many/.", "/"] {
        assert_eq!(told(&mut surveys, name), Asked::Alone(0), "{name}");
        assert_eq!(told(&mut surveys, name), Asked::Alone(0), "{name}");
    }
}

#[test]
fn names_that_nobody_wants_are_not_asked_for_again_and_again() {
    let (mut surveys, mut n_told) = (listed(10_000), 0);
    for second in 0..100 {
        let name = path(&format!("/many/{}", second * 97));
        if let Asked::Survey { piece, names, .. } =
            surveys.handle_asked(&name, false, 0, milliseconds(second * 1000))
        {
            n_told += names.len();
            surveys.finish(piece, &told(&names, FILE, 1), milliseconds(second * 1000));
        }
    }
    assert!(n_told < 10 * 100, "{n_told} names");
}

#[test]
fn what_was_told_is_believed_for_a_second() {
    let (mut surveys, mut n) = (listed(20), 0);
    ask(&mut surveys, 0, Duration::ZERO, &mut n);
    ask(&mut surveys, 1, Duration::ZERO, &mut n);
    let asked = surveys.handle_asked(&path("/many/2"), false, 2, milliseconds(900));
    assert!(matches!(asked, Asked::Known(_, left, 2) if left == milliseconds(100)), "{asked:?}");
    let asked = surveys.handle_asked(&path("/many/2"), false, 2, milliseconds(1000));
    assert!(!matches!(asked, Asked::Known(..)), "{asked:?}");
}

#[test]
fn whoever_asks_for_what_is_being_asked_for_waits_with_the_first() {
    let mut surveys = listed(20);
    let mut asked = |n: usize| surveys.handle_asked(&path(&format!("/many/{n}")), n == 9, n, Duration::ZERO);
    assert_eq!(asked(0), Asked::Alone(0));
    let Asked::Survey { piece, names, .. } = asked(1) else { panic!("the second one asks for many") };
    assert_eq!(names.len(), 20);
    assert_eq!(names[0].as_slice(), b"1");
    assert_eq!([asked(2), asked(9)], [Asked::Waits, Asked::Waits]);
    let mut told = told(&names, FILE, 1);
    told[1] = None;
    told[8].as_mut().unwrap().mode = LINK;
    let settled = surveys.finish(piece, &told, milliseconds(300));
    let settled: Vec<_> =
        settled.into_iter().map(|(waiter, told)| (waiter, told.map(|told| told.1))).collect();
    // What is not told, or leads elsewhere, is asked alone.
    assert_eq!(settled, [(1, Some(milliseconds(700))), (2, None), (9, None)]);
    assert_eq!(surveys.finish(piece, &[], Duration::ZERO), []);
}

#[test]
fn an_answer_of_another_length_tells_nothing() {
    for n_told in [0, 19, 21] {
        let mut surveys = listed(20);
        surveys.handle_asked(&path("/many/0"), false, 0, Duration::ZERO);
        let asked = surveys.handle_asked(&path("/many/1"), false, 1, Duration::ZERO);
        let Asked::Survey { piece, .. } = asked else { panic!("{asked:?}") };
        assert_eq!(
            surveys.finish(piece, &vec![Some(FileStat::default()); n_told], Duration::ZERO),
            [(1, None)]
        );
    }
}

#[test]
fn a_link_that_is_followed_is_asked_alone_and_the_link_itself_is_known() {
    let (mut surveys, link) = (listed(20), path("/many/5"));
    surveys.handle_asked(&path("/many/0"), false, 0, Duration::ZERO);
    let asked = surveys.handle_asked(&path("/many/1"), false, 1, Duration::ZERO);
    let Asked::Survey { piece, names, .. } = asked else { panic!("{asked:?}") };
    surveys.finish(piece, &told(&names, LINK, 1), Duration::ZERO);
    assert_eq!(surveys.handle_asked(&link, true, 5, Duration::ZERO), Asked::Alone(5));
    let asked = surveys.handle_asked(&link, false, 5, Duration::ZERO);
    assert!(matches!(asked, Asked::Known(..)), "{asked:?}");
}

/// Whether the files 2 and 3 of `/many` are still believed after a change; 3 has so many links.
fn believed(n_links: u32, change: impl Fn(&mut Surveys<usize>)) -> [bool; 2] {
    let look = |surveys: &mut Surveys<usize>, n: usize| {
        let asked = surveys.handle_asked(&path(&format!("/many/{n}")), false, n, Duration::ZERO);
        matches!(asked, Asked::Known(..))
    };
    let begun = || {
        let mut surveys = listed(20);
        surveys.handle_asked(&path("/many/0"), false, 0, Duration::ZERO);
        let asked = surveys.handle_asked(&path("/many/1"), false, 1, Duration::ZERO);
        let Asked::Survey { piece, names, .. } = asked else { panic!("{asked:?}") };
        let mut told = told(&names, FILE, 1);
        told[2].as_mut().unwrap().n_links = n_links;
        (surveys, piece, told)
    };
    let (mut surveys, piece, told) = begun();
    surveys.finish(piece, &told, Duration::ZERO);
    change(&mut surveys);
    let after = [look(&mut surveys, 2), look(&mut surveys, 3)];
    // It must not matter whether the answer was under way.
    let (mut surveys, piece, told) = begun();
    change(&mut surveys);
    surveys.finish(piece, &told, Duration::ZERO);
    let meanwhile = [look(&mut surveys, 2), look(&mut surveys, 3)];
    if meanwhile != [false; 2] {
        assert_eq!(after, meanwhile);
    }
    after
}

#[test]
fn what_the_session_changes_is_not_believed_and_its_neighbours_are() {
    assert_eq!(believed(1, |_| {}), [true, true]);
    let number = Numbers::default().number(5, 12);
    assert_eq!(believed(1, |surveys| surveys.handle_file_changed(number)), [false, true]);
    for follow in [false, true] {
        let changed = believed(1, |surveys| surveys.handle_attributes_changed(&path("/many/2"), follow));
        assert_eq!(changed, [false, true]);
    }
    for is_straight in [false, true] {
        let gone =
            |n_links| believed(n_links, |surveys| surveys.handle_name_changed(&path("/many/2"), is_straight));
        assert_eq!(gone(1), [false, true]);
        // The other name of a file with two may be the one that has gone.
        assert_eq!(gone(2), [false, false]);
    }
}

#[test]
fn by_a_path_that_may_have_links_anything_may_have_changed() {
    for name in ["/link/2", "/many/new", "/"] {
        let name = path(name);
        assert_eq!(believed(1, |surveys| surveys.handle_attributes_changed(&name, true)), [false; 2]);
    }
    assert_eq!(believed(1, |surveys| surveys.handle_name_changed(&path("/link/2"), false)), [false; 2]);
    assert_eq!(believed(1, |surveys| surveys.handle_name_changed(&path("/other/2"), true)), [true; 2]);
    assert_eq!(believed(1, Surveys::forget_told), [false; 2]);
}

#[test]
fn a_folder_that_has_moved_is_a_hint_no_more() {
    for moved in ["/many", "/"] {
        let (mut surveys, mut n) = (listed(20), 0);
        ask(&mut surveys, 0, Duration::ZERO, &mut n);
        ask(&mut surveys, 1, Duration::ZERO, &mut n);
        surveys.handle_name_changed(&path(moved), true);
        let is_known = ask(&mut surveys, 2, Duration::ZERO, &mut n);
        assert_eq!(is_known, moved == "/");
    }
    let (mut surveys, mut n) = (listed(20), 0);
    ask(&mut surveys, 0, Duration::ZERO, &mut n);
    surveys.forget();
    assert!(!ask(&mut surveys, 1, Duration::ZERO, &mut n));
}

#[test]
fn of_many_folders_the_last_ones_are_remembered() {
    let mut surveys = listed(20);
    for n in 0..200 {
        let listing = Arc::new(vec![entry("0".to_owned(), 8)]);
        surveys.handle_listed(path(&format!("/{n}")), listing, milliseconds(n));
        assert!(surveys.folders.len() <= MOST_FOLDERS);
    }
    assert!(surveys.folders.contains_key(&path("/199")) && !surveys.folders.contains_key(&path("/many")));
    surveys.handle_listed(path("/many"), Arc::default(), Duration::from_secs(60));
    assert_eq!(surveys.folders.len(), 1);
}

#[test]
fn the_next_names_are_told_along_as_far_as_they_are_believed_and_fit() {
    let (mut surveys, mut n) = (listed(2000), 0);
    let around = |surveys: &mut Surveys<usize>, n_more, now| {
        surveys.around(&path("/many/5"), n_more, milliseconds(now)).map(|it| (it.left, it.more.len()))
    };
    assert_eq!(around(&mut surveys, 9, 0), None);
    for name in 0..6 {
        ask(&mut surveys, name, Duration::ZERO, &mut n);
    }
    assert_eq!(around(&mut surveys, 9, 300), Some((milliseconds(700), 9)));
    assert_eq!(around(&mut surveys, 9, 1000), None);
    // `1` was the first one to be told.
    assert_eq!(around(&mut surveys, 100, 0), Some((LIFETIME, FIRST + 1 - 6)));
    surveys.handle_attributes_changed(&path("/many/9"), true);
    assert_eq!(around(&mut surveys, 100, 0), Some((LIFETIME, 3)));
    let long = |n: usize| entry(format!("{n:0>255}"), 8);
    surveys.handle_listed(path("/long"), Arc::new((0..2000).map(long).collect()), Duration::ZERO);
    for n in 0..1000 {
        let name = path(&format!("/long/{n:0>255}"));
        if let Asked::Survey { piece, names, .. } = surveys.handle_asked(&name, false, n, Duration::ZERO) {
            surveys.finish(piece, &vec![Some(FileStat::default()); names.len()], Duration::ZERO);
        }
    }
    let name = path(&format!("/long/{:0>255}", 1));
    let more = surveys.around(&name, usize::MAX, Duration::ZERO).unwrap().more;
    assert!((50..150).contains(&more.len()), "{}", more.len());
}
